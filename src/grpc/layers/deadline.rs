//! How long a call may take: what its caller grants it in `grpc-timeout`, and no more than we do.
//!
//! It bounds the time to the head of the answer, which for our own methods is all of it. An open
//! stream is not cut.

use std::time::Duration;

use http::{HeaderMap, Response};
use tonic::body::Body;

use crate::grpc::status;

/// Answers how long a call may take. A `grpc-timeout` that can't be read counts as none.
pub(in crate::grpc) fn of(headers: &HeaderMap, max: Duration) -> Duration {
    let granted = headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?));
    granted.map_or(max, |granted| granted.saturating_sub(margin(granted)).min(max))
}

// The transport has a timer of its own for the same header and answers CANCELLED. Ours has to go
// first, and an answer that is sent before the deadline is one that the caller still reads.
fn margin(granted: Duration) -> Duration {
    (granted / 10).min(Duration::from_millis(5))
}

/// Reads 1 to 8 digits and a unit.
fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Waits for the answer this long, and else says `DEADLINE_EXCEEDED`. The call is dropped then.
pub(in crate::grpc) async fn within(
    time: Duration,
    call: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    match tokio::time::timeout(time, call).await {
        Ok(answer) => answer,
        Err(_) => status::deadline_exceeded().into_http(),
    }
}
