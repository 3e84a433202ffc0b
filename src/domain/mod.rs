//! The rules. Knows no wire and no database.

mod accepted;
pub mod authority;
mod authorize;
mod caller;
pub mod calls;
pub mod clock;
mod core;
mod directory;
pub mod error;
pub mod facts;
pub mod format;
mod genuine;
pub mod hashing;
pub mod identity;
mod issue;
mod judge;
mod key_admin;
pub mod keys;
pub mod knowledge;
pub mod lease;
mod lifetime;
mod loads;
mod mint;
#[cfg(test)]
mod model;
mod page;
pub mod password;
pub mod permission;
pub mod profile;
mod proven;
pub mod random;
mod refresh;
mod revoke;
mod roles;
mod roots;
pub mod seal;
mod sign_in;
pub mod store;
pub mod token;
mod tokens;
mod upkeep;
pub mod uses;

pub use self::core::{AddressRate, AuthorizeCallers, Core, NotReady, Parts, Settings};
