//! Errors as the contract sends them: the only maker of a [`Status`].

use std::collections::HashMap;
use std::error::Error as StdError;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::{debug, error, warn};

use crate::domain::error::{Error, Field, NoLease};
use crate::pb::{ERROR_DOMAIN, ErrorReason};
use crate::transport::RequestError;

#[cfg(test)]
mod tests;

/// When to come back where the database did not answer.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(1);

/// What is said of a database that is too far away: whoever runs the server wants to tell it from
/// one that is gone.
const TOO_FAR: &str =
    "the round trip to the database is longer than the lease; no decision was made";

impl From<Error> for Status {
    /// Says what the contract says of an error. A cause is logged here, once, and never sent.
    fn from(error: Error) -> Self {
        let reason = reason(&error);
        let mut message = message(reason);
        let mut details = info(reason, HashMap::new());
        match error {
            Error::Invalid(fields) => {
                for field in fields {
                    details.add_bad_request_violation(field.path, field.fault);
                }
            }
            Error::PermissionMissing(permission) => {
                details = info(reason, HashMap::from([("permission".to_owned(), permission)]));
            }
            Error::RoleNotFound(role) | Error::RoleNotHeld(role) => {
                details = info(reason, HashMap::from([("role_id".to_owned(), role)]));
            }
            Error::RateLimited { retry_after } | Error::Busy { retry_after } => {
                details.set_retry_info(Some(retry_after));
            }
            Error::Unavailable(cause) => {
                details.set_retry_info(Some(UNAVAILABLE_RETRY));
                warn!(error = chain(&*cause), "the database did not answer");
            }
            Error::NoLease(fault) => {
                details.set_retry_info(Some(UNAVAILABLE_RETRY));
                match fault {
                    NoLease::Lost => {}
                    NoLease::TooFar { .. } => message = TOO_FAR,
                }
                // It was told when it began, and each call meets it.
                debug!(error = %fault, "there is no lease");
            }
            Error::Internal(cause) => {
                error!(error = chain(&*cause), "a call failed");
            }
            Error::BadCredentials
            | Error::TokenInvalid
            | Error::TokenExpired
            | Error::RefreshTokenReused
            | Error::TokenNotFound
            | Error::UserNotFound
            | Error::KeyNotFound
            | Error::AlreadyExists
            | Error::UserWithoutRole
            | Error::TooManyRevoked => {}
        }
        Self::with_error_details(code(reason), message, details)
    }
}

/// Says that the caller's deadline passed first.
pub(super) fn deadline_exceeded() -> Status {
    with(ErrorReason::DeadlineExceeded, info(ErrorReason::DeadlineExceeded, HashMap::new()))
}

/// When to come back where requests hold too much memory.
const NO_ROOM_RETRY: Duration = Duration::from_secs(1);

/// Says that requests hold too much memory.
pub(super) fn no_room() -> Status {
    Error::Busy { retry_after: NO_ROOM_RETRY }.into()
}

/// Says why a request was not read to its end.
pub(super) fn of_request(error: RequestError) -> Status {
    match error {
        RequestError::NoRoom(_) => no_room(),
        RequestError::Late => deadline_exceeded(),
        RequestError::TooLong(most) => {
            Error::from(Field::new("message", format!("must be at most {most} bytes long"))).into()
        }
        // It may be a status itself, or have one among its causes.
        RequestError::Broken(cause) => Status::from_error(cause),
    }
}

/// Says that a request can't be read, and why.
pub(super) fn unreadable(fault: &str) -> Status {
    Error::from(Field::new("message", format!("can't be read: {fault}"))).into()
}

/// Says that the call panicked.
pub(super) fn panicked() -> Status {
    with(ErrorReason::Internal, info(ErrorReason::Internal, HashMap::new()))
}

/// Says to an open stream that the server stops. No stream belongs to our own contract, so none of
/// its reasons is named.
pub(super) fn stopping() -> Status {
    Status::unavailable("the server is stopping")
}

fn info(reason: ErrorReason, metadata: HashMap<String, String>) -> ErrorDetails {
    ErrorDetails::with_error_info(reason.as_str_name(), ERROR_DOMAIN, metadata)
}

