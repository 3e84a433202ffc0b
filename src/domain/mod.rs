//! The rules. Knows no wire and no database.

pub mod calls;
pub mod clock;
pub mod error;
pub mod identity;
pub mod permission;
pub mod profile;
pub mod random;
pub mod store;
pub mod token;
