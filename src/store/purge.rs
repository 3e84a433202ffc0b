//! What is over, taken away in small batches.

use std::cmp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType, Query};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, FromQueryResult,
    QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::SeaStore;
use super::attempts::NETWORK_LIFE;
use super::changes::GRANT;
use super::convert::{key_purpose_word, key_state_word, token_kind_word};
use super::entity::{
    attempt, audit_event, change, grant, key, meta, revocation, sign_in_network, token,
};
use crate::domain::clock::Timestamp;
use crate::domain::store::{Answer, KeyPurpose, KeyState, Purge, Purged};
use crate::domain::token::TokenKind;

/// How far two clocks may be apart. What is over is kept for as long, for another may see it alive.
pub(super) const DAY: Duration = Duration::from_hours(24);

/// Removes dead rows, unless another replica is at it.
pub(super) async fn purge(store: &SeaStore, purge: Purge) -> Answer<Option<Purged>> {
    let Purge { now, audit_retention, failure_memory, longest_jwt, longest_signed, limit } = purge;
    let transaction = store.begin().await?;
    let Some(clock) = claim(store, &transaction).await? else {
        store.roll_back(transaction).await?;
        return Ok(None);
    };
    // By the clock that is behind: where ours is ahead, what it takes for dead may live elsewhere.
    let now = cmp::min(now, clock);
    let before = now.minus(DAY).micros();
    let limit = u64::from(cmp::min(limit, store.engine.batch()));
    let (tokens, grants) = tokens_and_grants(&transaction, before, limit).await?;
    let purged = Purged {
        tokens,
        grants,
        revocations: revocations(&transaction, before, limit).await?,
        changes: changes(&transaction, before, limit).await?,
        audit_events: match audit_retention {
            Some(time) => events(&transaction, now.minus(time).micros(), limit).await?,
            None => 0,
        },
        dated: date_revocations(&transaction, clock.minus(DAY).plus(longest_jwt), limit).await?,
        keys: keys(&transaction, now.minus(longest_signed).minus(DAY).micros(), limit).await?,
        networks: networks(&transaction, now.minus(NETWORK_LIFE).micros(), limit).await?,
        attempts: attempts(&transaction, now, failure_memory, limit).await?,
    };
    store.commit(transaction).await?;
    Ok(Some(purged))
}

/// Keeps other replicas from purging until the end, and answers what time the database has.
/// `None`: another is at it. The row is one that nothing else locks.
async fn claim(store: &SeaStore, on: &impl ConnectionTrait) -> Answer<Option<Timestamp>> {
    let clock: Option<i64> = meta::Entity::find_by_id("min_version")
        .select_only()
        .expr_as(Expr::cust(store.engine.clock()), "clock")
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .one(on)
        .await?;
    Ok(clock.map(Timestamp::from_micros))
}

/// Removes dead tokens; dead grants with their tokens; and the grants that are left without any
/// token by this and have no end of their own. Answers how many tokens, and how many grants.
///
/// Each statement looks at as many rows as may go and at no more, however many are dead: what is
/// not among the first comes to be.
async fn tokens_and_grants(
    on: &impl ConnectionTrait,
    before: i64,
    limit: u64,
) -> Answer<(u64, u64)> {
    let mut over = dead_grants(on, before, limit).await?;
    let dead = dead_tokens(on, before, &over, limit).await?;
    adopt(on, &dead).await?;
    let ids = token::Column::Id.is_in(dead.iter().map(|token| token.id.as_str()));
    let deleted = token::Entity::delete_many().filter(ids).exec(on).await?;
    over.extend(endless(on, dead.into_iter().map(|token| token.grant_id).collect()).await?);
    let emptied = grant::Entity::delete_many()
        .filter(grant::Column::Id.is_in(over))
        .filter(without_tokens())
        .exec(on)
        .await?;
    Ok((deleted.rows_affected, emptied.rows_affected))
}

/// Finds the grants that are over for the longest.
async fn dead_grants(on: &impl ConnectionTrait, before: i64, limit: u64) -> Answer<Vec<String>> {
    let mut dead = Vec::new();
    // One query for each index, for an OR over two would use none.
    for end in [grant::Column::ExpiresAt, grant::Column::RevokedAt] {
        let ids: Vec<String> = grant::Entity::find()
            .select_only()
            .column(grant::Column::Id)
            .filter(end.lt(before))
            .filter(grant::Column::Id.is_not_in(dead.iter().map(String::as_str)))
            .order_by_asc(end)
            .limit(left(limit, dead.len()))
            .into_tuple()
            .all(on)
            .await?;
        dead.extend(ids);
    }
    Ok(dead)
}

/// A token that is to be removed.
#[derive(Debug, FromQueryResult)]
struct DeadToken {
    id: String,
    grant_id: String,
    kind: String,
    parent_id: Option<String>,
}

