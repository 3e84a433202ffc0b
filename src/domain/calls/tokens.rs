//! The life of a token: asked for, refreshed, revoked, listed.

use std::time::Duration;

use super::super::clock::Timestamp;
use super::super::identity::{RoleName, UserId};
use super::super::profile::ProfileName;
use super::super::token::{GrantId, Secret, TokenId, TokenKind, TokenState};
use super::{Credential, PageRequest, RoleView, TokenSummary, UserView, Wait};

/// Asks for a token.
#[derive(Debug, Clone)]
pub struct CreateToken {
    /// Who it is for; [`CreateFor::Caller`]: who the metadata proves.
    pub credential: CreateFor,
    /// The profile; empty: `operation`.
    pub profile: String,
    /// What to call it.
    pub display_name: String,
    /// How long it lives.
    pub lifetime: Lifetime,
    /// The roles chosen; `None`: what the credential has.
    pub roles: Option<Vec<String>>,
}

/// Who a token is for.
#[derive(Debug, Clone)]
pub enum CreateFor {
    /// Who the metadata proves.
    Caller,
    /// Who this proves; beats the metadata.
    Credential(Credential),
    /// This user: for the operator alone.
    User(String),
}

/// How long a token is to live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// As the profile says.
    Default,
    /// This many microseconds from now. May be absurd.
    For(i64),
    /// Until then. May be absurd.
    Until(Timestamp),
    /// For ever.
    Never,
}

/// A token as its owner may see it.
#[derive(Debug, Clone)]
pub struct TokenView {
    /// The id.
    pub id: TokenId,
    /// Whose.
    pub user: UserId,
    /// From which grant.
    pub grant: GrantId,
    /// What it is called.
    pub display_name: String,
    /// By which profile.
    pub profile: ProfileName,
    /// What for.
    pub kind: TokenKind,
    /// The roles it carries now, sorted.
    pub roles: Vec<RoleName>,
    /// Whether it follows its user's roles.
    pub inherits_roles: bool,
    /// Where it is in its life.
    pub state: TokenState,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last accepted.
    pub last_used_at: Option<Timestamp>,
    /// The personal token that it was made with and dies with.
    pub parent: Option<TokenId>,
}

/// A token with its secret.
#[derive(Debug, Clone)]
pub struct Issued {
    /// What it is.
    pub token: TokenView,
    /// What its holder presents.
    pub secret: Secret,
}

/// What was made.
#[derive(Debug, Clone)]
pub struct Created {
    /// The token.
    pub token: Issued,
    /// The refresh token with it.
    pub refresh_token: Option<Issued>,
}

/// Asks for a new operation token.
#[derive(Debug, Clone)]
pub struct Refresh {
    /// The refresh token.
    pub refresh_token: Secret,
    /// Where not empty, the only profile that is let through.
    pub profile: String,
    /// Where not empty, the only realm that is let through.
    pub realm: String,
}

/// What a refresh made.
#[derive(Debug, Clone)]
pub struct Refreshed {
    /// The operation token.
    pub operation_token: Issued,
    /// The successor of the refresh token, where the profile rotates.
    pub refresh_token: Option<Issued>,
}

/// Asks for an end.
#[derive(Debug, Clone)]
pub struct Revoke {
    /// Of what.
    pub target: Target,
    /// Where not empty, the only profile that is found.
    pub profile: String,
    /// Whether to wait.
    pub wait: Wait,
}

/// What to revoke.
#[derive(Debug, Clone)]
pub enum Target {
    /// Nothing was named.
    Missing,
    /// A token by id.
    Token(String),
    /// A token by its secret.
    Secret(Secret),
    /// A grant.
    Grant(String),
    /// All grants of a user.
    User(String),
}

/// What a revocation came to.
#[derive(Debug, Clone)]
pub struct RevokeOutcome {
    /// The token as it is now, where one was named and has a row.
    pub token: Option<TokenView>,
    /// How many live tokens it ended.
    pub count: u32,
    /// How long some replica may go on accepting it all the same, because it serves stale facts
    /// when it loses the database; `None`: none does.
    pub stale_for: Option<Duration>,
}

/// Asks for a user's tokens.
#[derive(Debug, Clone)]
pub struct ListTokens {
    /// Whose; empty: the caller's.
    pub user: String,
    /// Where not empty, only of this profile.
    pub profile: String,
    /// Only in these states; empty: any.
    pub states: Vec<TokenState>,
    /// Which page.
    pub page: PageRequest,
}

/// Who the caller is.
#[derive(Debug, Clone)]
pub struct CallerView {
    /// The user; `None`: the operator.
    pub user: Option<UserView>,
    /// The token; `None`: proven by password.
    pub token: Option<TokenSummary>,
    /// The roles that they carry now, by name; for the operator none.
    pub roles: Vec<RoleView>,
}
