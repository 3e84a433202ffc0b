//! The answer to a check, written straight from the verdict: byte by byte what prost writes of the
//! contract's message, without the texts that it would have to be made of first.

use std::fmt::{self, Write as _};

use prost::bytes::{BufMut as _, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};
use uuid::Uuid;

use crate::domain::calls::{Bearer, Subject, TokenSummary, Verdict};
use crate::domain::clock::Timestamp;
use crate::domain::identity::RoleName;
use crate::domain::token::TokenId;
use crate::pb;

#[cfg(test)]
mod tests;

/// Answers how many bytes a verdict takes.
pub(super) fn length(verdict: &Verdict) -> usize {
    let mut length = Length(0);
    write_verdict(verdict, &mut length);
    length.0
}

/// Writes a verdict.
pub(super) fn write(verdict: &Verdict, into: &mut BytesMut) {
    write_verdict(verdict, into);
}

/// What can be written to.
trait Sink {
    fn varint(&mut self, value: u64);
    fn bytes(&mut self, bytes: &[u8]);
}

impl Sink for BytesMut {
    fn varint(&mut self, value: u64) {
        encode_varint(value, self);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.put_slice(bytes);
    }
}

/// Counts what would be written: the length of a message stands before it.
struct Length(usize);

impl Sink for Length {
    fn varint(&mut self, value: u64) {
        self.0 += encoded_len_varint(value);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

const VARINT: u64 = 0;
const BYTES: u64 = 2;

fn write_verdict(verdict: &Verdict, sink: &mut impl Sink) {
    let Verdict { denied, bearer, missing, facts_age } = verdict;
    let (decision, reason) = match denied {
        None => (pb::Decision::Allow, pb::DenyReason::Unspecified),
        Some(reason) => (pb::Decision::Deny, (*reason).into()),
    };
    number(sink, 1, i32::from(decision).into());
    number(sink, 2, i32::from(reason).into());
    if let Some(Bearer { token, subject }) = bearer {
        message(sink, 3, &|sink| write_token(token, sink));
        message(sink, 4, &|sink| write_subject(subject, &token.roles, sink));
    }
    for permission in missing {
        piece(sink, 5, permission.as_bytes());
    }
    let seconds = i64::try_from(facts_age.as_secs()).unwrap_or(i64::MAX);
    message(sink, 6, &|sink| write_time(seconds, facts_age.subsec_nanos().into(), sink));
}

fn write_token(token: &TokenSummary, sink: &mut dyn Sink) {
    let TokenSummary { id, grant, profile, kind, roles, expires_at } = token;
    write_id(id, sink);
    uuid(sink, 2, grant.0);
    text(sink, 3, profile.as_str());
    number(sink, 4, i32::from(pb::TokenKind::from(*kind)).into());
    write_roles(5, roles, sink);
    if let Some(end) = expires_at {
        let nanos = end.micros().rem_euclid(1_000_000) * 1000;
        message(sink, 6, &|sink| write_time(Timestamp::seconds(*end), nanos, sink));
    }
}

fn write_subject(subject: &Subject, roles: &[RoleName], sink: &mut dyn Sink) {
    let Subject { user, realm, username } = subject;
    uuid(sink, 1, user.0);
    text(sink, 2, realm.as_str());
    text(sink, 3, username);
    write_roles(4, roles, sink);
}

fn write_roles(tag: u64, roles: &[RoleName], sink: &mut dyn Sink) {
    for role in roles {
        piece(sink, tag, role.as_str().as_bytes());
    }
}

fn write_time(seconds: i64, nanos: i64, sink: &mut dyn Sink) {
    number(sink, 1, seconds);
    number(sink, 2, nanos);
}

fn write_id(id: &TokenId, sink: &mut dyn Sink) {
    let mut short = Short { bytes: [0; 64], length: 0 };
    // No id is longer.
    if write!(short, "{id}").is_ok() {
        piece(sink, 1, short.bytes.get(..short.length).unwrap_or_default());
    }
}

/// A text of 64 bytes at most.
struct Short {
    bytes: [u8; 64],
    length: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let place = self.bytes.get_mut(self.length..end).ok_or(fmt::Error)?;
        place.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

fn uuid(sink: &mut dyn Sink, tag: u64, id: Uuid) {
    let mut buffer = [0; 36];
    piece(sink, tag, id.hyphenated().encode_lower(&mut buffer).as_bytes());
}

fn text(sink: &mut dyn Sink, tag: u64, text: &str) {
    if !text.is_empty() {
        piece(sink, tag, text.as_bytes());
    }
}

/// A number, which is left out where it is 0. One below it is written as its two's complement.
fn number(sink: &mut dyn Sink, tag: u64, number: i64) {
    if number != 0 {
        sink.varint(tag << 3 | VARINT);
        sink.varint(number.cast_unsigned());
    }
}

fn piece(sink: &mut dyn Sink, tag: u64, bytes: &[u8]) {
    sink.varint(tag << 3 | BYTES);
    sink.varint(bytes.len().try_into().unwrap_or(u64::MAX));
    sink.bytes(bytes);
}

fn message(sink: &mut dyn Sink, tag: u64, write: &dyn Fn(&mut dyn Sink)) {
    let mut length = Length(0);
    write(&mut length);
    sink.varint(tag << 3 | BYTES);
    sink.varint(length.0.try_into().unwrap_or(u64::MAX));
    write(sink);
}
