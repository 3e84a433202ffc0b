//! Why a command failed, in one clear sentence.

use std::error::Error as _;
use std::io;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::DEADLINE;
use super::output::printable;
use crate::client::REQUEST_ID;
use crate::pb;

/// Why a command failed. `Display` is one sentence for people; field faults of a request follow
/// on lines of their own. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server refused, failed, or was not reached: already in words.
    #[error("{0}")]
    Call(String),
    /// The server wants to know who calls, and nobody can be asked.
    #[error(
        "the server wants to know who you are: set TOKEND_TOKEN, or use --token-stdin or --as NAME"
    )]
    NoCredentials,
    /// Two ways of saying who calls.
    #[error("--as and --token-stdin both say who you are: use one of them")]
    TwoCredentials,
    /// `--as-realm` without `--as`.
    #[error("--as-realm names the realm of the user of --as NAME, which is missing")]
    RealmOfNobody,
    /// Credentials for the operator of a local database.
    #[error("--as and --token-stdin are for a server: on the local database you are the operator")]
    OperatorWithCredentials,
    /// The operator is no user, so "one's own" means nothing.
    #[error("on the local database you are no user: say whose, with {0}")]
    OperatorIsNoUser(&'static str),
    /// Only the operator makes tokens for others.
    #[error(
        "only the operator of a local database makes tokens for others: sign in as that user, with --as NAME"
    )]
    TokenForAnother,
    /// There is no terminal to ask on.
    #[error("there is no terminal to ask for the {what} on: use {instead}")]
    NoTerminal {
        /// What would have been asked for.
        what: &'static str,
        /// The flag that needs no terminal.
        instead: &'static str,
    },
    /// The new password was typed differently the second time.
    #[error("the two passwords differ; nothing was changed")]
    PasswordsDiffer,
    /// A secret was asked for and an empty line came.
    #[error("no {0} was given: the line is empty")]
    EmptySecret(&'static str),
    /// Nobody knows where a secret begins or ends.
    #[error("{name} {fault}")]
    UnclearSecret {
        /// The variable that holds it.
        name: &'static str,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// What names the caller can't be sent as metadata.
    #[error("{0} holds characters that can't be sent")]
    Unsendable(&'static str),
    /// A part that the contract promises is missing.
    #[error("the server's answer lacks {0}: it may be of another version")]
    Incomplete(&'static str),
    /// The server would have us read pages for ever.
    #[error("the server gave the same page twice")]
    SamePage,
    /// The server gives page after page.
    #[error("the server gave {0} pages and there is no end of them")]
    NoEnd(usize),
    /// The server says that there is more to remove, and removes nothing.
    #[error(
        "the server says that there is more to remove and removes nothing: another purge may be at \
         it, so try again later"
    )]
    NothingRemoved,
    /// Standard input or the terminal could not be read.
    #[error("the input could not be read: {0}")]
    Input(#[source] io::Error),
    /// The answer could not be written.
    #[error("the answer could not be written: {0}")]
    Output(#[from] io::Error),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(sentence(&status))
    }
}

fn sentence(status: &Status) -> String {
    let details = status.get_error_details();
    let mut parts = vec![match reason(&details) {
        Some(reason) => of_reason(reason, status, &details),
        None => of_code(status),
    }];
    for violation in details.bad_request().into_iter().flat_map(|it| &it.field_violations) {
        let (field, what) = (printable(&violation.field), printable(&violation.description));
        parts.push(format!("\n  {field}: {what}"));
    }
    if let Some(delay) = details.retry_info().and_then(|it| it.retry_delay) {
        let seconds = delay.as_secs().saturating_add(u64::from(delay.subsec_nanos() > 0));
        parts.push(format!("; try again in {seconds} s"));
    }
    parts.concat()
}

fn reason(details: &ErrorDetails) -> Option<pb::ErrorReason> {
    let info = details.error_info()?;
    (info.domain == pb::ERROR_DOMAIN).then(|| pb::ErrorReason::from_str_name(&info.reason))?
}

fn of_reason(reason: pb::ErrorReason, status: &Status, details: &ErrorDetails) -> String {
    use pb::ErrorReason as Reason;
    let words = match reason {
        Reason::Unspecified => return of_code(status),
        Reason::InvalidField => "the server can't take the request:",
        Reason::BadCredentials => {
            "you were not signed in: the name or password is wrong, or the user may not sign in"
        }
        Reason::TokenInvalid => {
            "the token you signed in with is unknown, revoked or of no use here"
        }
        Reason::TokenExpired => "the token you signed in with has expired",
        Reason::RefreshTokenReused => {
            "the refresh token was used before; all that came from its sign-in is revoked"
        }
        Reason::TokenNotFound => "there is no such token that you may see",
        Reason::UserNotFound => "there is no such user",
        Reason::RoleNotFound => "there is no such role",
        Reason::KeyNotFound => "there is no such signing key",
        Reason::AlreadyExists => "the name is taken",
        Reason::PermissionMissing => {
            return naming("you lack a permission", details, "permission");
        }
        Reason::RoleNotHeld => {
            return naming("you can't give a role that you don't hold", details, "role_id");
        }
        Reason::UserWithoutRole => {
            "the profile is for users that have a role, and this one has none"
        }
        Reason::RateLimited => "there were too many attempts",
        Reason::TooManyRevoked => {
            "too many tokens of that grant were revoked one by one: revoke the grant"
        }
        Reason::Busy => "the server is busy with other sign-ins",
        Reason::StoreUnavailable => "the server can't reach its database, so nothing was decided",
        Reason::Internal => return of_fault(status),
        Reason::DeadlineExceeded => return too_late(),
    };
    words.to_owned()
}

/// The sentence, and behind it what the error's metadata names.
fn naming(words: &str, details: &ErrorDetails, key: &str) -> String {
    details
        .error_info()
        .and_then(|info| info.metadata.get(key))
        .map_or_else(|| words.to_owned(), |name| format!("{words}: {}", printable(name)))
}

fn of_fault(status: &Status) -> String {
    let words = "the server failed; its log says why";
    status
        .metadata()
        .get(REQUEST_ID)
        .and_then(|id| id.to_str().ok())
        .map_or_else(|| words.to_owned(), |id| format!("{words}, under the request id {id}"))
}

fn too_late() -> String {
    format!("the server did not answer within {} s", DEADLINE.as_secs())
}

/// For what carries no reason of ours: it comes from the transport, or from something between.
fn of_code(status: &Status) -> String {
    match status.code() {
        Code::Unavailable => {
            format!("the server could not be reached: {}", printable(&deepest_cause(status)))
        }
        Code::DeadlineExceeded | Code::Cancelled => too_late(),
        Code::Unimplemented => {
            "the server doesn't know this command: it may be of an older version".to_owned()
        }
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => {
            format!("the call failed: {}", printable(&deepest_cause(status)))
        }
    }
}

/// The transport wraps its errors several times, and only the innermost says anything.
fn deepest_cause(status: &Status) -> String {
    let Some(mut cause) = status.source() else {
        let message = status.message();
        return if message.is_empty() { status.code().to_string() } else { message.to_owned() };
    };
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::time::Duration;

    use super::*;

    fn refused(code: Code, reason: pb::ErrorReason, details: ErrorDetails) -> String {
        let mut details = details;
        let metadata = details.error_info().map(|info| info.metadata.clone()).unwrap_or_default();
        details.set_error_info(reason.as_str_name(), pb::ERROR_DOMAIN, metadata);
        Error::from(Status::with_error_details(code, "raw words", details)).to_string()
    }

    #[test]
    fn names_every_faulty_field_on_a_line_of_its_own() {
        let details = ErrorDetails::with_bad_request(vec![
            tonic_types::FieldViolation::new("username", "must not hold `:`"),
            tonic_types::FieldViolation::new("password", "must not be\u{1b}empty"),
        ]);
        let sentence = refused(Code::InvalidArgument, pb::ErrorReason::InvalidField, details);
        insta::assert_snapshot!(sentence, @r#"
        the server can't take the request:
          username: must not hold `:`
          password: must not be\u{1b}empty
        "#);
    }

    #[test]
    fn says_when_to_come_back() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(2_100)));
        assert_eq!(
            refused(Code::ResourceExhausted, pb::ErrorReason::RateLimited, details),
            "there were too many attempts; try again in 3 s"
        );
    }

    #[test]
    fn names_the_permission_that_is_missing() {
        let metadata = HashMap::from([("permission".to_owned(), "user:read".to_owned())]);
        let details = ErrorDetails::with_error_info("", pb::ERROR_DOMAIN, metadata);
        assert_eq!(
            refused(Code::PermissionDenied, pb::ErrorReason::PermissionMissing, details),
            "you lack a permission: user:read"
        );
    }

    #[test]
    fn gives_the_request_id_of_a_fault() {
        let mut details = ErrorDetails::new();
        let reason = pb::ErrorReason::Internal.as_str_name();
        details.set_error_info(reason, pb::ERROR_DOMAIN, HashMap::new());
        let mut status = Status::with_error_details(Code::Internal, "x", details);
        status.metadata_mut().insert(REQUEST_ID, "r-1".parse().unwrap());
        assert_eq!(
            Error::from(status).to_string(),
            "the server failed; its log says why, under the request id r-1"
        );
    }

    #[test]
    fn has_a_sentence_for_every_reason_of_the_contract() {
        for value in 1..=18 {
            let reason = pb::ErrorReason::try_from(value).unwrap();
            let sentence = refused(Code::Unknown, reason, ErrorDetails::new());
            assert!(!sentence.contains("raw words"), "{reason:?}: {sentence}");
            assert!(!sentence.contains("ERROR_REASON"), "{reason:?}: {sentence}");
        }
    }

    #[test]
    fn takes_a_reason_of_another_domain_for_none() {
        let details = ErrorDetails::with_error_info(
            "ERROR_REASON_USER_NOT_FOUND",
            "proxy.example",
            HashMap::new(),
        );
        let status = Status::with_error_details(Code::NotFound, "no route", details);
        assert_eq!(Error::from(status).to_string(), "the call failed: no route");
    }

    #[test]
    fn says_what_lies_beneath_an_error_of_the_transport() {
        let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
        let mut status = Status::unavailable("tcp connect error");
        status.set_source(std::sync::Arc::new(refused));
        assert_eq!(
            Error::from(status).to_string(),
            "the server could not be reached: connection refused"
        );
    }
}
