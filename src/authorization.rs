//! The `Authorization` header, parsed in one place.
//!
//! Both faces read it: the shim because its dialects answer each fault in their own words, the
//! contract because callers name themselves by it.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use secrecy::SecretString;

// Clients in the wild leave the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What an `Authorization` header says. Scheme names are matched without regard to case.
#[derive(Debug)]
pub enum Authorization {
    /// A user name and its password (RFC 7617), split at the first `:`. Nothing is trimmed.
    Basic {
        /// What stands before the first `:`. May be empty.
        username: String,
        /// All that stands after it. May be empty.
        password: SecretString,
    },
    /// A token (RFC 6750), also under the scheme `Token`. Not empty.
    Bearer(SecretString),
}

/// Why a header could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// There is none, or it is of a scheme that is not ours.
    #[error("no Basic or Bearer credentials were given")]
    Absent,
    /// A scheme, and nothing behind it.
    #[error("the credentials are empty")]
    Empty,
    /// More than one word behind the scheme.
    #[error("the credentials hold a space")]
    Spaces,
    /// `Basic` without base64 of UTF-8 text that holds a `:`; or bytes no header should hold.
    #[error("the credentials are not base64 of `name:password`")]
    Encoding,
}

impl Authorization {
    /// Reads the value of an `Authorization` header.
    ///
    /// # Errors
    /// The [`Fault`] of the value; [`Fault::Absent`] for a scheme that is none of ours.
    pub fn parse(value: &[u8]) -> Result<Self, Fault> {
        if is_of(value, b"basic") {
            let (username, password) = Self::parse_basic(value)?;
            return Ok(Self::Basic { username, password });
        }
        if is_of(value, b"bearer") || is_of(value, b"token") {
            return Self::token(credentials(value)?).map(Self::Bearer);
        }
        Err(Fault::Absent)
    }

    /// Reads the value where `Basic` alone counts: the name and the password.
    ///
    /// # Errors
    /// The [`Fault`] of the value; [`Fault::Absent`] for every other scheme, whatever follows it.
    pub fn parse_basic(value: &[u8]) -> Result<(String, SecretString), Fault> {
        if !is_of(value, b"basic") {
            return Err(Fault::Absent);
        }
        let pair = BASE64.decode(credentials(value)?).map_err(|_| Fault::Encoding)?;
        let pair = String::from_utf8(pair).map_err(|_| Fault::Encoding)?;
        let (username, password) = pair.split_once(':').ok_or(Fault::Encoding)?;
        Ok((username.to_owned(), password.into()))
    }

    /// Reads the value where `Bearer` alone counts: the token.
    ///
    /// # Errors
    /// The [`Fault`] of the value; [`Fault::Absent`] for every other scheme, whatever follows it.
    pub fn parse_bearer(value: &[u8]) -> Result<SecretString, Fault> {
        if !is_of(value, b"bearer") {
            return Err(Fault::Absent);
        }
        Self::token(credentials(value)?)
    }

    fn token(credentials: &[u8]) -> Result<SecretString, Fault> {
        let token = std::str::from_utf8(credentials).map_err(|_| Fault::Encoding)?;
        Ok(token.into())
    }
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

fn is_of(value: &[u8], scheme: &[u8]) -> bool {
    words(value).next().is_some_and(|word| word.eq_ignore_ascii_case(scheme))
}

fn credentials(value: &[u8]) -> Result<&[u8], Fault> {
    let mut words = words(value).skip(1);
    let credentials = words.next().ok_or(Fault::Empty)?;
    if words.next().is_some() { Err(Fault::Spaces) } else { Ok(credentials) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret as _;

    use super::*;

    fn basic(value: &str) -> (String, String) {
        match Authorization::parse(value.as_bytes()) {
            Ok(Authorization::Basic { username, password }) => {
                (username, password.expose_secret().to_owned())
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn splits_basic_at_the_first_colon_and_trims_nothing() {
        let pair = ("user@domain".to_owned(), "password\n".to_owned());
        assert_eq!(basic("Basic dXNlckBkb21haW46cGFzc3dvcmQK"), pair);
        let value = format!("bAsIc {}", BASE64.encode("a:b: c "));
        assert_eq!(basic(&value), ("a".to_owned(), "b: c ".to_owned()));
    }

    #[test]
    fn takes_basic_without_padding() {
        assert_eq!(basic("Basic YTpi").0, "a");
        assert_eq!(basic("Basic YTpiYw").1, "bc");
    }

    #[test]
    fn takes_bearer_and_token_alike() {
        for value in ["Bearer x.y", "bearer  x.y", "Token x.y"] {
            match Authorization::parse(value.as_bytes()) {
                Ok(Authorization::Bearer(token)) => assert_eq!(token.expose_secret(), "x.y"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn names_each_fault() {
        let cases: [(&[u8], Fault); 8] = [
            (b"", Fault::Absent),
            (b"Digest abc", Fault::Absent),
            (b"Basic", Fault::Empty),
            (b"Basic ", Fault::Empty),
            (b"Basic a b", Fault::Spaces),
            (b"Basic ???", Fault::Encoding),
            (b"Basic YQ==", Fault::Encoding),
            (b"Basic /zr/", Fault::Encoding),
        ];
        for (value, fault) in cases {
            assert_eq!(Authorization::parse(value).err(), Some(fault), "{value:?}");
        }
    }

    #[test]
    fn takes_bearer_alone_where_it_alone_counts() {
        let token = |value: &str| Authorization::parse_bearer(value.as_bytes());
        assert_eq!(token("bEARER x.y").unwrap().expose_secret(), "x.y");
        for (value, fault) in
            [("Token x.y", Fault::Absent), ("Basic YTpi", Fault::Absent), ("Bearer", Fault::Empty)]
        {
            assert_eq!(token(value).err(), Some(fault), "{value}");
        }
    }

    #[test]
    fn sees_no_credentials_in_another_scheme_where_basic_alone_counts() {
        let cases: [(&[u8], Fault); 4] = [
            (b"Token", Fault::Absent),
            (b"Bearer a b", Fault::Absent),
            (b"Basic", Fault::Empty),
            (b"Basic YQ==", Fault::Encoding),
        ];
        for (value, fault) in cases {
            assert_eq!(Authorization::parse_basic(value).err(), Some(fault), "{value:?}");
        }
    }

    proptest! {
        #[test]
        fn judges_any_bytes(value in proptest::collection::vec(any::<u8>(), 0..100)) {
            drop(Authorization::parse(&value));
            drop(Authorization::parse_basic(&value));
            drop(Authorization::parse_bearer(&value));
        }

        #[test]
        fn reads_what_was_written(username in "[^:]{0,20}", password in ".{0,20}") {
            let value = format!("Basic {}", BASE64.encode(format!("{username}:{password}")));
            prop_assert_eq!(basic(&value), (username, password));
        }
    }
}
