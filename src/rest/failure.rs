//! What can go wrong in a request, before a dialect puts it into its own words.

use std::sync::Arc;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{Method, StatusCode};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::TARGET;
use crate::pb::{self, ErrorReason};

/// What went wrong.
#[derive(Debug)]
pub(super) enum Failure {
    /// No dialect has the path.
    NotFound,
    /// The path has not this method.
    MethodNotAllowed {
        /// The method that was tried.
        method: Method,
        /// Those that the path has, as `Allow` says it.
        allow: &'static str,
    },
    /// The body is longer than [`super::body::LIMIT`].
    BodyTooLarge,
    /// The body broke off.
    BodyUnreadable,
    /// The body did not come in time.
    BodyLate,
    /// The contract names fields as wrong, by the last part of their path: not only a name and a
    /// password, which are [`Self::BadCredentials`].
    InvalidFields(Vec<String>),
    /// No caller was proven, or no user by a name and a password.
    BadCredentials,
    /// The token presented is no good.
    TokenInvalid,
    /// The token presented has expired.
    TokenExpired,
    /// There is no such token, for this caller.
    TokenNotFound,
    /// The caller lacks a permission.
    PermissionMissing,
    /// The caller would give this role, which they do not hold or which does not exist.
    RoleNotHeld(String),
    /// The profile asks for a user that has a role.
    UserWithoutRole,
    /// Too many attempts. Come back after so many seconds, at least 1.
    Throttled(u64),
    /// No decision was made. Come back after so many seconds, at least 1.
    Unavailable(u64),
    /// A fault of ours.
    Internal,
}

impl Failure {
    /// The status that says it, where a dialect has no other for it.
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound | Self::TokenNotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BodyUnreadable | Self::InvalidFields(_) => StatusCode::BAD_REQUEST,
            Self::BodyLate => StatusCode::REQUEST_TIMEOUT,
            Self::BadCredentials | Self::TokenInvalid | Self::TokenExpired => {
                StatusCode::UNAUTHORIZED
            }
            Self::PermissionMissing | Self::RoleNotHeld(_) | Self::UserWithoutRole => {
                StatusCode::FORBIDDEN
            }
            Self::Throttled(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn of_reason(reason: ErrorReason, details: &ErrorDetails) -> Self {
        match reason {
            ErrorReason::InvalidField => Self::of_fields(field_names(details)),
            ErrorReason::BadCredentials => Self::BadCredentials,
            ErrorReason::TokenInvalid | ErrorReason::RefreshTokenReused => Self::TokenInvalid,
            ErrorReason::TokenExpired => Self::TokenExpired,
            ErrorReason::TokenNotFound => Self::TokenNotFound,
            ErrorReason::PermissionMissing => Self::PermissionMissing,
            ErrorReason::RoleNotHeld | ErrorReason::RoleNotFound => {
                let info = details.error_info();
                let role = info.and_then(|info| info.metadata.get("role_id"));
                Self::RoleNotHeld(role.cloned().unwrap_or_default())
            }
            ErrorReason::UserWithoutRole => Self::UserWithoutRole,
            ErrorReason::RateLimited | ErrorReason::Busy | ErrorReason::TooManyRevoked => {
                Self::Throttled(retry_after(details))
            }
            ErrorReason::StoreUnavailable | ErrorReason::DeadlineExceeded => {
                Self::Unavailable(retry_after(details))
            }
            // No call of a dialect is answered so, but for a fault of ours.
            ErrorReason::Unspecified
            | ErrorReason::UserNotFound
            | ErrorReason::AlreadyExists
            | ErrorReason::KeyNotFound
            | ErrorReason::Internal => Self::Internal,
        }
    }

    // A name or a password that can be nobody's is as good as a wrong one.
    fn of_fields(fields: Vec<String>) -> Self {
        let of_credentials = |field: &String| matches!(field.as_str(), "username" | "password");
        if !fields.is_empty() && fields.iter().all(of_credentials) {
            Self::BadCredentials
        } else {
            Self::InvalidFields(fields)
        }
    }

    // Not of the contract's making: the transport failed, or the server is older or newer.
    fn of_code(status: &Status, details: &ErrorDetails) -> Self {
        let code = status.code();
        tracing::error!(target: TARGET, { grpc.code = ?code, error = status.message() }, "a call failed");
        // Tonic answers a deadline that has passed with CANCELLED.
        if matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) {
            Self::Unavailable(retry_after(details))
        } else if code == Code::ResourceExhausted {
            Self::Throttled(retry_after(details))
        } else {
            Self::Internal
        }
    }
}

/// An answer without words yet: [`super::dialect::spoken`] finds the failure in it.
impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let ours = details.error_info().filter(|info| info.domain == pb::ERROR_DOMAIN);
        match ours.and_then(|info| ErrorReason::from_str_name(&info.reason)) {
            Some(reason) => Self::of_reason(reason, &details),
            None => Self::of_code(&status, &details),
        }
    }
}

/// Notes that the server refuses fields which no client has sent: the settings of the dialect are
/// wrong.
pub(super) fn log_unsent(fields: &[String]) {
    tracing::error!(target: TARGET, ?fields, "the server refuses the settings of this dialect");
}

fn field_names(details: &ErrorDetails) -> Vec<String> {
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
    let fields = violations.unwrap_or_default().iter().map(|violation| &violation.field);
    fields.filter_map(|field| field.rsplit('.').next()).map(str::to_owned).collect()
}

// Whole seconds, rounded up: to come back early is to be refused again.
fn retry_after(details: &ErrorDetails) -> u64 {
    let delay = details.retry_info().and_then(|info| info.retry_delay).unwrap_or(Duration::ZERO);
    let begun = u64::from(delay.subsec_nanos() > 0);
    delay.as_secs().saturating_add(begun).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(code: Code, reason: &str, delay: Option<Duration>) -> Failure {
        let mut details = ErrorDetails::with_error_info(reason, pb::ERROR_DOMAIN, []);
        details.set_retry_info(delay);
        Status::with_error_details(code, "", details).into()
    }

    #[test]
    fn rounds_the_wait_up_to_whole_seconds() {
        let reason = ErrorReason::RateLimited.as_str_name();
        for (delay, seconds) in [(0, 1), (1, 1), (1000, 1), (1001, 2), (59_001, 60)] {
            let failure = of(Code::ResourceExhausted, reason, Some(Duration::from_millis(delay)));
            assert!(matches!(failure, Failure::Throttled(s) if s == seconds), "{failure:?}");
        }
        let failure = of(Code::ResourceExhausted, ErrorReason::Busy.as_str_name(), None);
        assert!(matches!(failure, Failure::Throttled(1)), "{failure:?}");
    }

    #[test]
    fn goes_by_the_code_where_the_reason_is_not_known() {
        let failure = of(Code::Unavailable, "ERROR_REASON_OF_TOMORROW", None);
        assert!(matches!(failure, Failure::Unavailable(1)), "{failure:?}");
        let failure = Failure::from(Status::cancelled("Timeout expired"));
        assert!(matches!(failure, Failure::Unavailable(1)), "{failure:?}");
        let failure = Failure::from(Status::unauthenticated("a proxy's own"));
        assert!(matches!(failure, Failure::Internal), "{failure:?}");
    }
}
