//! Users and roles on their way into the database and out of it.

use super::PasswordHash;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Realm, User, UserId, UserState, Username};

/// A new user.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// Who they are.
    pub user: User,
    /// The name, with what it is compared by.
    pub username: Username,
    /// The hash of their password, if they have one.
    pub password_hash: Option<PasswordHash>,
}

/// Whether a name was free.
#[derive(Debug)]
#[must_use]
pub enum Inserted {
    /// It was.
    Done,
    /// It is taken.
    NameTaken,
}

/// A change to a user. What is `None` stays.
#[derive(Debug, Clone)]
pub struct UserUpdate {
    /// The user.
    pub id: UserId,
    /// The new state. Disabling raises the generation, so that nothing comes back with a later
    /// enabling.
    pub state: Option<UserState>,
    /// The new display name.
    pub display_name: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// A new password.
#[derive(Debug, Clone)]
pub struct PasswordUpdate {
    /// Whose.
    pub user: UserId,
    /// The hash; `None`: no sign-in by password.
    pub password_hash: Option<PasswordHash>,
    /// What becomes of the personal tokens.
    pub personal_tokens: PersonalTokens,
    /// When.
    pub at: Timestamp,
}

/// What becomes of personal tokens when a password changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PersonalTokens {
    /// They die with the rest.
    Revoke,
    /// Their grants are stamped with the new generation.
    Keep,
}

/// A page of a list by name.
#[derive(Debug, Clone)]
pub struct NamePage {
    /// The realm.
    pub realm: Realm,
    /// Only names after this one.
    pub after: Option<String>,
    /// How many at most.
    pub limit: u32,
}

/// Whether a database was empty.
#[derive(Debug)]
#[must_use]
pub enum Bootstrapped {
    /// It was: the first user is made.
    Done,
    /// It has users already.
    HasUsers,
}
