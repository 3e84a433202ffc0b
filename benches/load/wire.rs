//! gRPC messages as bytes: what is sent is encoded once, what comes back is read no further than
//! it takes to judge it.

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Method, Request, Version, header};
use prost::Message;
use tokend::pb;

use crate::{Result, fail};

/// What stands before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;

/// A message in its frame.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let body = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(PREFIX + body.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    framed.put_slice(&body);
    framed.freeze()
}

/// The message in a frame, where it is one, whole and uncompressed.
pub(crate) fn unframe(framed: &Bytes) -> Result<Bytes> {
    let length = framed.get(1..PREFIX).and_then(|four| <[u8; 4]>::try_from(four).ok());
    let length = length.map(u32::from_be_bytes).and_then(|length| usize::try_from(length).ok());
    if framed.first() != Some(&0) || length != framed.len().checked_sub(PREFIX) {
        return fail(format!("{} bytes are no message of gRPC", framed.len()));
    }
    Ok(framed.slice(PREFIX..))
}

/// The head of a call of a method: `TokenService/Authorize`.
pub(crate) fn head(method: &str) -> Result<Request<()>> {
    Ok(Request::builder()
        .method(Method::POST)
        .uri(format!("http://tokend/tokend.v1.{method}"))
        .version(Version::HTTP_2)
        .header(header::TE, "trailers")
        .header(header::CONTENT_TYPE, "application/grpc")
        .body(())?)
}

/// The same by a caller with this token.
pub(crate) fn head_by(method: &str, token: &str) -> Result<Request<()>> {
    let mut head = head(method)?;
    head.headers_mut().insert(header::AUTHORIZATION, format!("Bearer {token}").parse()?);
    Ok(head)
}

/// The first fields of an answer to `Authorize`; a reader of protobuf passes over the others.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
struct Verdict {
    #[prost(enumeration = "pb::Decision", tag = "1")]
    decision: i32,
    #[prost(enumeration = "pb::DenyReason", tag = "2")]
    deny_reason: i32,
}

/// Judges an answer.
pub(crate) type Judge = fn(&[u8]) -> Result<()>;

/// `Authorize` allowed it.
pub(crate) fn allowed(message: &[u8]) -> Result<()> {
    decided(message, pb::Decision::Allow, pb::DenyReason::Unspecified)
}

/// `Authorize` took the token for none of ours.
pub(crate) fn unknown(message: &[u8]) -> Result<()> {
    decided(message, pb::Decision::Deny, pb::DenyReason::UnknownToken)
}

fn decided(message: &[u8], decision: pb::Decision, reason: pb::DenyReason) -> Result<()> {
    let verdict = Verdict::decode(message)?;
    if verdict.decision() == decision && verdict.deny_reason() == reason {
        return Ok(());
    }
    fail(format!("it decided {verdict:?} instead of {decision:?}, {reason:?}"))
}

/// `CreateToken` made one.
pub(crate) fn created(message: &[u8]) -> Result<()> {
    secret(pb::CreateTokenResponse::decode(message)?.token).map(drop)
}

/// `RefreshOperationToken` made one.
pub(crate) fn refreshed(message: &[u8]) -> Result<()> {
    secret(pb::RefreshOperationTokenResponse::decode(message)?.operation_token).map(drop)
}

/// The secret of a token that was made.
pub(crate) fn secret(issued: Option<pb::IssuedToken>) -> Result<String> {
    match issued {
        Some(issued) if !issued.secret.is_empty() && issued.token.is_some() => Ok(issued.secret),
        _ => fail("no token was made"),
    }
}
