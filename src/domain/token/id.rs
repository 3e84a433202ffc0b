//! The public name of a token, kept in few bytes.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use uuid::Uuid;

use crate::domain::facts::shared_text;

/// What an id begins with that is no UUID.
const API: &str = "api_";

/// How many letters follow it: 126 bits, six to a letter.
const API_LETTERS: usize = 21;

/// The letters of an id, in the order of their bytes.
const LETTERS: &[u8; 64] = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// The public name of a token: a UUID, or `api_` and 21 characters. For a JWT it is the `jti`.
///
/// A copy of either allocates nothing and touches nothing that others share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(Form);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Form {
    Uuid(Uuid),
    /// The letters behind [`API`], as a number.
    Api([u8; 16]),
    /// What no profile of ours makes.
    Other(Arc<str>),
}

impl TokenId {
    /// Reads an id: 1 to 64 of `[A-Za-z0-9_-]`.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !is_id(text) {
            return Err("is not the id of a token");
        }
        let form = match (read_uuid(text), read_api(text)) {
            (Some(id), _) => Form::Uuid(id),
            (None, Some(letters)) => Form::Api(letters),
            (None, None) => Form::Other(text.into()),
        };
        Ok(Self(form))
    }

    /// Has the text told, which most forms need no memory for.
    pub fn with_text<T>(&self, tell: impl FnOnce(&str) -> T) -> T {
        match &self.0 {
            Form::Uuid(id) => tell(id.hyphenated().encode_lower(&mut [0; 36])),
            Form::Api(_) => tell(&self.to_string()),
            Form::Other(text) => tell(text),
        }
    }

    /// Bytes that it keeps beside itself.
    pub(in crate::domain) fn heap(&self) -> usize {
        match &self.0 {
            Form::Uuid(_) | Form::Api(_) => 0,
            Form::Other(text) => shared_text(text),
        }
    }
}

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Uuid(id) => id.fmt(f),
            Form::Api(letters) => write_api(*letters, f),
            Form::Other(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

/// Whether a text is written as the ids of tokens and keys are.
pub(super) fn is_id(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Reads a UUID, if it is written as one is shown: whatever else stays what it was.
fn read_uuid(text: &str) -> Option<Uuid> {
    let id = Uuid::try_parse(text).ok()?;
    (*id.hyphenated().encode_lower(&mut [0; 36]) == *text).then_some(id)
}

fn read_api(text: &str) -> Option<[u8; 16]> {
    let letters = text.strip_prefix(API).filter(|letters| letters.len() == API_LETTERS)?;
    let number = letters.bytes().try_fold(0_u128, |number, letter| {
        let digit = LETTERS.binary_search(&letter).ok()?;
        Some(number << 6 | u128::try_from(digit).ok()?)
    })?;
    Some(number.to_be_bytes())
}

fn write_api(letters: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let number = u128::from_be_bytes(letters);
    f.write_str(API)?;
    for place in (0..API_LETTERS).rev() {
        let digit = usize::try_from(number >> (6 * place) & 63).unwrap_or_default();
        let letter = LETTERS.get(digit).ok_or(fmt::Error)?;
        f.write_char(char::from(*letter))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn says_what_it_was_read_from(text in "api_[A-Za-z0-9_-]{21}|[A-Za-z0-9_-]{1,64}") {
            let id = TokenId::parse(&text).unwrap();
            prop_assert_eq!(id.with_text(str::to_owned), &*text);
            prop_assert_eq!(id.to_string(), text);
        }

        #[test]
        fn says_a_uuid_as_it_was_written(id: u128) {
            let id = Uuid::from_u128(id);
            for text in [id.to_string(), id.to_string().to_uppercase(), id.simple().to_string()] {
                let id = TokenId::parse(&text).unwrap();
                prop_assert_eq!(id.with_text(str::to_owned), &*text);
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }

    #[test]
    fn keeps_nothing_beside_itself_of_what_profiles_make() {
        for text in ["api_-_0aZ0123456789abcdef", "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert_eq!(TokenId::parse(text).unwrap().heap(), 0, "{text}");
        }
        assert!(TokenId::parse("api_short").unwrap().heap() > 0);
        assert_eq!(size_of::<TokenId>(), 24);
    }

    #[test]
    fn refuses_what_is_no_id() {
        for text in ["", "a b", "ä", "a/b", &"a".repeat(65)] {
            assert!(TokenId::parse(text).is_err(), "{text}");
        }
    }
}
