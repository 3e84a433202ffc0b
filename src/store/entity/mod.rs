//! The tables, as SeaORM sees them. Nothing outside `store` names these.
#![expect(unreachable_pub, reason = "what SeaORM derives is public and needs a public model")]

pub(super) mod attempt;
pub(super) mod audit_event;
pub(super) mod change;
pub(super) mod change_head;
pub(super) mod grant;
pub(super) mod key;
pub(super) mod meta;
pub(super) mod revocation;
pub(super) mod role;
pub(super) mod sign_in_network;
pub(super) mod token;
pub(super) mod user;
pub(super) mod user_role;
