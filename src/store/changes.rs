//! The list of changes: appended in the order of commits, read from a number on.

use std::time::Duration;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ConnectionTrait, DatabaseTransaction, EntityTrait as _, QueryOrder as _, QuerySelect as _,
};

use super::convert::broken;
use super::engine::PAGE;
use super::entity::{change, change_head};
use super::{SeaStore, audit, pieces};
use crate::domain::clock::Timestamp;
use crate::domain::identity::{Realm, RoleId, UserId};
use crate::domain::random::Random as _;
use crate::domain::store::{
    Answer, Audit, Change, GrantChange, Mark, More, Seq, StoreError, Tail, Terms,
};
use crate::domain::token::{GrantId, TokenDigest, TokenId};

/// The word for a revoked `jti`, in `changes` and `revocations` alike.
pub(super) const JTI: &str = "jti";

/// The word for a revoked grant, in `changes` and `revocations` alike.
pub(super) const GRANT: &str = "grant";

const RESTAMPED: &str = "restamp";

const BARRIER: &str = "barrier";

/// Answers the newest change.
pub(super) async fn head(store: &SeaStore) -> Answer<Mark> {
    head_on(&store.readers).await
}

/// Answers the newest change, as this connection sees it.
pub(super) async fn head_on(connection: &impl ConnectionTrait) -> Answer<Mark> {
    let newest =
        change::Entity::find().order_by_desc(change::Column::Seq).limit(1).one(connection).await?;
    newest.map(|row| mark(&row)).ok_or_else(|| broken("changes"))
}

/// Reads a page of changes, and what else the tail must know of the same moment.
pub(super) async fn changes_from(store: &SeaStore, seq: Seq) -> Answer<Tail> {
    let rows = store.engine.read_changes(seq.0).await?;
    let first = rows.first().ok_or_else(|| broken("change_head"))?;
    if !first.try_get::<bool>("", "is_primary")? {
        return Err(StoreError::Unavailable("the database server takes no writes".into()));
    }
    let clock = Timestamp::from_micros(first.try_get("", "clock")?);
    let terms = terms(first.try_get("", "max_lease_ms")?, first.try_get("", "serve_stale_ms")?);
    let mut changes = Vec::with_capacity(rows.len());
    for row in &rows {
        // Null where there was none to join.
        let Some(seq) = row.try_get("", "seq")? else { continue };
        let row = change::Model {
            seq,
            nonce: row.try_get("", "nonce")?,
            kind: row.try_get("", "kind")?,
            key: row.try_get("", "key")?,
            until: row.try_get("", "until")?,
            committed_at: row.try_get("", "committed_at")?,
        };
        changes.push((mark(&row), read_change(&row)));
    }
    let more = if changes.len() < PAGE { More::No } else { More::Perhaps };
    Ok(Tail { changes, more, terms, clock })
}

/// Raises the terms to those of a replica.
pub(super) async fn announce_terms(store: &SeaStore, terms: Terms) -> Answer<()> {
    let transaction = store.begin().await?;
    let head = change_head::Entity::find_by_id(1).lock_exclusive().one(&transaction).await?;
    let head = head.ok_or_else(|| broken("change_head"))?;
    let known = self::terms(head.max_lease_ms, head.serve_stale_ms);
    let higher = Terms {
        longest_lease: known.longest_lease.max(terms.longest_lease),
        serve_stale: known.serve_stale.max(terms.serve_stale),
    };
    if higher == known {
        return store.roll_back(transaction).await;
    }
    write_terms(&transaction, higher).await?;
    store.commit(transaction).await
}

/// Sets the terms anew.
pub(super) async fn set_terms(store: &SeaStore, terms: Terms, audit: &Audit) -> Answer<()> {
    let transaction = store.begin().await?;
    audit::insert(&transaction, &[audit]).await?;
    write_terms(&transaction, terms).await?;
    store.commit(transaction).await
}

async fn write_terms(connection: &impl ConnectionTrait, terms: Terms) -> Answer<()> {
    let Terms { longest_lease, serve_stale } = terms;
    change_head::Entity::update_many()
        .col_expr(change_head::Column::MaxLeaseMs, Expr::value(millis(longest_lease)))
        .col_expr(change_head::Column::ServeStaleMs, Expr::value(serve_stale.map(millis)))
        .exec(connection)
        .await?;
    Ok(())
}

