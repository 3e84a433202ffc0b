//! A check, and its answer.

use std::sync::Arc;
use std::time::Duration;

use super::super::clock::Timestamp;
use super::super::identity::{Role, User};
use super::super::profile::ProfileName;
use super::super::token::{GrantId, Secret, TokenId, TokenKind};

/// Asks whether a bearer may.
#[derive(Debug, Clone)]
pub struct Check {
    /// The token; `None`: a guest.
    pub token: Option<Secret>,
    /// What is wanted.
    pub permissions: Vec<String>,
    /// Who owns what it is wanted on; empty: nobody.
    pub owner: String,
    /// The realm; empty: `default`; `*`: any.
    pub realm: String,
    /// The profiles that are accepted; empty: any.
    pub profiles: Vec<String>,
    /// What to do with a token that is refused.
    pub on_refused: OnRefused,
}

/// What to do with a token that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnRefused {
    /// Deny.
    Deny,
    /// Go on as for a guest.
    Guest,
}

/// Why a bearer may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DenyReason {
    /// No token, and nothing that a guest may have was asked.
    NoToken,
    /// Not a token of ours, or of another realm.
    UnknownToken,
    /// Its lifetime is over.
    ExpiredToken,
    /// It, its grant or its key was revoked.
    RevokedToken,
    /// A refresh token.
    WrongKind,
    /// Of a profile that is not accepted.
    WrongProfile,
    /// Its user is disabled or gone.
    DisabledUser,
    /// The token is good, but a permission is missing.
    MissingPermission,
}

/// The answer to a [`Check`].
#[derive(Debug, Clone)]
pub struct Verdict {
    /// Why not; `None`: they may.
    pub denied: Option<DenyReason>,
    /// Who they are, where a token was accepted.
    pub bearer: Option<Bearer>,
    /// Which of the permissions asked are not held.
    pub missing: Vec<String>,
    /// How old the facts may be: zero unless served stale.
    pub facts_age: Duration,
}

/// A token that was accepted, and who holds it.
#[derive(Debug, Clone)]
pub struct Bearer {
    /// The token.
    pub token: TokenSummary,
    /// The user.
    pub user: Arc<User>,
}

/// What a service needs to know of a token.
#[derive(Debug, Clone)]
pub struct TokenSummary {
    /// The id.
    pub id: TokenId,
    /// The grant.
    pub grant: GrantId,
    /// The profile.
    pub profile: ProfileName,
    /// What for.
    pub kind: TokenKind,
    /// The roles it carries now, sorted by name.
    pub roles: Vec<Arc<Role>>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}
