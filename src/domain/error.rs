//! Why a call fails. `grpc::status` turns each into a status; nothing else does.

use std::error::Error as StdError;
use std::time::Duration;

/// A faulty field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its path in the request, as the contract names it: `password.username`.
    pub path: String,
    /// What is wrong, to follow the name: `must not be empty`. Never holds the value.
    pub fault: String,
}

impl Field {
    /// Names a fault.
    #[must_use]
    pub fn new(path: impl Into<String>, fault: impl Into<String>) -> Self {
        Self { path: path.into(), fault: fault.into() }
    }
}

/// What went wrong beneath us: logged at the border, never sent.
pub type Cause = Box<dyn StdError + Send + Sync>;

/// Why there is no lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoLease {
    /// The database did not answer the last time that it was asked.
    #[error("the database does not answer")]
    Lost,
    /// The database answers, but what it says is older than a lease when it is here.
    #[error(
        "the round trip to the database ({} ms) is longer than the lease ({} ms)",
        round_trip.as_millis(), lease.as_millis()
    )]
    TooFar {
        /// What the last one took.
        round_trip: Duration,
        /// How long what it says may be believed.
        lease: Duration,
    },
}

/// Why a call fails. No variant holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// At least one field is wrong; these all are.
    #[error("the request is not valid: {}", list(.0))]
    Invalid(Vec<Field>),
    /// No caller was proven: unknown user, wrong password, disabled and locked alike.
    #[error("the credentials are not valid")]
    BadCredentials,
    /// The token given as a credential or for refresh is not good.
    #[error("the token is not valid")]
    TokenInvalid,
    /// The token given as a credential or for refresh has expired.
    #[error("the token has expired")]
    TokenExpired,
    /// A rotated refresh token came back: its grant is dead now.
    #[error("the refresh token was used before; its grant is revoked")]
    RefreshTokenReused,
    /// No such token that the caller may see.
    #[error("there is no such token")]
    TokenNotFound,
    /// No such user.
    #[error("there is no such user")]
    UserNotFound,
    /// No such role.
    #[error("there is no such role: {0}")]
    RoleNotFound(String),
    /// No such signing key.
    #[error("there is no such key")]
    KeyNotFound,
    /// The name is taken.
    #[error("the name is taken")]
    AlreadyExists,
    /// The caller lacks this permission.
    #[error("the permission {0} is missing")]
    PermissionMissing(String),
    /// The caller does not hold this role that they would give.
    #[error("the role {0} is not held by the caller")]
    RoleNotHeld(String),
    /// The profile asks for a user that has a role.
    #[error("the profile asks for a user that has a role")]
    UserWithoutRole,
    /// Too many attempts.
    #[error("too many attempts")]
    RateLimited {
        /// When to come back.
        retry_after: Duration,
    },
    /// More revoked tokens of one grant than we keep.
    #[error("too many tokens of this grant are revoked one by one; revoke the grant")]
    TooManyRevoked,
    /// The queue for password hashing is full.
    #[error("the server is busy")]
    Busy {
        /// When to come back.
        retry_after: Duration,
    },
    /// The database did not answer, so no decision was made.
    #[error("the database is not available")]
    Unavailable(#[source] Cause),
    /// What is kept may not be believed, for a cause that is known: it was logged when it began.
    #[error("no decision can be made: {0}")]
    NoLease(NoLease),
    /// A fault of ours.
    #[error("internal fault")]
    Internal(#[source] Cause),
}

impl Error {
    /// Names a single faulty field.
    #[must_use]
    pub fn field(path: impl Into<String>, fault: impl Into<String>) -> Self {
        Self::Invalid(vec![Field::new(path, fault)])
    }

    /// Names a fault of ours.
    #[must_use]
    pub fn internal(cause: impl Into<Cause>) -> Self {
        Self::Internal(cause.into())
    }
}

impl From<Field> for Error {
    fn from(field: Field) -> Self {
        Self::Invalid(vec![field])
    }
}

fn list(fields: &[Field]) -> String {
    let faults: Vec<_> = fields.iter().map(|f| format!("{} {}", f.path, f.fault)).collect();
    faults.join("; ")
}

/// The most faults that one answer names: a client's limit for headers is soon reached.
const MOST_FAULTS: usize = 20;

/// Gathers the faults of a request, so that all are named at once: up to twenty.
#[derive(Debug, Default)]
pub struct Faults(Vec<Field>);

impl Faults {
    /// Takes the value, or notes the fault of the field and answers `None`.
    pub fn take<T, E: Into<String>>(&mut self, path: &str, parsed: Result<T, E>) -> Option<T> {
        parsed.map_err(|fault| self.add(path, fault)).ok()
    }

    /// The same, of one of a list.
    pub fn take_at<T, E: Into<String>>(
        &mut self,
        list: &str,
        place: usize,
        parsed: Result<T, E>,
    ) -> Option<T> {
        parsed.map_err(|fault| self.add(format!("{list}[{place}]"), fault)).ok()
    }

    /// Notes a fault.
    pub fn add(&mut self, path: impl Into<String>, fault: impl Into<String>) {
        self.push(Field::new(path, fault));
    }

    /// Notes a fault.
    pub fn push(&mut self, field: Field) {
        if self.0.len() < MOST_FAULTS {
            self.0.push(field);
        }
    }

    /// Ends the gathering.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there was a fault.
    pub fn finish(self) -> Result<(), Error> {
        if self.0.is_empty() { Ok(()) } else { Err(Error::Invalid(self.0)) }
    }
}
