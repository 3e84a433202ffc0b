//! What each error says, and what it does not.

use std::time::Duration;

use crate::domain::error::Field;

use super::*;

const CAUSE: &str = "postgres://tokend:hunter2@db";

fn all() -> Vec<Error> {
    let retry_after = Duration::from_secs(3);
    vec![
        Error::Invalid(vec![Field::new("a", "must be b"), Field::new("c.d", "is not e")]),
        Error::BadCredentials,
        Error::TokenInvalid,
        Error::TokenExpired,
        Error::RefreshTokenReused,
        Error::TokenNotFound,
        Error::UserNotFound,
        Error::RoleNotFound("clerk".to_owned()),
        Error::KeyNotFound,
        Error::AlreadyExists,
        Error::PermissionMissing("user:create".to_owned()),
        Error::RoleNotHeld("clerk".to_owned()),
        Error::UserWithoutRole,
        Error::RateLimited { retry_after },
        Error::TooManyRevoked,
        Error::Busy { retry_after },
        Error::Unavailable(CAUSE.into()),
        Error::NoLease(NoLease::Lost),
        Error::Internal(CAUSE.into()),
    ]
}

/// The code and reason of the contract, and its place in `all`.
fn due(error: &Error) -> (usize, Code, &'static str) {
    match error {
        Error::Invalid(_) => (0, Code::InvalidArgument, "INVALID_FIELD"),
        Error::BadCredentials => (1, Code::Unauthenticated, "BAD_CREDENTIALS"),
        Error::TokenInvalid => (2, Code::Unauthenticated, "TOKEN_INVALID"),
        Error::TokenExpired => (3, Code::Unauthenticated, "TOKEN_EXPIRED"),
        Error::RefreshTokenReused => (4, Code::Unauthenticated, "REFRESH_TOKEN_REUSED"),
        Error::TokenNotFound => (5, Code::NotFound, "TOKEN_NOT_FOUND"),
        Error::UserNotFound => (6, Code::NotFound, "USER_NOT_FOUND"),
        Error::RoleNotFound(_) => (7, Code::NotFound, "ROLE_NOT_FOUND"),
        Error::KeyNotFound => (8, Code::NotFound, "KEY_NOT_FOUND"),
        Error::AlreadyExists => (9, Code::AlreadyExists, "ALREADY_EXISTS"),
        Error::PermissionMissing(_) => (10, Code::PermissionDenied, "PERMISSION_MISSING"),
        Error::RoleNotHeld(_) => (11, Code::PermissionDenied, "ROLE_NOT_HELD"),
        Error::UserWithoutRole => (12, Code::PermissionDenied, "USER_WITHOUT_ROLE"),
        Error::RateLimited { .. } => (13, Code::ResourceExhausted, "RATE_LIMITED"),
        Error::TooManyRevoked => (14, Code::ResourceExhausted, "TOO_MANY_REVOKED"),
        Error::Busy { .. } => (15, Code::ResourceExhausted, "BUSY"),
        Error::Unavailable(_) => (16, Code::Unavailable, "STORE_UNAVAILABLE"),
        Error::NoLease(_) => (17, Code::Unavailable, "STORE_UNAVAILABLE"),
        Error::Internal(_) => (18, Code::Internal, "INTERNAL"),
    }
}

#[test]
fn says_of_each_error_what_the_contract_says() {
    for (at, error) in all().into_iter().enumerate() {
        let (place, code, reason) = due(&error);
        assert_eq!(at, place, "{error:?} stands twice, or another is missing");
        let retries = matches!(
            error,
            Error::RateLimited { .. }
                | Error::Busy { .. }
                | Error::Unavailable(_)
                | Error::NoLease(_)
        );
        let status = Status::from(error);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!(status.code(), code);
        assert_eq!(info.reason, format!("ERROR_REASON_{reason}"));
        assert_eq!(info.domain, "tokend.v1");
        assert_eq!(details.retry_info().is_some(), retries, "{reason}");
        assert!(!status.message().is_empty());
    }
}

#[test]
fn names_every_faulty_field() {
    let status = Status::from(all().remove(0));
    let details = status.get_error_details();
    let fields = &details.bad_request().unwrap().field_violations;
    let fields: Vec<_> = fields.iter().map(|f| (&*f.field, &*f.description)).collect();
    assert_eq!(fields, [("a", "must be b"), ("c.d", "is not e")]);
}

#[test]
fn names_the_permission_or_role_that_is_missing() {
    for (error, key, value) in [
        (Error::PermissionMissing("user:create".to_owned()), "permission", "user:create"),
        (Error::RoleNotHeld("clerk".to_owned()), "role_id", "clerk"),
    ] {
        let details = Status::from(error).get_error_details();
        assert_eq!(details.error_info().unwrap().metadata[key], value);
    }
}

#[test]
fn tells_a_database_that_is_too_far_away_from_one_that_is_gone() {
    let second = Duration::from_secs(1);
    let far = NoLease::TooFar { round_trip: second, lease: second / 2 };
    let message = |fault| Status::from(Error::NoLease(fault)).message().to_owned();
    assert!(message(far).contains("longer than the lease"));
    assert!(!message(NoLease::Lost).contains("longer than the lease"));
}

#[test]
fn keeps_causes_to_itself() {
    for error in [Error::Unavailable(CAUSE.into()), Error::Internal(CAUSE.into())] {
        let status = Status::from(error);
        assert!(!format!("{status:?}").contains("hunter2"));
        assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
    }
}

#[test]
fn logs_a_cause_down_to_its_root() {
    #[derive(Debug, thiserror::Error)]
    #[error("no connection")]
    struct Outer(#[source] std::io::Error);

    let cause = Outer(std::io::Error::other("refused"));
    assert_eq!(chain(&cause), "no connection: refused");
}
