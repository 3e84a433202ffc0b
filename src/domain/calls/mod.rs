//! What goes into the core and what comes out: the contract's messages in the domain's words.
//!
//! Requests hold what was sent, unread: the core reads them, so that all faults of a request are
//! named at once and alike for every face.

use std::net::IpAddr;

use secrecy::SecretString;

use super::token::Secret;

mod check;
mod directory;
mod keys;
mod tokens;

pub use check::*;
pub use directory::*;
pub use keys::*;
pub use tokens::*;

/// Where a call comes from, and what proves its caller.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// What the metadata says.
    pub credential: Credential,
}

/// What a caller proves themselves by.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Nothing.
    None,
    /// The operator, on the command line of a local database. No listener can say so.
    Operator,
    /// A password.
    Password(PasswordCredential),
    /// A token.
    Bearer {
        /// Its secret.
        secret: Secret,
        /// The realm that its user must be of: empty is `default`, `None` any.
        realm: Option<String>,
    },
}

/// A user name and its password.
#[derive(Debug, Clone)]
pub struct PasswordCredential {
    /// The realm; empty: the profile's, or `default`.
    pub realm: String,
    /// The name.
    pub username: String,
    /// The password.
    pub password: SecretString,
    /// Whether it is tried once more without its final line end.
    pub final_newline: FinalNewline,
    /// The profile whose lockout policy a failure is counted by, where no token is asked for;
    /// empty: the one for all.
    pub profile: String,
}

/// What to make of a line end that closes a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FinalNewline {
    /// It is part of the password.
    Keep,
    /// It is part of the password, or, where that is wrong, an accident.
    Accept,
}

/// Whether a call that takes something away waits until every replica has heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It does: strict.
    ForAll,
    /// It does not.
    Skip,
}

/// Asks for a page of a list.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    /// How many at most: 0 is 50, and 500 is the most.
    pub size: i32,
    /// Where it begins; empty: at the beginning.
    pub token: String,
}

/// A page of a list.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next one begins; empty: there is none.
    pub next: String,
}

/// Asks for events.
#[derive(Debug, Clone)]
pub struct ListAudit {
    /// Where not empty, only this realm's.
    pub realm: String,
    /// Where not empty, only this user's.
    pub user: String,
    /// Which page.
    pub page: PageRequest,
}
