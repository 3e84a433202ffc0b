//! Refresh tokens: a used one is swapped for its successor, once.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sea_orm::sea_query::{CaseStatement, Expr, LockType, Value};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _, QueryOrder as _,
    QuerySelect as _,
};

use super::convert::{broken, read};
use super::entity::{grant, token};
use super::group::Job;
use super::held::Wanted;
use super::rows::{read_token, token_row};
use super::tokens::with_grant;
use super::write::{End, Write};
use super::{SeaStore, facts, pieces};
use crate::domain::clock::Timestamp;
use crate::domain::store::{
    Answer, Committed, Order, RefreshRow, Successor, SuccessorUse, Swap, Swapped,
};
use crate::domain::token::{KeyId, TokenDigest};

/// How many swaps one statement notes: the database looks for each among all of them.
const MOST_AT_ONCE: usize = 32;

/// Finds a refresh token with all that its refresh is judged by.
pub(super) async fn find_refresh(
    store: &SeaStore,
    digest: TokenDigest,
) -> Answer<Option<RefreshRow>> {
    let reading = store.reading().await?;
    let found = token::Entity::find()
        .find_also_related(grant::Entity)
        .filter(token::Column::Digest.eq(digest.as_bytes().to_vec()))
        .one(&reading)
        .await?;
    let Some((row, grant)) = found else { return Ok(None) };
    let successor = successor(&reading, &row).await?;
    if row.swapped_at.is_some() && successor.is_none() {
        // The family has ended, and the purge took the successor first.
        return Ok(None);
    }
    let (token, grant) = with_grant((row, grant))?;
    let user = facts::user(&reading, token.user).await?;
    Ok(Some(RefreshRow { token, grant, user, successor }))
}

async fn successor(
    connection: &impl ConnectionTrait,
    row: &token::Model,
) -> Answer<Option<Successor>> {
    let Some(swapped_at) = row.swapped_at else { return Ok(None) };
    let whole = row.successor_id.as_ref().zip(row.successor_key_id.as_ref());
    let ((id, key), salt) =
        whole.zip(row.successor_salt.as_ref()).ok_or_else(|| broken("tokens.successor_id"))?;
    let next = token::Entity::find_by_id(id.as_str()).one(connection).await?;
    let Some(next) = next else { return Ok(None) };
    let used = if next.swapped_at.is_some() || next.last_used_at.is_some() {
        SuccessorUse::Used
    } else {
        SuccessorUse::Unused
    };
    Ok(Some(Successor {
        swapped_at: Timestamp::from_micros(swapped_at),
        salt: read("tokens.successor_salt", salt.as_slice().try_into())?,
        key: read("tokens.successor_key_id", KeyId::parse(key))?,
        token: read_token(next)?,
        used,
    }))
}

/// A swap that someone has ordered.
pub(super) struct OrderedSwap {
    /// What is swapped.
    pub(super) swap: Swap,
    /// Who ordered it.
    pub(super) order: Order,
}

/// Each swaps a refresh token for its successor, where it was not swapped yet, and it and its
/// grant are not revoked.
#[async_trait]
impl Job for OrderedSwap {
    type Store = SeaStore;
    type Value = Committed<Swapped>;
    const KIND: &'static str = "swap";

    async fn write(store: &SeaStore, jobs: &[Self]) -> Answer<Vec<Answer<Committed<Swapped>>>> {
        let Some(first) = jobs.first() else { return Ok(Vec::new()) };
        let mut write = store.write_unasked(&first.order.audit).await?;
        let mut wanted = Wanted::default();
        for OrderedSwap { swap, order } in jobs {
            wanted.add_proof(order.proof.as_ref());
            wanted.add_grant(swap.new.grant);
        }
        // Whoever revokes a grant waits, or has done so before.
        let held = wanted.hold(write.on(), LockType::Share).await?;
        let mut open = hold_open(&write, jobs).await?;
        let mut ended = Vec::with_capacity(jobs.len());
        let mut won = Vec::new();
        for OrderedSwap { swap, order } in jobs {
            write.turn_to(order);
            let live = held.find_grant(swap.new.grant).is_some_and(|row| row.revoked_at.is_none());
            let old = swap.old.to_string();
            let is_open = open.get(&old) == Some(&swap.new.grant.to_string());
            ended.push(write.end(if let Err(refused) = held.admits(order.proof.as_ref()) {
                End::Refused(refused)
            } else if live && is_open {
                // Of those who come with the same token the first wins.
                open.remove(&old);
                won.push(swap);
                End::Done(Swapped::Done)
            } else {
                End::Undone(Swapped::Lost)
            }));
        }
        for piece in pieces::pieces(&won, MOST_AT_ONCE) {
            note_swaps(&write, piece).await?;
        }
        let rows: Vec<_> = won.iter().map(|swap| token_row(&swap.new)).collect();
        pieces::insert::<token::ActiveModel>(write.on(), rows).await?;
        write.finish(ended).await
    }
}

/// Locks the tokens that are to be swapped. Answers those that can be, each with its grant.
async fn hold_open(write: &Write<'_>, jobs: &[OrderedSwap]) -> Answer<BTreeMap<String, String>> {
    let ids: BTreeSet<_> = jobs.iter().map(|job| job.swap.old.to_string()).collect();
    let rows: Vec<(String, String, Option<i64>, Option<i64>)> = token::Entity::find()
        .select_only()
        .columns([
            token::Column::Id,
            token::Column::GrantId,
            token::Column::SwappedAt,
            token::Column::RevokedAt,
        ])
        .filter(token::Column::Id.is_in(pieces::padded(ids.into_iter().collect())))
        .order_by_asc(token::Column::Id)
        .lock_exclusive()
        .into_tuple()
        .all(write.on())
        .await?;
    let open = rows.into_iter().filter_map(|(id, grant, swapped_at, revoked_at)| {
        (swapped_at.is_none() && revoked_at.is_none()).then_some((id, grant))
    });
    Ok(open.collect())
}

/// Writes down who follows whom, in one statement.
async fn note_swaps(write: &Write<'_>, swaps: &[&Swap]) -> Answer<()> {
    let of_each = |value: fn(&Swap) -> Value| {
        swaps.iter().fold(CaseStatement::new(), |cases, swap| {
            cases.case(token::Column::Id.eq(swap.old.to_string()), Expr::value(value(swap)))
        })
    };
    token::Entity::update_many()
        .col_expr(token::Column::SwappedAt, of_each(|swap| swap.at.micros().into()).into())
        .col_expr(token::Column::SuccessorSalt, of_each(|swap| swap.salt.to_vec().into()).into())
        .col_expr(
            token::Column::SuccessorKeyId,
            of_each(|swap| swap.derivation_key.as_str().into()).into(),
        )
        .col_expr(token::Column::SuccessorId, of_each(|swap| swap.new.id.to_string().into()).into())
        .filter(token::Column::Id.is_in(swaps.iter().map(|swap| swap.old.to_string())))
        .exec(write.on())
        .await?;
    Ok(())
}
