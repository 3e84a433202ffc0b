//! Faults: why a call has no answer, before it is written.

use std::borrow::Cow;

use http::StatusCode;

use super::super::refusal::{self, Parameters, Refusal};
use super::query::QueryFault;
use crate::rest::failure::Failure;
use crate::rest::input::soap::SoapFault;

/// Why a call has no answer.
#[derive(Debug)]
pub(super) struct Fault {
    /// The status that goes with it.
    pub(super) status: StatusCode,
    /// Whose fault it is.
    pub(super) code: Code,
    /// One sentence.
    pub(super) reason: Cow<'static, str>,
    /// What the `%name`s of the reason stand for.
    pub(super) parameters: Parameters,
    /// What is wrong, where it is more than one thing.
    pub(super) errors: Vec<refusal::Fault>,
    /// When to come back, in seconds.
    pub(super) retry_after: Option<u64>,
}

/// The codes of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    /// The caller's.
    Sender,
    /// Ours, or nobody's: later it may be well.
    Receiver,
    /// The envelope is of no version that is read.
    VersionMismatch,
    /// A header that is not understood must be.
    MustUnderstand,
    /// There is no such operation.
    ProcedureNotPresent,
}

impl Fault {
    /// Nothing says which host was meant.
    pub(super) fn no_host() -> Self {
        Self::new(StatusCode::BAD_REQUEST, Code::Sender, "Bad Request")
    }

    /// No service that the URL names has the operation.
    pub(super) fn no_procedure() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            Code::ProcedureNotPresent,
            "Procedure not present",
        )
    }

    /// A URL that asks for no WSDL. Elsewhere the same faults go with 200.
    pub(super) fn of_wsdl(fault: &QueryFault) -> Self {
        let status = match fault {
            QueryFault::Format | QueryFault::Parameters(_) => StatusCode::BAD_REQUEST,
            QueryFault::Unknown(_) => StatusCode::NOT_FOUND,
        };
        Self::new(status, Code::Sender, fault.to_string())
    }

    fn new(status: StatusCode, code: Code, reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            code,
            reason: reason.into(),
            parameters: Parameters::new(),
            errors: Vec::new(),
            retry_after: None,
        }
    }

    /// What goes wrong around the service keeps its status.
    fn around(refusal: Refusal, code: Code) -> Self {
        let Refusal { status, message, errors, parameters } = refusal;
        Self { parameters, errors, ..Self::new(status, code, message) }
    }
}

/// What the service refuses goes with 200.
impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        if refusal.status.is_server_error() {
            return Self::around(refusal, Code::Receiver);
        }
        Self { status: StatusCode::OK, ..Self::around(refusal, Code::Sender) }
    }
}

impl From<QueryFault> for Fault {
    fn from(fault: QueryFault) -> Self {
        Self { status: StatusCode::OK, ..Self::of_wsdl(&fault) }
    }
}

impl From<SoapFault> for Fault {
    fn from(fault: SoapFault) -> Self {
        let (code, reason) = match fault {
            // The vendor's own check, which comes before its SOAP server, answers with 200.
            SoapFault::Xml(_) => {
                return Self::new(StatusCode::OK, Code::Receiver, "Invalid XML");
            }
            SoapFault::DuplicateField { .. } | SoapFault::NestedField { .. } => {
                return Refusal::wrong_type().into();
            }
            SoapFault::NotAnEnvelope => (Code::VersionMismatch, "Wrong Version"),
            SoapFault::NoOperation(_) => {
                (Code::Sender, "looks like we got \"Body\" without function call")
            }
            SoapFault::MustUnderstand(_) => (Code::MustUnderstand, "Header not understood"),
        };
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, code, reason)
    }
}

impl From<&Failure> for Fault {
    fn from(failure: &Failure) -> Self {
        let refusal = Refusal::from(failure);
        match failure {
            Failure::BadCredentials
            | Failure::InvalidFields(_)
            | Failure::TokenInvalid
            | Failure::TokenExpired
            | Failure::TokenNotFound
            | Failure::PermissionMissing
            | Failure::RoleNotHeld(_)
            | Failure::UserWithoutRole => refusal.into(),
            Failure::NotFound | Failure::BodyUnreadable => Self::around(refusal, Code::Sender),
            Failure::MethodNotAllowed { .. } => {
                Self::new(failure.status(), Code::Sender, "Method Not Allowed")
            }
            Failure::Throttled(seconds) | Failure::Unavailable(seconds) => {
                Self { retry_after: Some(*seconds), ..Self::around(refusal, Code::Receiver) }
            }
            Failure::BodyTooLarge | Failure::BodyLate | Failure::Internal => {
                Self::around(refusal, Code::Receiver)
            }
        }
    }
}
