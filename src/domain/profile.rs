//! Profiles: the named recipes by which tokens are made. The settings hold the table.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::error::Field;
use super::identity::{Realm, slug};
use super::store::LockoutPolicy;
use super::token::TokenKind;

/// The name of a profile: `[a-z0-9-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileName(Arc<str>);

impl ProfileName {
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

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How long something lives: a time, or without end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// This long.
    For(Duration),
    /// Until it is revoked.
    Endless,
}

impl Life {
    /// How long that is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::For(time) => time,
            Self::Endless => Duration::MAX,
        }
    }
}

/// How the secret of an opaque token is written. Each holds random bits and a keyed check of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OpaqueForm {
    /// 40 lowercase hex digits: 128 random bits, 32 of check.
    Hex40,
    /// 32 of `[0-9a-z]`: 128 random bits, 37 of check.
    Base36x32,
    /// `apnz_` and 35 of `[A-Za-z0-9]`: 160 random bits, 48 of check.
    Apnz,
    /// `tkd_` and 43 of `[A-Za-z0-9]`: 192 random bits, 64 of check.
    Tkd,
    /// `tkr_` and 43 of `[A-Za-z0-9]`: our own refresh tokens, as [`Self::Tkd`].
    Tkr,
}

/// An algorithm that signs, as JWA names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// Ed25519.
    EdDsa,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, with a modulus of this many bits (2048 or 4096).
    Rs256 {
        /// Bits of the modulus of keys to be made.
        bits: u16,
    },
    /// HMAC with SHA-256.
    Hs256,
}

impl Algorithm {
    /// The name by RFC 7518 and RFC 8037.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
            Self::Rs256 { .. } => "RS256",
            Self::Hs256 => "HS256",
        }
    }
}

/// Which claims a JWT carries for its readers, beside those that we check it by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimStyle {
    /// RFC 9068: `typ` is `at+jwt`; `iss`, `sub` (the user's id), `aud`, `iat`, `exp`, `jti`.
    AccessToken,
    /// `typ` is `JWT`; `iss`, `sub` (the user's name), `iat`, `exp`, `jti`.
    Plain,
    /// `typ` is `JWT`; `iss`, `username`, `iat`, `exp`, `sub` (`operation` or `refresh`), `jti`.
    Harperdb,
}

/// How a token's secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A random secret that is looked up.
    Opaque(OpaqueForm),
    /// A signed statement (RFC 7519).
    Jwt {
        /// What signs it.
        algorithm: Algorithm,
        /// What it says.
        claims: ClaimStyle,
    },
}

/// How the public id of a token is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdForm {
    /// A UUID.
    Uuid,
    /// `api_` and 21 of `[A-Za-z0-9_-]`.
    Api,
}

/// The refresh tokens that go with a profile's operation tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefreshPolicy {
    /// How they are written: opaque where they rotate; a JWT is signed as the profile's own.
    pub format: Format,
    /// How long the family lives from the sign-in on. A refresh extends nothing.
    pub life: Duration,
    /// Whether each refresh answers a new one and uses the old one up.
    pub rotation: RefreshRotation,
}

/// Whether a refresh uses up the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefreshRotation {
    /// Each refresh answers a successor; the old one, back later, kills the grant.
    Rotating,
    /// The same token refreshes until it ends.
    Fixed,
}

/// A recipe for tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: ProfileName,
    /// What its tokens are for: [`TokenKind::Operation`] or [`TokenKind::Personal`].
    pub kind: TokenKind,
    /// How the secrets are written.
    pub format: Format,
    /// How the ids are written.
    pub id_form: IdForm,
    /// How long a token lives where nobody chose.
    pub default_life: Life,
    /// The longest that may be chosen.
    pub max_life: Life,
    /// The one realm that it is for; `None`: any.
    pub realm: Option<Realm>,
    /// Its refresh tokens, if it has any.
    pub refresh: Option<RefreshPolicy>,
    /// Whether only a user who has a role may have one (Magento's admins).
    pub requires_role: bool,
    /// Whether its tokens are met by `@self` permissions alone (Magento's customers).
    pub self_only: bool,
    /// Whether a personal token that was made with another one lives on when that one is revoked.
    pub outlives_parent: bool,
    /// How many live tokens one user may have; beyond it the longest unused is revoked.
    pub max_live_per_user: Option<u32>,
    /// How failed sign-ins for it lock a name.
    pub lockout: LockoutPolicy,
}

/// The place of a profile in the table, for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProfileNumber(u16);

/// The profiles and realms of this service.
#[derive(Debug, Clone, Default)]
pub struct Profiles {
    by_name: BTreeMap<ProfileName, Arc<Profile>>,
    // In the order of their names. One beyond what a number can say is as good as not there.
    by_number: Vec<Arc<Profile>>,
    realms: Vec<Realm>,
}

impl Profiles {
    /// Makes the table. `default` is a realm whether or not it is among `realms`, and so is every
    /// realm that a profile names.
    #[must_use]
    pub fn new(profiles: Vec<Profile>, realms: Vec<Realm>) -> Self {
        let mut realms = realms;
        realms.push(Realm::default());
        realms.extend(profiles.iter().filter_map(|profile| profile.realm.clone()));
        realms.sort();
        realms.dedup();
        let by_name: BTreeMap<_, _> =
            profiles.into_iter().map(|p| (p.name.clone(), Arc::new(p))).collect();
        let by_number = by_name.values().take(usize::from(u16::MAX)).cloned().collect();
        Self { by_name, by_number, realms }
    }

    /// Finds a profile by its name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Arc<Profile>> {
        self.by_name.iter().find(|(known, _)| known.as_str() == name).map(|(_, profile)| profile)
    }

    /// Answers what a profile is found by without its name, as long as the process lives: of one
    /// that is not in the table, what none is found by.
    #[must_use]
    pub fn number(&self, name: &str) -> ProfileNumber {
        let place = self.by_name.keys().position(|known| known.as_str() == name);
        ProfileNumber(place.and_then(|place| u16::try_from(place).ok()).unwrap_or(u16::MAX))
    }

    /// Finds a profile by its number.
    #[must_use]
    pub fn numbered(&self, number: ProfileNumber) -> Option<&Arc<Profile>> {
        self.by_number.get(usize::from(number.0))
    }

    /// Answers the profile that a request names; empty is `operation`.
    ///
    /// # Errors
    /// The fault of the field `profile`.
    pub fn get(&self, name: &str) -> Result<&Arc<Profile>, Field> {
        let name = if name.is_empty() { "operation" } else { name };
        self.find(name).ok_or_else(|| Field::new("profile", "is not a profile of this service"))
    }

    /// Lists the profiles by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Profile>> {
        self.by_name.values()
    }

    /// Answers the realm that a request names; empty is `default`.
    ///
    /// # Errors
    /// The fault of the field `realm`.
    pub fn realm(&self, name: &str) -> Result<Realm, Field> {
        self.find_realm(name).cloned()
    }

    /// The same, borrowed.
    ///
    /// # Errors
    /// As [`Self::realm`].
    pub fn find_realm(&self, name: &str) -> Result<&Realm, Field> {
        let name = if name.is_empty() { Realm::DEFAULT } else { name };
        self.realms
            .iter()
            .find(|realm| realm.as_str() == name)
            .ok_or_else(|| Field::new("realm", "is not a realm of this service"))
    }

    /// Lists the realms by name.
    #[must_use]
    pub fn realms(&self) -> &[Realm] {
        &self.realms
    }
}