/// Finds tokens that are over, or whose grant is one of these.
async fn dead_tokens(
    on: &impl ConnectionTrait,
    before: i64,
    grants: &[String],
    limit: u64,
) -> Answer<Vec<DeadToken>> {
    let mut dead: Vec<DeadToken> = Vec::new();
    for over in [
        token::Column::ExpiresAt.lt(before),
        token::Column::RevokedAt.lt(before),
        token::Column::GrantId.is_in(grants),
    ] {
        let more = token::Entity::find()
            .select_only()
            .columns([
                token::Column::Id,
                token::Column::GrantId,
                token::Column::Kind,
                token::Column::ParentId,
            ])
            .filter(over)
            .filter(token::Column::Id.is_not_in(dead.iter().map(|token| token.id.as_str())))
            .limit(left(limit, dead.len()))
            .into_model()
            .all(on)
            .await?;
        dead.extend(more);
    }
    Ok(dead)
}

/// Puts what was made with a personal token that is removed below the one that this one was made
/// with. Else it would be nobody's, and would outlive the revocation of those above.
async fn adopt(on: &impl ConnectionTrait, dead: &[DeadToken]) -> Answer<()> {
    let personal = token_kind_word(TokenKind::Personal);
    let parents: BTreeMap<_, _> = dead
        .iter()
        .filter(|token| token.kind == personal)
        .map(|token| (token.id.as_str(), token.parent_id.as_deref()))
        .collect();
    if parents.is_empty() {
        return Ok(());
    }
    let orphans: Vec<(String, String)> = token::Entity::find()
        .select_only()
        .columns([token::Column::Id, token::Column::ParentId])
        .filter(token::Column::ParentId.is_in(parents.keys().copied()))
        .filter(token::Column::Id.is_not_in(dead.iter().map(|token| token.id.as_str())))
        .into_tuple()
        .all(on)
        .await?;
    for (id, parent) in orphans {
        // At most as many steps as there are: they may be a circle only where somebody made one.
        let mut above = Some(parent.as_str());
        for _ in 0..=parents.len() {
            match above.and_then(|id| parents.get(id)) {
                Some(next) => above = *next,
                None => break,
            }
        }
        token::Entity::update_many()
            .col_expr(token::Column::ParentId, Expr::value(above))
            .filter(token::Column::Id.eq(id))
            .exec(on)
            .await?;
    }
    Ok(())
}

fn left(limit: u64, taken: usize) -> u64 {
    limit.saturating_sub(u64::try_from(taken).unwrap_or(limit))
}

/// Those of the grants that have no end of their own. Asked by their ids alone: a database that
/// was asked for the endless ones of these might look at all that are endless.
async fn endless(
    on: &impl ConnectionTrait,
    grants: BTreeSet<String>,
) -> Answer<impl Iterator<Item = String>> {
    let found: Vec<(String, Option<i64>)> = grant::Entity::find()
        .select_only()
        .column(grant::Column::Id)
        .column(grant::Column::ExpiresAt)
        .filter(grant::Column::Id.is_in(grants))
        .into_tuple()
        .all(on)
        .await?;
    Ok(found.into_iter().filter_map(|(id, end)| end.is_none().then_some(id)))
}

fn without_tokens() -> Condition {
    let tokens = Query::select()
        .column(token::Column::GrantId)
        .from(token::Entity)
        .and_where(token::Column::GrantId.into_expr().equals((grant::Entity, grant::Column::Id)))
        .take();
    Condition::all().not().add(Expr::exists(tokens))
}

async fn revocations(on: &impl ConnectionTrait, before: i64, limit: u64) -> Answer<u64> {
    let ids: Vec<String> = revocation::Entity::find()
        .select_only()
        .column(revocation::Column::Id)
        .filter(revocation::Column::Until.lt(before))
        .limit(limit)
        .into_tuple()
        .all(on)
        .await?;
    // The id of a token and that of a grant may be the same text.
    let dead = revocation::Entity::delete_many()
        .filter(revocation::Column::Id.is_in(ids))
        .filter(revocation::Column::Until.lt(before));
    Ok(dead.exec(on).await?.rows_affected)
}

/// Gives an end to what versions before this one kept for ever: the revocations of grants that
/// have none and are gone, some dozens at a time. A grant goes no sooner than a day after its
/// revocation, so each JWT that was made from it has ended by then.
async fn date_revocations(on: &impl ConnectionTrait, end: Timestamp, limit: u64) -> Answer<u64> {
    let grants = Query::select()
        .column(grant::Column::Id)
        .from(grant::Entity)
        .and_where(
            grant::Column::Id.into_expr().equals((revocation::Entity, revocation::Column::Id)),
        )
        .take();
    let ids: Vec<String> = revocation::Entity::find()
        .select_only()
        .column(revocation::Column::Id)
        .filter(revocation::Column::Until.is_null())
        .filter(revocation::Column::Kind.eq(GRANT))
        .filter(Expr::exists(grants).not())
        .limit(limit)
        .into_tuple()
        .all(on)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let dated = revocation::Entity::update_many()
        .col_expr(revocation::Column::Until, Expr::value(end.micros()))
        .filter(revocation::Column::Kind.eq(GRANT))
        .filter(revocation::Column::Until.is_null())
        .filter(revocation::Column::Id.is_in(ids));
    Ok(dated.exec(on).await?.rows_affected)
}

