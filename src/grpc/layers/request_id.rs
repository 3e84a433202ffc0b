//! The id of a request: the caller's own, or one that we draw.

use http::{HeaderMap, HeaderValue, Response};

use crate::client;
use crate::domain::random::{MachineRandom, Random};

/// Answers the caller's id, where it is one that a log can hold; else a fresh one.
pub(super) fn of(headers: &HeaderMap) -> HeaderValue {
    given(headers).cloned().unwrap_or_else(fresh)
}

/// Answers the caller's id, where it is one that a log can hold.
pub(in crate::grpc) fn given(headers: &HeaderMap) -> Option<&HeaderValue> {
    headers.get(client::REQUEST_ID).filter(|id| client::is_request_id(id.as_bytes()))
}

/// Tells the caller.
pub(super) fn echo<B>(id: HeaderValue, answer: &mut Response<B>) {
    answer.headers_mut().insert(client::REQUEST_ID, id);
}

fn fresh() -> HeaderValue {
    let random: &dyn Random = &MachineRandom::default();
    // An id is a help to readers of logs. No call fails for want of one.
    HeaderValue::from(u64::from_be_bytes(random.bytes().unwrap_or_default()))
}
