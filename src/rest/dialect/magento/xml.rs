//! A value as the vendor writes it in XML: members are elements, and those of a list `<item>`s.

use std::io;

use quick_xml::Writer;
use quick_xml::escape::partial_escape;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use serde_json::Value;

/// Writes a document whose root is `<response>`, indented by two spaces, with a final line end.
/// The keys of `value` must be names of elements.
///
/// # Errors
/// None that a writer to memory makes.
pub(super) fn document(value: &Value) -> io::Result<Vec<u8>> {
    let mut writer = Writer::new_with_indent(Vec::new(), b' ', 2);
    writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)))?;
    element(&mut writer, "response", value)?;
    let mut text = writer.into_inner();
    text.push(b'\n');
    Ok(text)
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) -> io::Result<()> {
    writer.write_event(Event::Start(BytesStart::new(name)))?;
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                element(writer, name, value)?;
            }
        }
        Value::Array(items) => {
            for item in items {
                element(writer, "item", item)?;
            }
        }
        Value::String(text) => self::text(writer, text)?,
        Value::Bool(_) | Value::Number(_) => text(writer, &value.to_string())?,
        Value::Null => {}
    }
    writer.write_event(Event::End(BytesEnd::new(name)))
}

fn text(writer: &mut Writer<Vec<u8>>, text: &str) -> io::Result<()> {
    writer.write_event(Event::Text(BytesText::from_escaped(partial_escape(text))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn written(value: &Value) -> String {
        String::from_utf8(document(value).unwrap()).unwrap()
    }

    #[test]
    fn writes_a_lone_value_into_the_root() {
        let token = "<?xml version=\"1.0\"?>\n<response>asdf3hjklp5iuytre</response>\n";
        assert_eq!(written(&json!("asdf3hjklp5iuytre")), token);
        let truth = "<?xml version=\"1.0\"?>\n<response>true</response>\n";
        assert_eq!(written(&json!(true)), truth);
    }

    #[test]
    fn writes_members_as_elements_and_lists_as_items() {
        let value = json!({"message": "m", "errors": [{"a": "1"}, {"b": "2"}]});
        let expected = "<?xml version=\"1.0\"?>\n\
            <response>\n  <message>m</message>\n  <errors>\n    \
            <item>\n      <a>1</a>\n    </item>\n    <item>\n      <b>2</b>\n    </item>\n  \
            </errors>\n</response>\n";
        assert_eq!(written(&value), expected);
    }

    #[test]
    fn escapes_what_would_be_markup_and_nothing_else() {
        let value = json!({"message": "<a b=\"c\">&amp;]]>'"});
        assert!(written(&value).contains("<message>&lt;a b=\"c\"&gt;&amp;amp;]]&gt;'</message>"));
    }
}
