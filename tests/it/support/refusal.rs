//! An error of the contract, read.

use std::collections::BTreeMap;
use std::time::Duration;

use tokend::pb::{ERROR_DOMAIN, ErrorReason};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// All that a caller learns from a call that failed. Two that are equal can't be told apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) reason: ErrorReason,
    /// The faulty fields that it names.
    pub(crate) fields: Vec<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) message: String,
    details: Vec<u8>,
    /// The names of the headers and trailers.
    headers: Vec<String>,
}

impl From<Status> for Refusal {
    /// Every failure carries an `ErrorInfo` of ours: one without fails the test.
    fn from(status: Status) -> Self {
        let info = status.get_details_error_info();
        let info = info.unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
        assert_eq!(info.domain, ERROR_DOMAIN);
        let request = status.get_details_bad_request();
        let fields = request.into_iter().flat_map(|request| request.field_violations);
        Self {
            code: status.code(),
            reason: ErrorReason::from_str_name(&info.reason).expect("a reason of the contract"),
            fields: fields.map(|violation| violation.field).collect(),
            metadata: info.metadata.into_iter().collect(),
            retry_after: status.get_details_retry_info().and_then(|retry| retry.retry_delay),
            message: status.message().to_owned(),
            details: status.details().to_owned(),
            headers: status.metadata().keys().map(|key| format!("{key:?}")).collect(),
        }
    }
}

impl PartialEq<(Code, ErrorReason)> for Refusal {
    fn eq(&self, other: &(Code, ErrorReason)) -> bool {
        (self.code, self.reason) == *other
    }
}
