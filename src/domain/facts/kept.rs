//! What is kept of a token and of a grant: what a check asks, in few bytes.

use std::time::Duration;

use super::weigh::Weigh;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Generation, UserId};
use crate::domain::profile::{ProfileNumber, Profiles};
use crate::domain::token::{Grant, GrantId, RoleChoice, Token, TokenId, TokenKind};

/// A use of a token is noted no more often than this.
const BETWEEN_NOTES: Duration = Duration::from_mins(1);

/// What is kept of an opaque token. A copy allocates nothing.
#[derive(Debug, Clone)]
pub struct TokenFact {
    /// The id.
    pub id: TokenId,
    /// Whose it is.
    pub user: UserId,
    /// The grant it was made from.
    pub grant: GrantId,
    /// The generation of its user that the grant was of when this was read. The grant may have
    /// been taken over into another since.
    pub generation: Generation,
    /// The roles chosen for it.
    pub roles: RoleChoice,
    ends: Ends,
    /// When its use was last noted, by this fact.
    pub noted: Noted,
    /// The profile it was made by, which the settings may have lost since.
    pub profile: ProfileNumber,
    /// What it is for.
    pub kind: TokenKind,
    /// Whether it was revoked when this was read.
    pub standing: Standing,
}

/// How a token stood when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Neither it nor its grant was revoked. That its grant was since is told by
    /// [`Facts::is_grant_revoked`](super::Facts::is_grant_revoked).
    Live,
    /// It was revoked.
    Revoked,
    /// Its grant was.
    GrantRevoked,
}

impl TokenFact {
    /// Takes from a row, and its grant's of the same moment, what is kept of them.
    #[must_use]
    pub fn of(token: Token, of: &Grant, profiles: &Profiles) -> Self {
        let Token {
            id,
            user,
            grant,
            display_name: _,
            profile,
            kind,
            roles,
            digest: _,
            key: _,
            created_at: _,
            expires_at,
            revoked_at,
            last_used_at: _,
            parent: _,
        } = token;
        Self {
            id,
            user,
            grant,
            generation: of.generation,
            roles,
            ends: expires_at.into(),
            noted: Noted::NEVER,
            profile: profiles.number(profile.as_str()),
            kind,
            standing: match (revoked_at, of.revoked_at) {
                (Some(_), _) => Standing::Revoked,
                (None, Some(_)) => Standing::GrantRevoked,
                (None, None) => Standing::Live,
            },
        }
    }

    /// When it ends; `None`: never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.ends.at()
    }
}

impl Weigh for TokenFact {
    fn heap(&self) -> usize {
        self.id.heap() + self.roles.heap()
    }
}

/// What is kept of a grant.
#[derive(Debug, Clone, Copy)]
pub struct GrantFact {
    /// The generation read with the credential that it was proven by.
    pub generation: Generation,
    ends: Ends,
    /// Whether it was revoked.
    pub is_revoked: bool,
}

impl GrantFact {
    /// Takes from a row what is kept of it.
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        let Grant { id: _, user: _, generation, created_at: _, expires_at, revoked_at } = grant;
        Self {
            generation: *generation,
            ends: (*expires_at).into(),
            is_revoked: revoked_at.is_some(),
        }
    }

    /// When all of its tokens will have ended; `None`: never.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.ends.at()
    }
}

impl Weigh for GrantFact {
    fn heap(&self) -> usize {
        0
    }
}

/// When something ends, if it does, in the bytes of a [`Timestamp`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ends(i64);

impl Ends {
    // Later than any time that the contract can say.
    const NEVER: i64 = i64::MAX;

    pub(super) fn at(self) -> Option<Timestamp> {
        (self.0 != Self::NEVER).then_some(Timestamp::from_micros(self.0))
    }
}

impl From<Option<Timestamp>> for Ends {
    fn from(end: Option<Timestamp>) -> Self {
        Self(end.map_or(Self::NEVER, Timestamp::micros))
    }
}

/// When a use was last noted, to the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted(u32);

impl Noted {
    /// It never was.
    pub const NEVER: Self = Self(0);

    /// It is noted now.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(u32::try_from(now.seconds()).unwrap_or(u32::MAX))
    }

    /// Takes it as a number, as [`Self::number`] answered it.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        Self(number)
    }

    /// It as a number, for an atomic.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }

    /// Whether a use is to be noted again. A clock that was set back begins anew.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        let since = i64::from(Self::at(now).0) - i64::from(self.0);
        let between = i64::try_from(BETWEEN_NOTES.as_secs()).unwrap_or(i64::MAX);
        self == Self::NEVER || !(0..between).contains(&since)
    }
}