fn with(reason: ErrorReason, details: ErrorDetails) -> Status {
    Status::with_error_details(code(reason), message(reason), details)
}

fn chain(cause: &(dyn StdError + 'static)) -> String {
    let mut text = cause.to_string();
    let mut next = cause.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn reason(error: &Error) -> ErrorReason {
    match error {
        Error::Invalid(_) => ErrorReason::InvalidField,
        Error::BadCredentials => ErrorReason::BadCredentials,
        Error::TokenInvalid => ErrorReason::TokenInvalid,
        Error::TokenExpired => ErrorReason::TokenExpired,
        Error::RefreshTokenReused => ErrorReason::RefreshTokenReused,
        Error::TokenNotFound => ErrorReason::TokenNotFound,
        Error::UserNotFound => ErrorReason::UserNotFound,
        Error::RoleNotFound(_) => ErrorReason::RoleNotFound,
        Error::KeyNotFound => ErrorReason::KeyNotFound,
        Error::AlreadyExists => ErrorReason::AlreadyExists,
        Error::PermissionMissing(_) => ErrorReason::PermissionMissing,
        Error::RoleNotHeld(_) => ErrorReason::RoleNotHeld,
        Error::UserWithoutRole => ErrorReason::UserWithoutRole,
        Error::RateLimited { .. } => ErrorReason::RateLimited,
        Error::TooManyRevoked => ErrorReason::TooManyRevoked,
        Error::Busy { .. } => ErrorReason::Busy,
        Error::Unavailable(_) | Error::NoLease(_) => ErrorReason::StoreUnavailable,
        Error::Internal(_) => ErrorReason::Internal,
    }
}

fn code(reason: ErrorReason) -> Code {
    match reason {
        ErrorReason::InvalidField => Code::InvalidArgument,
        ErrorReason::BadCredentials
        | ErrorReason::TokenInvalid
        | ErrorReason::TokenExpired
        | ErrorReason::RefreshTokenReused => Code::Unauthenticated,
        ErrorReason::TokenNotFound
        | ErrorReason::UserNotFound
        | ErrorReason::RoleNotFound
        | ErrorReason::KeyNotFound => Code::NotFound,
        ErrorReason::AlreadyExists => Code::AlreadyExists,
        ErrorReason::PermissionMissing
        | ErrorReason::RoleNotHeld
        | ErrorReason::UserWithoutRole => Code::PermissionDenied,
        ErrorReason::RateLimited | ErrorReason::Busy | ErrorReason::TooManyRevoked => {
            Code::ResourceExhausted
        }
        ErrorReason::StoreUnavailable => Code::Unavailable,
        ErrorReason::DeadlineExceeded => Code::DeadlineExceeded,
        ErrorReason::Internal | ErrorReason::Unspecified => Code::Internal,
    }
}

fn message(reason: ErrorReason) -> &'static str {
    match reason {
        ErrorReason::InvalidField => "the request is not valid",
        ErrorReason::BadCredentials => "the credentials are not valid",
        ErrorReason::TokenInvalid => "the token is not valid",
        ErrorReason::TokenExpired => "the token has expired",
        ErrorReason::RefreshTokenReused => {
            "the refresh token was used before; its grant is revoked"
        }
        ErrorReason::TokenNotFound => "there is no such token",
        ErrorReason::UserNotFound => "there is no such user",
        ErrorReason::RoleNotFound => "there is no such role",
        ErrorReason::KeyNotFound => "there is no such key",
        ErrorReason::AlreadyExists => "the name is taken",
        ErrorReason::PermissionMissing => "a permission is missing",
        ErrorReason::RoleNotHeld => "the caller does not hold a role that they would give",
        ErrorReason::UserWithoutRole => "the profile asks for a user that has a role",
        ErrorReason::RateLimited => "too many attempts; try again later",
        ErrorReason::TooManyRevoked => {
            "too many tokens of this grant are revoked one by one; revoke the grant"
        }
        ErrorReason::Busy => "the server is busy; try again later",
        ErrorReason::StoreUnavailable => "the database did not answer; no decision was made",
        ErrorReason::DeadlineExceeded => "the deadline passed",
        ErrorReason::Internal | ErrorReason::Unspecified => {
            "a fault of the server; its log has the cause, under the request id"
        }
    }
}
