//! The answer to a check, written straight from the verdict: byte by byte what prost writes of the
//! contract's message, without the texts that it would have to be made of first.

use std::sync::Arc;

use prost::bytes::{BufMut as _, BytesMut};
use prost::encoding::{encode_varint, encoded_len_varint};
use uuid::Uuid;

use crate::domain::calls::{Bearer, TokenSummary, Verdict};
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Role, User};
use crate::pb;

#[cfg(test)]
mod tests;

const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// Writes a verdict.
pub(super) fn write(verdict: &Verdict, into: &mut BytesMut) {
    let Verdict { denied, bearer, missing, facts_age } = verdict;
    let (decision, reason) = match denied {
        None => (pb::Decision::Allow, pb::DenyReason::Unspecified),
        Some(reason) => (pb::Decision::Deny, (*reason).into()),
    };
    number(into, 1, i32::from(decision).into());
    number(into, 2, i32::from(reason).into());
    if let Some(Bearer { token, user }) = bearer {
        message(into, 3, |into| write_token(token, into));
        message(into, 4, |into| write_subject(user, &token.roles, into));
    }
    for permission in missing {
        piece(into, 5, permission.as_bytes());
    }
    let seconds = i64::try_from(facts_age.as_secs()).unwrap_or(i64::MAX);
    message(into, 6, |into| write_time(seconds, facts_age.subsec_nanos().into(), into));
}

fn write_token(token: &TokenSummary, into: &mut BytesMut) {
    let TokenSummary { id, grant, profile, kind, roles, expires_at } = token;
    id.with_text(|text| piece(into, 1, text.as_bytes()));
    uuid(into, 2, grant.0);
    text(into, 3, profile.as_str());
    number(into, 4, i32::from(pb::TokenKind::from(*kind)).into());
    write_roles(5, roles, into);
    if let Some(end) = expires_at {
        let nanos = end.micros().rem_euclid(1_000_000) * 1000;
        message(into, 6, |into| write_time(Timestamp::seconds(*end), nanos, into));
    }
}

fn write_subject(user: &User, roles: &[Arc<Role>], into: &mut BytesMut) {
    uuid(into, 1, user.id.0);
    text(into, 2, user.realm.as_str());
    text(into, 3, &user.username);
    write_roles(4, roles, into);
}

fn write_roles(tag: u64, roles: &[Arc<Role>], into: &mut BytesMut) {
    for role in roles {
        piece(into, tag, role.name.as_str().as_bytes());
    }
}

fn write_time(seconds: i64, nanos: i64, into: &mut BytesMut) {
    number(into, 1, seconds);
    number(into, 2, nanos);
}

fn uuid(into: &mut BytesMut, tag: u64, id: Uuid) {
    let mut buffer = [0; 36];
    piece(into, tag, id.hyphenated().encode_lower(&mut buffer).as_bytes());
}

fn text(into: &mut BytesMut, tag: u64, text: &str) {
    if !text.is_empty() {
        piece(into, tag, text.as_bytes());
    }
}

/// A number, which is left out where it is 0. One below it is written as its two's complement.
fn number(into: &mut BytesMut, tag: u64, number: i64) {
    if number != 0 {
        encode_varint(tag << 3 | VARINT, into);
        encode_varint(number.cast_unsigned(), into);
    }
}

fn piece(into: &mut BytesMut, tag: u64, bytes: &[u8]) {
    encode_varint(tag << 3 | BYTES, into);
    encode_varint(as_number(bytes.len()), into);
    into.put_slice(bytes);
}

/// Writes a message within a message. Its length stands before it and is known after it: a place
/// is kept that is wide enough for most.
fn message(into: &mut BytesMut, tag: u64, write: impl FnOnce(&mut BytesMut)) {
    encode_varint(tag << 3 | BYTES, into);
    let start = into.len();
    into.put_u8(0);
    write(into);
    let length = into.len() - start - 1;
    let wider = encoded_len_varint(as_number(length)) - 1;
    if wider > 0 {
        into.put_bytes(0, wider);
        into.copy_within(start + 1..=start + length, start + 1 + wider);
    }
    let (_, mut place) = into.split_at_mut(start);
    encode_varint(as_number(length), &mut place);
}

fn as_number(length: usize) -> u64 {
    length.try_into().unwrap_or(u64::MAX)
}