fn terms(longest_lease: i64, serve_stale: Option<i64>) -> Terms {
    let time = |millis: i64| Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    Terms { longest_lease: time(longest_lease), serve_stale: serve_stale.map(time) }
}

/// Whole milliseconds, rounded up: a lease must not look shorter than it is.
fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
}

/// Appends changes, numbered under the lock of the head, each with its nonce and the time of its
/// order. Answers the mark of each.
pub(super) async fn append(
    store: &SeaStore,
    connection: &DatabaseTransaction,
    changes: Vec<(&Change, Timestamp)>,
) -> Answer<Vec<Mark>> {
    let Ok(count @ 1..) = i64::try_from(changes.len()) else { return Ok(Vec::new()) };
    let mut nonces = vec![0; changes.len() * 8];
    store.random.fill(&mut nonces).map_err(|error| StoreError::Unavailable(error.into()))?;
    let nonces = nonces.chunks_exact(8).filter_map(|nonce| nonce.try_into().ok());
    let last = store.engine.take_numbers(connection, count).await?;
    let last = last.ok_or_else(|| broken("change_head"))?;
    let rows: Vec<_> = changes
        .into_iter()
        .zip(nonces.map(i64::from_ne_bytes))
        .zip(last - count + 1..)
        .map(|(((change, at), nonce), seq)| write_change(change, Mark { seq: Seq(seq), nonce }, at))
        .collect();
    let marks = rows.iter().map(mark).collect();
    pieces::insert::<change::ActiveModel>(connection, rows).await?;
    Ok(marks)
}

fn mark(row: &change::Model) -> Mark {
    Mark { seq: Seq(row.seq), nonce: row.nonce }
}

fn write_change(change: &Change, mark: Mark, at: Timestamp) -> change::Model {
    let (kind, key, until) = match change {
        Change::User(id) => ("user", id.to_string(), None),
        Change::Role(id) => ("role", id.0.to_string(), None),
        Change::Anonymous(realm) => ("anonymous", realm.to_string(), None),
        Change::Token(digest) => ("token", hex(digest.as_bytes()), None),
        Change::Grant { id, until, revoked: GrantChange::Revoked } => {
            (GRANT, id.to_string(), *until)
        }
        Change::Grant { id, until, revoked: GrantChange::Restamped } => {
            (RESTAMPED, id.to_string(), *until)
        }
        Change::Jti { id, until } => (JTI, id.to_string(), *until),
        Change::Keys => ("keys", String::new(), None),
        Change::Barrier => (BARRIER, String::new(), None),
        Change::Unknown => ("unknown", String::new(), None),
    };
    change::Model {
        seq: mark.seq.0,
        nonce: mark.nonce,
        kind: kind.to_owned(),
        key,
        until: until.map(Timestamp::micros),
        committed_at: at.micros(),
    }
}

/// Reads a change. What this version can't read is [`Change::Unknown`], which is always safe.
fn read_change(row: &change::Model) -> Change {
    let key = row.key.as_str();
    let until = row.until.map(Timestamp::from_micros);
    let grant = |revoked| GrantId::parse(key).ok().map(|id| Change::Grant { id, until, revoked });
    let change = match row.kind.as_str() {
        "user" => UserId::parse(key).ok().map(Change::User),
        "role" => uuid::Uuid::try_parse(key).ok().map(|id| Change::Role(RoleId(id))),
        "anonymous" => Realm::parse(key).ok().map(Change::Anonymous),
        "token" => unhex(key).map(|bytes| Change::Token(TokenDigest::from_bytes(bytes))),
        GRANT => grant(GrantChange::Revoked),
        RESTAMPED => grant(GrantChange::Restamped),
        JTI => TokenId::parse(key).ok().map(|id| Change::Jti { id, until }),
        "keys" => Some(Change::Keys),
        BARRIER => Some(Change::Barrier),
        _ => None,
    };
    change.unwrap_or(Change::Unknown)
}

/// Writes bytes as lowercase hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(u32::from(half), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes().chunks_exact(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    digits.collect::<Option<Vec<_>>>()?.try_into().ok()
}
