//! Attempts to sign in: counted before they are judged, so that many at once guess no more often.
//!
//! A known name and an unknown one cost the same statements, so that time does not tell them apart.

use std::cmp;
use std::time::Duration;

use aws_lc_rs::digest;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QuerySelect as _,
};
use uuid::Uuid;

use super::SeaStore;
use super::changes::hex;
use super::convert::password_hash;
use super::directory::named;
use super::entity::{attempt, sign_in_network};
use super::facts::user_row;
use super::rows::read_user;
use super::{audit, directory};
use crate::domain::clock::Timestamp;
use crate::domain::identity::UserId;
use crate::domain::store::{
    Answer, Attempt, AttemptStart, Committed, Counter, LockoutPolicy, NetworkNote, Order,
};

/// How long a network stays known after a sign-in from it.
pub(super) const NETWORK_LIFE: Duration = Duration::from_hours(30 * 24);

/// A sign-in from a network is not noted again within this.
const NETWORK_STEP: Duration = Duration::from_hours(1);

/// Begins an attempt: counts it as failed, unless the name is locked.
pub(super) async fn begin_attempt(store: &SeaStore, attempt: &Attempt) -> Answer<AttemptStart> {
    let Attempt { realm, username, at, lock_audit, .. } = attempt;
    let transaction = store.begin().await?;
    let found = user_row(&transaction, named(realm, username)).await?;
    let found = match found {
        Some((mut row, roles)) => {
            let hash = password_hash(row.password_hash.take());
            Some((read_user(row, roles)?, hash))
        }
        None => None,
    };
    let user = found.as_ref().map(|(user, _)| user.id);
    let counter = counter(&transaction, attempt, user).await?;
    let row = lock(&transaction, &counter.bucket, *at).await?;
    if row.locked_until.is_some_and(|end| end > at.micros()) {
        store.roll_back(transaction).await?;
        return Ok(AttemptStart::Locked);
    }
    let row = after_failure(row, attempt);
    write(&transaction, &row).await?;
    if row.locked_until.is_some() {
        audit::insert(&transaction, &[lock_audit]).await?;
    }
    store.commit(transaction).await?;
    Ok(match found {
        Some((user, password_hash)) => AttemptStart::Known { user, password_hash, counter },
        None => AttemptStart::Unknown,
    })
}

/// Ends an attempt whose password was right: forgets its failures and remembers its network.
pub(super) async fn succeed_attempt(
    store: &SeaStore,
    attempt: &Attempt,
    user: UserId,
    counter: &Counter,
) -> Answer<()> {
    let Counter { bucket, network } = counter;
    let forget = attempt::Entity::delete_by_id(bucket);
    if attempt.network.is_empty() || *network == NetworkNote::Fresh {
        forget.exec(&store.writers).await?;
        return Ok(());
    }
    let transaction = store.begin().await?;
    forget.exec(&transaction).await?;
    remember(&transaction, user, &attempt.network, attempt.at).await?;
    store.commit(transaction).await
}

/// Takes back the count of an attempt that was never judged, and the lock that it caused.
pub(super) async fn cancel_attempt(store: &SeaStore, attempt: &Attempt) -> Answer<()> {
    let Attempt { realm, username, policy, at, .. } = attempt;
    let transaction = store.begin().await?;
    let found = user_row(&transaction, named(realm, username)).await?;
    let user = found.map(|(row, roles)| read_user(row, roles)).transpose()?.map(|user| user.id);
    let Counter { bucket, network: _ } = counter(&transaction, attempt, user).await?;
    let row = attempt::Entity::find_by_id(bucket).lock_exclusive().one(&transaction).await?;
    // Gone: another attempt has succeeded since.
    let Some(row) = row.filter(|row| row.failures > 0) else {
        return store.roll_back(transaction).await;
    };
    // A lock that another attempt set may be of a stricter policy.
    let own = lock_end(*policy, row.failures - row.forgiven, *at);
    let locked_until = row.locked_until.filter(|end| own != Some(Timestamp::from_micros(*end)));
    let failures = row.failures - 1;
    let forgiven = cmp::min(row.forgiven, failures);
    write(&transaction, &attempt::Model { failures, locked_until, forgiven, ..row }).await?;
    store.commit(transaction).await
}

/// Lifts the locks of a user.
pub(super) async fn unlock_user(
    store: &SeaStore,
    id: UserId,
    order: &Order,
) -> Answer<Committed<()>> {
    let (write, _) = directory::write_to(store, id, order).await?;
    if clear(write.on(), id).await? == 0 {
        return write.undone(()).await;
    }
    write.done(()).await
}

/// Forgets a user's failures, from everywhere. Answers how many counters there were.
pub(super) async fn clear(connection: &impl ConnectionTrait, id: UserId) -> Answer<u64> {
    let own = Condition::any()
        .add(attempt::Column::Bucket.eq(known(id)))
        .add(attempt::Column::Bucket.starts_with(format!("{}:", known(id))));
    Ok(attempt::Entity::delete_many().filter(own).exec(connection).await?.rows_affected)
}

fn known(id: UserId) -> String {
    format!("u:{id}")
}

/// Finds the counter of an attempt, the same from its beginning to its end: a network counts as
/// known if it was when the attempt began.
async fn counter(
    connection: &impl ConnectionTrait,
    attempt: &Attempt,
    user: Option<UserId>,
) -> Answer<Counter> {
    let Attempt { realm, username, network, at, .. } = attempt;
    let asked = user.unwrap_or(UserId(Uuid::nil())).to_string();
    let row = sign_in_network::Entity::find_by_id((asked, network.clone())).one(connection).await?;
    let row = row.filter(|row| row.since <= at.micros());
    let is_within = |life| {
        let since = at.minus(life).micros();
        row.as_ref().is_some_and(|row| row.last_at >= since)
    };
    let bucket = match user {
        Some(id) if is_within(NETWORK_LIFE) => format!("{}:{network}", known(id)),
        Some(id) => known(id),
        None => shared(realm.as_str(), username.key()),
    };
    let note = if is_within(NETWORK_STEP) { NetworkNote::Fresh } else { NetworkNote::Stale };
    Ok(Counter { bucket, network: note })
}

