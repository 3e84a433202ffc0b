//! JSON, strictly: one value, no key twice, and no deep nesting.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::shown;

// Of arrays and objects within one another.
const DEEPEST: usize = 32;

/// Why bytes are not the JSON that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JsonFault {
    /// There is nothing but white space.
    #[error("there is no JSON")]
    Empty,
    /// Arrays and objects nest deeper than 32.
    #[error("the JSON nests too deep")]
    TooDeep,
    /// An object has this key twice. The name is shortened to what may be shown.
    #[error("the key `{0}` comes twice")]
    DuplicateKey(String),
    /// All else: not JSON, not UTF-8, a number out of range, or something behind the value.
    #[error("the JSON is malformed")]
    Malformed,
}

/// Reads one value and nothing behind it, in UTF-8 without a byte order mark. Keys keep their
/// order. A number that no 64 bit integer holds is the nearest `f64`.
///
/// # Errors
/// The first [`JsonFault`] of the bytes.
pub fn parse(bytes: &[u8]) -> Result<Value, JsonFault> {
    if bytes.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
        return Err(JsonFault::Empty);
    }
    let fault = Cell::new(None);
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = Nested { depth: 0, fault: &fault }.deserialize(&mut json);
    let value = value.and_then(|value| json.end().map(|()| value));
    value.map_err(|_| fault.take().unwrap_or(JsonFault::Malformed))
}

/// Reads the value at a depth, and notes the fault that serde's error can't carry.
#[derive(Clone, Copy)]
struct Nested<'a> {
    depth: usize,
    fault: &'a Cell<Option<JsonFault>>,
}

impl Nested<'_> {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        if self.depth == DEEPEST {
            return Err(self.refuse(JsonFault::TooDeep));
        }
        Ok(Self { depth: self.depth + 1, fault: self.fault })
    }

    fn refuse<E: Error>(self, fault: JsonFault) -> E {
        self.fault.set(Some(fault));
        E::custom("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Nested<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Nested<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not finite"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut values = Vec::new();
        while let Some(value) = array.next_element_seed(inner)? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut members = Map::new();
        while let Some(key) = object.next_key::<String>()? {
            if members.contains_key(&key) {
                return Err(self.refuse(JsonFault::DuplicateKey(shown(&key))));
            }
            members.insert(key, object.next_value_seed(inner)?);
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn reads_one_value_and_keeps_the_order_of_keys() {
        let value =
            parse(br#" {"z":[1,-2,3.5],"a":{"z":null,"a":"\u00e4\ud83d\ude00"}} "#).unwrap();
        assert_eq!(value.to_string(), r#"{"z":[1,-2,3.5],"a":{"z":null,"a":"ä😀"}}"#);
        assert_eq!(parse(b"null"), Ok(Value::Null));
        assert_eq!(parse(b"18446744073709551615"), Ok(json!(u64::MAX)));
    }

    #[test]
    fn refuses_a_key_that_comes_twice_at_any_depth() {
        for (text, key) in [
            (r#"{"a":1,"a":1}"#, "a"),
            (r#"{"a":1,"b":2,"\u0061":3}"#, "a"),
            (r#"{"x":[{"y":{"password":1,"password":2}}]}"#, "password"),
            (r#"{"":1,"":2}"#, ""),
            (r#"{"a\u0000\nb":1,"a\u0000\nb":2}"#, "ab"),
        ] {
            let fault = JsonFault::DuplicateKey(key.to_owned());
            assert_eq!(parse(text.as_bytes()), Err(fault), "{text}");
        }
        assert!(parse(br#"[{"a":1},{"a":1,"A":2}]"#).is_ok());
    }

    #[test]
    fn refuses_what_nests_too_deep_however_deep_it_is() {
        assert!(parse(nested(32).as_bytes()).is_ok());
        assert_eq!(parse(nested(33).as_bytes()), Err(JsonFault::TooDeep));
        assert_eq!(parse("[".repeat(100_000).as_bytes()), Err(JsonFault::TooDeep));
        assert_eq!(parse(r#"{"a":"#.repeat(20_000).as_bytes()), Err(JsonFault::TooDeep));
    }

    #[test]
    fn tells_nothing_from_something_malformed() {
        for text in ["", " ", "\r\n\t "] {
            assert_eq!(parse(text.as_bytes()), Err(JsonFault::Empty), "{text:?}");
        }
        let malformed: [&[u8]; 20] = [
            b"\xef\xbb\xbf{}",
            b"\xef\xbb\xbf",
            b"\xff\xfe{\0}\0",
            b"\"\xff\"",
            b"{} {}",
            b"{}x",
            b"{}\0",
            b"1 2",
            b"1e999",
            b"-1e999",
            b"NaN",
            b"01",
            b"+1",
            b"'a'",
            b"{a:1}",
            b"{\"a\":1,}",
            b"[1] // one",
            b"\"a\nb\"",
            br#""\ud800""#,
            br#"{"\udfff\ud800":1}"#,
        ];
        for text in malformed {
            assert_eq!(parse(text), Err(JsonFault::Malformed), "{text:?}");
        }
    }

    #[test]
    fn says_nothing_of_the_input_but_a_key() {
        let long = format!(r#"{{"{0}":"hunter2","{0}":1}}"#, "k".repeat(1000));
        let fault = parse(long.as_bytes()).unwrap_err();
        assert_eq!(fault.to_string(), format!("the key `{}` comes twice", "k".repeat(64)));
        let fault = parse(br#"{"password": hunter2}"#).unwrap_err();
        assert_eq!(fault.to_string(), "the JSON is malformed");
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1000_i32..1000).prop_map(|eighths| Value::from(f64::from(eighths) / 8.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn judges_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn judges_anything_like_json(text in r#"[\[\]{}:,"\\a0-9eE.+ nultrfs-]{0,100}"#) {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn reads_what_was_written(value in value()) {
            prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value.clone()));
            let spread = serde_json::to_vec_pretty(&value).unwrap();
            prop_assert_eq!(parse(&spread), Ok(value));
        }
    }
}
