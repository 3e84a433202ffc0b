//! Realms, users and roles.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use caseless::Caseless as _;
use precis_profiles::UsernameCasePreserved;
use precis_profiles::precis_core::{self, profile::Profile as _};
use unicode_normalization::UnicodeNormalization as _;
use uuid::Uuid;

use super::clock::Timestamp;
use super::permission::PermissionSet;

/// The longest display name and description, in characters.
pub const MAX_TEXT: usize = 255;

/// The longest form that names are compared by, in characters.
const MAX_KEY: usize = 640;

/// Reads the name of something that the settings name.
pub(super) fn slug(text: &str) -> Result<Arc<str>, &'static str> {
    let fits = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(text.into()) } else { Err("must be 1 to 64 of a-z, 0-9 and -") }
}

/// A separate set of users and roles: `[a-z0-9-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Realm(Arc<str>);

impl Realm {
    /// The realm that always exists.
    pub const DEFAULT: &str = "default";

    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        slug(text).map(Self)
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Realm {
    fn default() -> Self {
        Self(Self::DEFAULT.into())
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a user. Never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub Uuid);

impl UserId {
    /// Reads an id as the contract writes it.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Uuid::try_parse(text).map(Self).map_err(|_| "must be a UUID")
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A user's name: kept as it was given, compared after NFKC and case folding.
#[derive(Debug, Clone)]
pub struct Username {
    text: String,
    key: String,
}

impl Username {
    /// Reads a name: 1 to 255 characters without `:` or control characters. White space at either
    /// end is kept, and makes it no other name.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("must not be empty");
        }
        if text.chars().count() > 255 {
            return Err("must be at most 255 characters");
        }
        if text.chars().any(|c| c == ':' || c.is_control()) {
            return Err("must not hold `:` or control characters");
        }
        let key: String = text.nfkc().default_case_fold().nfkc().collect();
        let key = key.trim().to_owned();
        // NFKC can make eighteen characters of one.
        if key.chars().count() > MAX_KEY {
            return Err("must be at most 640 characters in its normal form");
        }
        // NFKC makes a `:` of its full-width form, which Basic could not carry.
        if key.is_empty() || key.contains(':') {
            return Err("must hold a letter or digit, and no `:` in any form");
        }
        Ok(Self { text: text.to_owned(), key })
    }

    /// Whether a new user may have it: each word of it is a user name of RFC 8265
    /// (`UsernameCasePreserved`), so that no two names look alike by what nobody sees. Names that
    /// were given before are good for signing in.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name. Of the name it tells one code point.
    pub fn check_new(&self) -> Result<(), String> {
        let profile = UsernameCasePreserved::new();
        for word in self.text.split(' ').filter(|word| !word.is_empty()) {
            profile.enforce(word).map_err(|error| fault_of(&error))?;
        }
        Ok(())
    }

    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What names are compared by.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn fault_of(error: &precis_core::Error) -> String {
    use precis_core::DerivedPropertyValue as Property;
    use precis_core::Error::{BadCodepoint, Invalid, Unexpected};
    let bad = match error {
        BadCodepoint(bad) => bad,
        Invalid => return "must not mix directions of writing in a word (RFC 5893)".to_owned(),
        Unexpected(_) => return "must not hold a mark outside of its place (RFC 5892)".to_owned(),
    };
    let kind = match bad.property {
        Property::Unassigned => "which is no character yet",
        Property::ContextJ | Property::ContextO => "which has its place elsewhere (RFC 5892)",
        Property::Disallowed => {
            "which is invisible, turns the direction or has no meaning of its own"
        }
        Property::PValid | Property::SpecClassPval | Property::SpecClassDis => {
            "which is a symbol, a space or another form of a letter"
        }
    };
    format!("must not hold U+{:04X}, {kind}", bad.cp)
}

/// Since when a user's credentials are good: rises when the password changes, on a sign-out
/// everywhere, and when the user is disabled. A grant of an older generation is refused. The first
/// is 1; each next one is a time of day in microseconds, or higher, so that none is given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub i64);

/// Whether a user may have tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserState {
    /// They may.
    Active,
    /// They may not.
    Disabled,
}

/// One who can prove themselves: a person or a service.
#[derive(Debug, Clone)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The realm, in which the name is unique.
    pub realm: Realm,
    /// The name.
    pub username: String,
    /// What people call them.
    pub display_name: String,
    /// Whether they may have tokens.
    pub state: UserState,
    /// The generation that a live grant of theirs has.
    pub generation: Generation,
    /// The roles they were given.
    pub roles: BTreeSet<RoleId>,
    /// When they were made.
    pub created_at: Timestamp,
    /// When they were last changed.
    pub updated_at: Timestamp,
}