/// Names the one of 65,536 counters that an unknown name shares.
fn shared(realm: &str, key: &str) -> String {
    // No realm holds a line feed.
    let digest = digest::digest(&digest::SHA256, format!("{realm}\n{key}").as_bytes());
    format!("x:{}", hex(digest.as_ref().get(..2).unwrap_or_default()))
}

/// Finds a counter, which is made where there is none, and keeps others from it until the end.
async fn lock(
    connection: &impl ConnectionTrait,
    bucket: &str,
    at: Timestamp,
) -> Answer<attempt::Model> {
    let fresh = attempt::Model {
        bucket: bucket.to_owned(),
        failures: 0,
        last_failure_at: at.micros(),
        locked_until: None,
        forgiven: 0,
        memory: 0,
    };
    // Written even where it is there: else another could remove it before it is locked.
    let touch = OnConflict::column(attempt::Column::Bucket)
        .update_column(attempt::Column::Bucket)
        .to_owned();
    let touch = attempt::Entity::insert(fresh.clone().into_active_model()).on_conflict(touch);
    if connection.support_returning() {
        return Ok(touch.exec_with_returning(connection).await?);
    }
    touch.exec_without_returning(connection).await?;
    let found = attempt::Entity::find_by_id(bucket).lock_exclusive().one(connection).await?;
    Ok(found.unwrap_or(fresh))
}

async fn write(connection: &impl ConnectionTrait, row: &attempt::Model) -> Answer<()> {
    let attempt::Model { bucket, failures, last_failure_at, locked_until, forgiven, memory } = row;
    attempt::Entity::update_many()
        .col_expr(attempt::Column::Failures, Expr::value(*failures))
        .col_expr(attempt::Column::LastFailureAt, Expr::value(*last_failure_at))
        .col_expr(attempt::Column::LockedUntil, Expr::value(*locked_until))
        .col_expr(attempt::Column::Forgiven, Expr::value(*forgiven))
        .col_expr(attempt::Column::Memory, Expr::value(*memory))
        .filter(attempt::Column::Bucket.eq(bucket.as_str()))
        .exec(connection)
        .await?;
    Ok(())
}

/// What a counter holds after one more failure.
pub(super) fn after_failure(row: attempt::Model, attempt: &Attempt) -> attempt::Model {
    let Attempt { policy, at, .. } = attempt;
    let row = forget(row, attempt);
    let failures = row.failures + 1;
    let locked_until = lock_end(*policy, failures - row.forgiven, *at).map(Timestamp::micros);
    attempt::Model { failures, last_failure_at: at.micros(), locked_until, ..row }
}

/// Forgets what is over when one more failure comes.
///
/// Policies remember for different times, and each counts the failures by all. What was forgiven
/// was followed by a calm of `memory`, so that no policy which remembers for less would count it.
/// One that remembers for longer takes it all back, for every policy from then on: whoever changes
/// between two dialects gains nothing by the shorter memory of one.
fn forget(row: attempt::Model, attempt: &Attempt) -> attempt::Model {
    let Attempt { policy, longest_memory, at, .. } = attempt;
    let calm = at.since(Timestamp::from_micros(row.last_failure_at));
    let (failures, known) =
        if calm >= *longest_memory { (0, 0) } else { (row.failures, row.memory) };
    let own = i64::try_from(policy.forget_after.as_micros()).unwrap_or(i64::MAX);
    let memory = cmp::max(known, own);
    let forgiven = if calm >= Duration::from_micros(memory.unsigned_abs()) {
        failures
    } else if own > known {
        0
    } else {
        row.forgiven
    };
    attempt::Model { failures, forgiven, memory, ..row }
}

/// Answers how long the n-th failure locks; `None`: not at all.
fn lock_end(policy: LockoutPolicy, failures: i64, at: Timestamp) -> Option<Timestamp> {
    let LockoutPolicy { failures: first, first_lock, longest_lock, forget_after: _ } = policy;
    let more = u32::try_from(failures.checked_sub(i64::from(first))?).ok()?;
    let factor = 2_u32.checked_pow(more).unwrap_or(u32::MAX);
    Some(at.plus(first_lock.saturating_mul(factor).min(longest_lock)))
}

async fn remember(
    connection: &impl ConnectionTrait,
    user: UserId,
    network: &str,
    at: Timestamp,
) -> Answer<()> {
    let id = (user.to_string(), network.to_owned());
    let found = sign_in_network::Entity::find_by_id(id).lock_exclusive().one(connection).await?;
    let gap = at.minus(NETWORK_LIFE).micros();
    let now = at.micros();
    let (since, last_at) = match found.filter(|row| row.last_at >= gap) {
        Some(row) => (cmp::min(row.since, now), cmp::max(row.last_at, now)),
        None => (now, now),
    };
    let row = sign_in_network::Model {
        user_id: user.to_string(),
        network: network.to_owned(),
        since,
        last_at,
    };
    let on_conflict =
        OnConflict::columns([sign_in_network::Column::UserId, sign_in_network::Column::Network])
            .update_columns([sign_in_network::Column::Since, sign_in_network::Column::LastAt])
            .to_owned();
    sign_in_network::Entity::insert(row.into_active_model())
        .on_conflict(on_conflict)
        .exec_without_returning(connection)
        .await?;
    Ok(())
}
