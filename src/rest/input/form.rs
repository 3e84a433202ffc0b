//! Forms: `application/x-www-form-urlencoded`, no name twice.

use percent_encoding::percent_decode;
use secrecy::SecretString;

use super::shown;

const MOST: usize = 64;

/// The parameters of a form, in the order they were sent. No name comes twice.
#[derive(Debug)]
pub struct Form(Vec<(String, SecretString)>);

/// Why bytes are not the form that is read here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormFault {
    /// A `%` without two hex digits behind it, or text that is not UTF-8.
    #[error("the form is malformed")]
    Malformed,
    /// There are more than 64 parameters.
    #[error("the form has too many parameters")]
    TooMany,
    /// This name comes twice. It is shortened to what may be shown.
    #[error("the parameter `{0}` comes twice")]
    Duplicate(String),
}

/// Reads a form. A name without `=` has an empty value; empty parts between `&` are left out.
/// Nothing is trimmed.
///
/// # Errors
/// The first [`FormFault`] of the bytes.
pub fn parse(bytes: &[u8]) -> Result<Form, FormFault> {
    let mut form = Form(Vec::new());
    for part in bytes.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
        if form.0.len() == MOST {
            return Err(FormFault::TooMany);
        }
        let mut halves = part.splitn(2, |byte| *byte == b'=');
        let name = decode(halves.next().unwrap_or_default())?;
        let value = decode(halves.next().unwrap_or_default())?;
        if form.names().any(|other| other == name) {
            return Err(FormFault::Duplicate(shown(&name)));
        }
        form.0.push((name, value.into()));
    }
    Ok(form)
}

impl Form {
    /// Takes the value of a parameter out. `None` where it was not sent, or was taken already.
    pub fn take(&mut self, name: &str) -> Option<SecretString> {
        let at = self.0.iter().position(|(other, _)| other == name)?;
        Some(self.0.remove(at).1)
    }

    /// The names that were not taken yet.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }
}

fn decode(text: &[u8]) -> Result<String, FormFault> {
    let is_hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut escapes = text.split(|byte| *byte == b'%').skip(1);
    if !escapes.all(|digits| is_hex(digits.first()) && is_hex(digits.get(1))) {
        return Err(FormFault::Malformed);
    }
    let spaced: Vec<u8> =
        text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    String::from_utf8(percent_decode(&spaced).collect()).map_err(|_| FormFault::Malformed)
}

#[cfg(test)]
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn pairs(bytes: &[u8]) -> Result<Vec<(String, String)>, FormFault> {
        let shown =
            |(name, value): (String, SecretString)| (name, value.expose_secret().to_owned());
        parse(bytes).map(|form| form.0.into_iter().map(shown).collect())
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn reads_names_and_values() {
        let text = b"grant_type=client_credentials&client_id=a%40b.c&client_secret=a+b%2Bc%26%3d=d";
        let expected = [
            pair("grant_type", "client_credentials"),
            pair("client_id", "a@b.c"),
            pair("client_secret", "a b+c&==d"),
        ];
        assert_eq!(pairs(text).unwrap(), expected);
        let odd = [pair("a", ""), pair("b", ""), pair("", "c")];
        assert_eq!(pairs(b"&&a&b=&=c&").unwrap(), odd);
        assert_eq!(pairs("ä=%C3%A4".as_bytes()).unwrap(), [pair("ä", "ä")]);
        assert_eq!(pairs(b"").unwrap(), []);
    }

    #[test]
    fn gives_each_value_once() {
        let mut form = parse(b"a=1&b=2").unwrap();
        assert_eq!(form.take("a").unwrap().expose_secret(), "1");
        assert!(form.take("a").is_none());
        assert!(form.take("c").is_none());
        assert_eq!(form.names().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn refuses_a_name_that_comes_twice_however_it_is_written() {
        for text in ["a=1&a=1", "a=1&b=2&%61=3", "a&a", "x=1&a=&y=2&a="] {
            let fault = FormFault::Duplicate("a".to_owned());
            assert_eq!(pairs(text.as_bytes()), Err(fault), "{text}");
        }
        assert_eq!(pairs(b"=1&="), Err(FormFault::Duplicate(String::new())));
        let long = format!("{0}=1&{0}=2", "k%0A".repeat(100));
        assert_eq!(pairs(long.as_bytes()), Err(FormFault::Duplicate("k".repeat(64))));
        assert!(pairs(b"a=1&A=1").is_ok());
    }

    #[test]
    fn refuses_what_does_not_decode() {
        let malformed: [&[u8]; 10] = [
            b"a=%",
            b"a=%4",
            b"%zz=1",
            b"a=%4g",
            b"a=%%41",
            b"a=%+1",
            b"a=%ff",
            b"a=\xff",
            b"a=%C3&b=%A4",
            b"a=%ED%A0%80",
        ];
        for text in malformed {
            assert_eq!(pairs(text), Err(FormFault::Malformed), "{text:?}");
        }
    }

    #[test]
    fn refuses_the_65th_parameter() {
        let form = |count: usize| {
            let parts: Vec<_> = (0..count).map(|number| format!("k{number}=v")).collect();
            parts.join("&")
        };
        assert_eq!(pairs(form(64).as_bytes()).unwrap().len(), 64);
        assert_eq!(pairs(form(65).as_bytes()), Err(FormFault::TooMany));
        assert_eq!(pairs(form(10_000).as_bytes()), Err(FormFault::TooMany));
        assert_eq!(pairs("&".repeat(65_536).as_bytes()).unwrap(), []);
    }

    #[test]
    fn shows_no_value() {
        let form = parse(b"client_secret=hunter2").unwrap();
        assert!(!format!("{form:?}").contains("hunter2"));
    }

    proptest! {
        #[test]
        fn judges_any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn judges_anything_like_a_form(text in "[a-c0-9%&=+é]{0,60}") {
            let _ = parse(text.as_bytes());
        }

        #[test]
        fn reads_what_was_written(
            form in proptest::collection::btree_map(any::<String>(), any::<String>(), 0..20)
        ) {
            let encode = |text: &str| {
                utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().replace("%20", "+")
            };
            let parts: Vec<_> =
                form.iter().map(|(name, value)| encode(name) + "=" + &encode(value)).collect();
            let expected: Vec<_> = form.into_iter().collect();
            prop_assert_eq!(pairs(parts.join("&").as_bytes()), Ok(expected));
        }
    }
}
