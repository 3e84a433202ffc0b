//! What goes through the port.

mod audit;
mod changes;
mod directory;
mod keys;
mod sign_in;
mod tokens;

pub use audit::*;
pub use changes::*;
pub use directory::*;
pub use keys::*;
pub use sign_in::*;
pub use tokens::*;
