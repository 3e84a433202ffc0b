//! Keys as they are kept.

use crate::domain::clock::Timestamp;
use crate::domain::token::KeyId;

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyPurpose {
    /// Signs the JWTs of one profile.
    Sign,
    /// Makes the check inside opaque tokens.
    Check,
    /// Derives the successors of refresh tokens.
    Derive,
    /// Authenticates page tokens.
    Page,
}

/// Where a key is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Published, but not in use.
    Next,
    /// In use.
    Active,
    /// Verifies only.
    Verifying,
    /// Dead, with all that it made.
    Retired,
}

/// A key as it is kept: the private part sealed.
#[derive(Debug, Clone)]
pub struct KeyRow {
    /// The id.
    pub id: KeyId,
    /// What it is for.
    pub purpose: KeyPurpose,
    /// The profile whose tokens it signs; empty for the other purposes.
    pub profile: String,
    /// The algorithm: a JWA name, or `HMAC`.
    pub algorithm: String,
    /// Where it is in its life.
    pub state: KeyState,
    /// The private part, sealed by the master key.
    pub sealed: Vec<u8>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it stopped being used.
    pub retired_at: Option<Timestamp>,
}

/// How a change of keys ended.
#[derive(Debug)]
#[must_use]
pub enum KeyChange {
    /// Done.
    Done,
    /// The key that was active is no more, or there is none of that id: look again.
    Lost,
}
