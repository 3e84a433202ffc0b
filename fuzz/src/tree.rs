//! Trees, measured, compared and written.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;
use serde_json::Value;
use tokend::rest::input::soap::Version;
use tokend::rest::input::xml::Element;

const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// How deep arrays and objects nest.
pub(crate) fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// Whether two values are the same; `serde_json` reads the last digits of a fraction with a small
/// error.
pub(crate) fn is_same(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::Array(values), Value::Array(others)) => {
            values.len() == others.len() && values.iter().zip(others).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(members), Value::Object(others)) => {
            let same = |((key, a), (other, b)): ((&String, _), (&String, _))| {
                key == other && is_same(a, b)
            };
            members.len() == others.len() && members.iter().zip(others).all(same)
        }
        (Value::Number(number), Value::Number(other)) if number.is_f64() && other.is_f64() => {
            let (Some(number), Some(other)) = (number.as_f64(), other.as_f64()) else {
                return false;
            };
            (number - other).abs() <= number.abs() * 4.0 * f64::EPSILON
        }
        _ => value == other,
    }
}

/// Checks that a tree keeps to the bounds and to the letters of XML.
pub(crate) fn check(root: &Element) {
    let mut count = 0;
    let mut open = vec![(root, 1)];
    while let Some((element, depth)) = open.pop() {
        count += 1;
        assert!(count <= 1024 && depth <= 32 && element.attributes.len() <= 32);
        let names: BTreeSet<_> =
            element.attributes.iter().map(|each| (&each.namespace, &each.name)).collect();
        assert_eq!(names.len(), element.attributes.len());
        let values = element.attributes.iter().map(|each| each.value.expose_secret());
        for text in values.chain([element.text.expose_secret()]) {
            assert!(!text.contains(['\0', '\u{1b}', '\u{ffff}']));
        }
        open.extend(element.children.iter().map(|child| (child, depth + 1)));
    }
}

/// Writes a tree, the text of an element before its children.
pub(crate) fn write(element: &Element) -> String {
    let mut tag = format!("<{}", element.name);
    declare(&mut tag, "xmlns", element.namespace.as_deref().unwrap_or_default());
    for (number, attribute) in element.attributes.iter().enumerate() {
        let name = match attribute.namespace.as_deref() {
            Some(XML) => format!("xml:{}", attribute.name),
            Some(namespace) => {
                declare(&mut tag, &format!("xmlns:p{number}"), namespace);
                format!("p{number}:{}", attribute.name)
            }
            None => attribute.name.clone(),
        };
        declare(&mut tag, &name, attribute.value.expose_secret());
    }
    let children: Vec<_> = element.children.iter().map(write).collect();
    let text = escape(element.text.expose_secret());
    format!("{tag}>{text}{}</{}>", children.concat(), element.name)
}

/// Writes an envelope.
pub(crate) fn envelope(version: Version, operation: &str, fields: &[(String, String)]) -> String {
    let fields: Vec<_> =
        fields.iter().map(|(name, text)| format!("<{name}>{}</{name}>", escape(text))).collect();
    let (namespace, fields) = (version.namespace(), fields.concat());
    format!(
        "<s:Envelope xmlns:s=\"{namespace}\"><s:Header/><s:Body><{operation}>{fields}</{operation}>\
         </s:Body></s:Envelope>"
    )
}

fn declare(tag: &mut String, name: &str, value: &str) {
    tag.extend([" ", name, "=\"", &escape(value), "\""]);
}

fn escape(text: &str) -> String {
    let escaped = |letter: char| match letter {
        '&' | '<' | '>' | '"' | '\t' | '\n' | '\r' => format!("&#{};", u32::from(letter)),
        _ => letter.to_string(),
    };
    text.chars().map(escaped).collect::<Vec<_>>().concat()
}