/// The id of a role, behind its name: a new role of an old name has a new one, so that nothing
/// that was given with the old role comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleId(pub Uuid);

/// The name of a role, which the contract calls its id: `[A-Za-z0-9_.:-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(Arc<str>);

impl RoleName {
    /// What everyone holds, a guest included.
    pub const ANONYMOUS: &str = "anonymous";

    /// Reads a name.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b));
        if fits { Ok(Self(text.into())) } else { Err("must be 1 to 64 of A-Z, a-z, 0-9 and _.:-") }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A named set of permissions.
#[derive(Debug, Clone)]
pub struct Role {
    /// The id behind the name.
    pub id: RoleId,
    /// The realm, in which the name is unique.
    pub realm: Realm,
    /// The name.
    pub name: RoleName,
    /// What it is for.
    pub description: String,
    /// What it grants.
    pub permissions: PermissionSet,
}

/// Reads a display name or description.
///
/// # Errors
/// What is wrong with it, to follow a field's name.
pub fn parse_text(text: &str) -> Result<String, &'static str> {
    if text.chars().count() > MAX_TEXT {
        return Err("must be at most 255 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must not hold control characters");
    }
    if text.chars().any(breaks_or_turns) {
        return Err(
            "must not hold U+2028, U+2029, U+202A to U+202E or U+2066 to U+2069, which break \
                    a line or turn its direction",
        );
    }
    Ok(text.to_owned())
}

/// Whether a character would have what stands behind it shown elsewhere.
fn breaks_or_turns(character: char) -> bool {
    matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_new_users_no_name_that_holds_what_nobody_sees() {
        for (name, point) in [
            ("ali\u{200b}ce", "U+200B"),
            ("ali\u{200d}ce", "U+200D"),
            ("\u{feff}alice", "U+FEFF"),
            ("alice\u{ad}", "U+00AD"),
            ("alice\u{fe0f}", "U+FE0F"),
            ("alice\u{e0041}", "U+E0041"),
            ("\u{3164}", "U+3164"),
            ("\u{115f}", "U+115F"),
            ("\u{2800}", "U+2800"),
            ("a\u{a0}b", "U+00A0"),
            ("\u{202e}ecila", "U+202E"),
            ("a\u{2066}b", "U+2066"),
            ("a\u{61c}b", "U+061C"),
            ("a\u{200f}b", "U+200F"),
            ("a\u{378}b", "U+0378"),
            ("a\u{e000}b", "U+E000"),
        ] {
            let parsed = Username::parse(name).unwrap();
            let fault = parsed.check_new().unwrap_err();
            assert!(fault.starts_with(&format!("must not hold {point}, which ")), "{fault}");
            assert!(fault.is_ascii(), "{fault}");
        }
        let mixed = Username::parse("abc\u{5d0}\u{5d1}").unwrap().check_new().unwrap_err();
        assert!(mixed.starts_with("must not mix directions"), "{mixed}");
    }

    #[test]
    fn gives_new_users_the_names_that_people_have() {
        for name in [
            "alice",
            "Alice Smith",
            " alice ",
            "alice@example.com",
            "o'hara",
            "José",
            "jose\u{301}",
            "Straße",
            "Алиса",
            "李雷",
            "ハン",
            "ＢＯＢ",
            "محمد",
            "שרה",
            "Nguyễn",
            "svc-1.a_b+c/d#2",
        ] {
            assert_eq!(Username::parse(name).unwrap().check_new(), Ok(()), "{name}");
        }
    }

    #[test]
    fn takes_no_text_that_is_shown_elsewhere_than_it_stands() {
        for bad in ["a\nb", "a\u{202e}b", "a\u{2067}b", "a\u{2028}b", "a\u{202a}"] {
            assert!(parse_text(bad).is_err(), "{bad:?}");
        }
        for good in ["", "Müller-Øre 日本", "משה", "👩\u{200d}💻"] {
            assert_eq!(parse_text(good).as_deref(), Ok(good));
        }
    }
}