/// Removes old changes from the front, and never the newest. Clocks of two machines differ: one
/// that looks older than the change before it must stay, or a replica that still knows the one
/// before would miss it.
async fn changes(on: &impl ConnectionTrait, before: i64, limit: u64) -> Answer<u64> {
    let front: Vec<(i64, i64)> = change::Entity::find()
        .select_only()
        .column(change::Column::Seq)
        .column(change::Column::CommittedAt)
        .order_by_asc(change::Column::Seq)
        .limit(limit.saturating_add(1))
        .into_tuple()
        .all(on)
        .await?;
    let but_last = front.split_last().map_or(&[][..], |(_, rest)| rest);
    let old = but_last.iter().take_while(|(_, committed_at)| *committed_at < before);
    let Some((last, _)) = old.last() else { return Ok(0) };
    let dead = change::Entity::delete_many().filter(change::Column::Seq.lte(*last));
    Ok(dead.exec(on).await?.rows_affected)
}

/// Removes events from the front: their ids are in the order of time, as far as clocks agree.
async fn events(on: &impl ConnectionTrait, before: i64, limit: u64) -> Answer<u64> {
    let front: Vec<(i64, i64)> = audit_event::Entity::find()
        .select_only()
        .column(audit_event::Column::Id)
        .column(audit_event::Column::At)
        .order_by_asc(audit_event::Column::Id)
        .limit(limit)
        .into_tuple()
        .all(on)
        .await?;
    let old = front.iter().take_while(|(_, at)| *at < before);
    let Some((last, _)) = old.last() else { return Ok(0) };
    let dead = audit_event::Entity::delete_many().filter(audit_event::Column::Id.lte(*last));
    Ok(dead.exec(on).await?.rows_affected)
}

async fn networks(on: &impl ConnectionTrait, before: i64, limit: u64) -> Answer<u64> {
    let rows = sign_in_network::Entity::find()
        .filter(sign_in_network::Column::LastAt.lt(before))
        .limit(limit)
        .all(on)
        .await?;
    let mut removed = 0;
    for row in rows {
        let id = (row.user_id, row.network);
        removed += sign_in_network::Entity::delete_by_id(id).exec(on).await?.rows_affected;
    }
    Ok(removed)
}

/// Removes counters that no policy remembers: not locked, and without a failure for so long. One
/// that has counted by the settings of another replica says itself for how long.
async fn attempts(
    on: &impl ConnectionTrait,
    now: Timestamp,
    memory: Duration,
    limit: u64,
) -> Answer<u64> {
    let unlocked = Condition::any()
        .add(attempt::Column::LockedUntil.is_null())
        .add(attempt::Column::LockedUntil.lt(now.micros()));
    let forgotten = Expr::col(attempt::Column::LastFailureAt)
        .add(Expr::col(attempt::Column::Memory))
        .lt(now.minus(DAY).micros());
    let buckets: Vec<String> = attempt::Entity::find()
        .select_only()
        .column(attempt::Column::Bucket)
        .filter(attempt::Column::LastFailureAt.lt(now.minus(memory).minus(DAY).micros()))
        .filter(forgotten)
        .filter(unlocked)
        .limit(limit)
        .into_tuple()
        .all(on)
        .await?;
    let dead = attempt::Column::Bucket.is_in(buckets);
    Ok(attempt::Entity::delete_many().filter(dead).exec(on).await?.rows_affected)
}

/// Removes keys that were retired so long ago that whatever they signed has ended. What such a key
/// signed is refused whether or not its row is there.
async fn keys(on: &impl ConnectionTrait, before: i64, limit: u64) -> Answer<u64> {
    let ids: Vec<String> = key::Entity::find()
        .select_only()
        .column(key::Column::Id)
        .filter(key::Column::State.eq(key_state_word(KeyState::Retired)))
        .filter(key::Column::Purpose.eq(key_purpose_word(KeyPurpose::Sign)))
        .filter(key::Column::RetiredAt.lt(before))
        .limit(limit)
        .into_tuple()
        .all(on)
        .await?;
    if ids.is_empty() {
        return Ok(0);
    }
    let dead = key::Entity::delete_many().filter(key::Column::Id.is_in(ids));
    Ok(dead.exec(on).await?.rows_affected)
}
