//! Grants and tokens.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

use super::clock::Timestamp;
use super::facts::Weigh as _;
use super::identity::{Generation, RoleId, UserId};
use super::profile::ProfileName;

mod id;

pub use id::TokenId;

/// What a token is for. Nothing accepts a token of another kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Short-lived, presented to services.
    Operation,
    /// Exchanged for new operation tokens.
    Refresh,
    /// Made by a user for a program of theirs; has a grant of its own.
    Personal,
}

/// Where a token is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    /// Good, as far as the token and its grant go.
    Active,
    /// Its lifetime is over.
    Expired,
    /// It or its grant was revoked.
    Revoked,
}

/// The id of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub Uuid);

impl GrantId {
    /// Reads an id as the contract writes it.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        Uuid::try_parse(text).map(Self).map_err(|_| "must be a UUID")
    }
}

impl fmt::Display for GrantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an opaque token is looked up by: the SHA-256 digest of its secret, which is not kept.
#[derive(Clone, Copy, Eq, Hash)]
#[expect(clippy::derived_hash_with_manual_eq, reason = "the same relation, in constant time")]
pub struct TokenDigest([u8; 32]);

impl TokenDigest {
    /// Digests a secret.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Takes a digest as the database keeps it.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest as the database keeps it.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for TokenDigest {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenDigest")
    }
}

/// A token's secret, in memory between its making and its answer.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Takes a secret.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text.into())
    }

    /// Shows the secret: to its holder, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether it can be no JWT: no opaque secret has a dot, and no JWT has none.
    #[must_use]
    pub fn is_opaque(&self) -> bool {
        !self.expose().contains('.')
    }

    /// What the database finds it by.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest::of(self.expose())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The roles chosen for a token: an upper bound for ever, of which its user's present roles are
/// what it carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoleChoice {
    /// None chosen: it follows its user.
    Inherit,
    /// These.
    Only(Arc<BTreeSet<RoleId>>),
}

impl RoleChoice {
    /// These roles and no other.
    pub fn only(roles: impl IntoIterator<Item = RoleId>) -> Self {
        Self::Only(Arc::new(roles.into_iter().collect()))
    }

    /// Bytes that it keeps beside itself.
    pub(super) fn heap(&self) -> usize {
        match self {
            Self::Inherit => 0,
            Self::Only(chosen) => chosen.heap(),
        }
    }

    /// The roles that it carries while its user has `held`, sorted.
    pub fn of<'a>(
        &'a self,
        held: &'a BTreeSet<RoleId>,
    ) -> impl Iterator<Item = RoleId> + Clone + 'a {
        let chosen = match self {
            Self::Inherit => None,
            Self::Only(chosen) => Some(chosen),
        };
        let is_chosen = move |role: &RoleId| chosen.is_none_or(|chosen| chosen.contains(role));
        held.iter().copied().filter(is_chosen)
    }
}

/// What one sign-in allowed. Every token made from it dies with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The id.
    pub id: GrantId,
    /// Whose it is.
    pub user: UserId,
    /// The generation read with the credential that it was proven by.
    pub generation: Generation,
    /// When it was made.
    pub created_at: Timestamp,
    /// When all of its tokens will have ended; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
}

/// A token as the database keeps it: a secret that stands for a grant, without the secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The id.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// The grant it was made from.
    pub grant: GrantId,
    /// What its owner called it.
    pub display_name: String,
    /// The profile it was made by.
    pub profile: ProfileName,
    /// What it is for.
    pub kind: TokenKind,
    /// The roles chosen for it.
    pub roles: RoleChoice,
    /// What it is looked up by; `None` for a JWT, which needs no row to be checked.
    pub digest: Option<TokenDigest>,
    /// The key that made its check or its signature.
    pub key: KeyId,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None`: never.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// When it was last accepted, to about a minute.
    pub last_used_at: Option<Timestamp>,
    /// The personal token that it was made with and dies with: a personal token alone has one.
    pub parent: Option<TokenId>,
}

impl Token {
    /// Where it is in its life, given its grant's revocation.
    #[must_use]
    pub fn state(&self, grant_revoked_at: Option<Timestamp>, now: Timestamp) -> TokenState {
        if self.revoked_at.is_some() || grant_revoked_at.is_some() {
            TokenState::Revoked
        } else if self.expires_at.is_some_and(|end| end <= now) {
            TokenState::Expired
        } else {
            TokenState::Active
        }
    }
}

/// The id of a key: what a JWT's `kid` says. `[A-Za-z0-9_-]{1,64}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(Arc<str>);

impl KeyId {
    /// Reads an id.
    ///
    /// # Errors
    /// What is wrong with it, to follow a field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if id::is_id(text) { Ok(Self(text.into())) } else { Err("is not the id of a key") }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for KeyId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
