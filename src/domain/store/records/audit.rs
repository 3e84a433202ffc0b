//! Who asks for a mutation, and what is remembered of it.

use std::net::IpAddr;

use crate::domain::authority::Authority;
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Generation, Realm, UserId};
use crate::domain::token::{GrantId, TokenId};

/// What a caller was proven by, judged again inside the mutation's own transaction: the user is
/// active and of this generation, the grant and token (where there are any) are not revoked, and
/// the caller still may.
#[derive(Debug, Clone)]
pub struct Proof {
    /// The user.
    pub user: UserId,
    /// Their generation when it was read with the credential.
    pub generation: Generation,
    /// The grant of the bearer.
    pub grant: Option<GrantId>,
    /// The bearer.
    pub token: Option<TokenId>,
    /// What they need; `None`: nothing but to be who they are.
    pub authority: Option<Authority>,
}

/// One thing that was done or refused, to be remembered. Holds no secret.
#[derive(Debug, Clone)]
pub struct Audit {
    /// When.
    pub at: Timestamp,
    /// What: `token.create`.
    pub action: &'static str,
    /// How it ended: `ok`, or why not.
    pub outcome: &'static str,
    /// Where, if that is known.
    pub realm: Option<Realm>,
    /// Who.
    pub actor: Actor,
    /// What it was done to: an id or a name.
    pub target: String,
    /// From where.
    pub client_address: Option<IpAddr>,
}

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Actor {
    /// A user.
    User(UserId),
    /// The operator, on the command line of a local database.
    Operator,
    /// The service itself.
    Service,
    /// Nobody who was proven.
    Nobody,
}

/// What goes with every mutation that someone asks for.
#[derive(Debug, Clone)]
pub struct Order {
    /// What the caller was proven by; `None` for the operator, the service, and whoever holds a
    /// secret.
    pub proof: Option<Proof>,
    /// What is remembered of it, in the same transaction. It is not written where nothing was
    /// done.
    pub audit: Audit,
}

/// An event as it is kept.
#[derive(Debug, Clone)]
pub struct AuditEvent {
    /// The id; later ones are greater.
    pub id: i64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub action: String,
    /// How it ended.
    pub outcome: String,
    /// Where.
    pub realm: String,
    /// Who: a user's id, `operator`, `service` or empty.
    pub actor: String,
    /// To what.
    pub target: String,
    /// From where.
    pub client_address: String,
}

/// Which events.
#[derive(Debug, Clone, Default)]
pub struct AuditQuery {
    /// Only this realm's.
    pub realm: Option<Realm>,
    /// Only those in which this user acts or is the target.
    pub user: Option<UserId>,
    /// Only those with a smaller id.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: u32,
}
