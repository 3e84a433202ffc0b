//! Tokens and grants on their way into the database and out of it.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::identity::{User, UserId};
use crate::domain::profile::ProfileName;
use crate::domain::token::{Grant, GrantId, KeyId, Token, TokenDigest, TokenId, TokenState};

/// A new token, and the grant it is made from.
#[derive(Debug, Clone)]
pub struct NewTokens {
    /// The grant, where it is new.
    pub grant: Option<Grant>,
    /// The tokens: all of the one grant.
    pub tokens: Vec<Token>,
    /// How many live tokens of the first one's profile its user may have: beyond it, those unused
    /// for longest are revoked.
    pub max_live: Option<u32>,
}

/// What a token is found by.
#[derive(Debug, Clone, Copy)]
pub enum TokenName<'a> {
    /// Its id.
    Id(&'a TokenId),
    /// The digest of its secret.
    Digest(TokenDigest),
}

/// A token with a row, and whose it is.
#[derive(Debug, Clone)]
pub struct Owned {
    /// The token.
    pub token: Token,
    /// Its grant.
    pub grant: Grant,
    /// Its user.
    pub owner: User,
}

/// What a refresh token's row says, with all that its refresh is judged by.
#[derive(Debug, Clone)]
pub struct RefreshRow {
    /// The token.
    pub token: Token,
    /// Its grant.
    pub grant: Grant,
    /// Its user; `None`: gone.
    pub user: Option<User>,
    /// Its successor, if it was swapped.
    pub successor: Option<Successor>,
}

/// How a swapped token's successor is derived again, and whether it was put to use.
#[derive(Debug, Clone)]
pub struct Successor {
    /// When the swap was.
    pub swapped_at: Timestamp,
    /// The random salt that the winner drew.
    pub salt: [u8; 16],
    /// The key that derives it.
    pub key: KeyId,
    /// The successor.
    pub token: Token,
    /// Whether it was swapped itself or seen in use.
    pub used: SuccessorUse,
}

/// Whether a successor was put to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SuccessorUse {
    /// Not yet.
    Unused,
    /// It was swapped itself, or an operation token made with it was accepted.
    Used,
}

/// A swap that is proposed.
#[derive(Debug, Clone)]
pub struct Swap {
    /// The token that is used up.
    pub old: TokenId,
    /// Its successor, of the same grant.
    pub new: Token,
    /// The salt it was derived with.
    pub salt: [u8; 16],
    /// The key it was derived with.
    pub derivation_key: KeyId,
    /// When.
    pub at: Timestamp,
}

/// How a proposed swap ended.
#[derive(Debug)]
#[must_use]
pub enum Swapped {
    /// This one won.
    Done,
    /// Another swapped it first, or the token or grant died: look again.
    Lost,
}

/// What a revocation came to.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The token as it is now, where one was named and has a row.
    pub token: Option<Token>,
    /// When its grant was revoked, or the one that was named; `None`: it was not, or has no row.
    pub grant_end: Option<Timestamp>,
    /// How many live tokens with a row it ended; a JWT without one counts as one.
    pub count: u32,
}

/// A JWT to be revoked by its `jti`: one with a row has its row revoked too.
#[derive(Debug, Clone)]
pub struct JtiRevocation {
    /// The `jti`.
    pub id: TokenId,
    /// Its grant.
    pub grant: GrantId,
    /// When it ends by itself.
    pub until: Option<Timestamp>,
    /// How many live revocations a grant may have.
    pub most_per_grant: u32,
}

/// A revocation that still matters to JWTs.
#[derive(Debug, Clone)]
pub enum Revocation {
    /// One token's.
    Jti(TokenId, Option<Timestamp>),
    /// A grant's.
    Grant(GrantId, Option<Timestamp>),
}

/// Which tokens.
#[derive(Debug, Clone)]
pub struct TokenQuery {
    /// Whose.
    pub user: UserId,
    /// Only of this profile.
    pub profile: Option<ProfileName>,
    /// Only in these states; empty: any.
    pub states: Vec<TokenState>,
    /// Only those after this one, newest first.
    pub after: Option<(Timestamp, TokenId)>,
    /// How many at most.
    pub limit: u32,
    /// When it is asked.
    pub now: Timestamp,
}

/// What a purge is to remove.
#[derive(Debug, Clone, Copy)]
pub struct Purge {
    /// What time it is here. Where the database's own clock is behind it, that one counts.
    pub now: Timestamp,
    /// How long events are remembered; `None`: for ever.
    pub audit_retention: Option<Duration>,
    /// The longest that any policy remembers failed sign-ins.
    pub failure_memory: Duration,
    /// How long a JWT lives at most that `CreateToken` makes.
    pub longest_jwt: Duration,
    /// How long the longest of the tokens lives that a key signs, or that are made with these.
    pub longest_signed: Duration,
    /// How many rows of each sort at most.
    pub limit: u32,
}

/// How many dead rows a purge removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Purged {
    /// Tokens.
    pub tokens: u64,
    /// Grants.
    pub grants: u64,
    /// Revocations.
    pub revocations: u64,
    /// Changes.
    pub changes: u64,
    /// Events.
    pub audit_events: u64,
    /// Counters of failed sign-ins.
    pub attempts: u64,
    /// Networks that users signed in from.
    pub networks: u64,
    /// Retired keys.
    pub keys: u64,
    /// Revocations that were given an end, so that they can be removed after it.
    pub dated: u64,
}
