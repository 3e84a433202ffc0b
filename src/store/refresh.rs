//! Refresh tokens: a used one is swapped for its successor, once.

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QuerySelect as _,
};

use super::convert::{broken, read};
use super::entity::{grant, token};
use super::rows::{read_token, token_row};
use super::tokens::with_grant;
use super::{SeaStore, facts};
use crate::domain::clock::Timestamp;
use crate::domain::store::{
    Answer, Committed, Order, RefreshRow, Successor, SuccessorUse, Swap, Swapped,
};
use crate::domain::token::{KeyId, TokenDigest};

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

/// Swaps a refresh token for its successor, where it was not swapped yet, and it and its grant are
/// not revoked.
pub(super) async fn swap_refresh(
    store: &SeaStore,
    swap: &Swap,
    order: &Order,
) -> Answer<Committed<Swapped>> {
    let Swap { old, new, salt, derivation_key, at } = swap;
    let write = store.write(order).await?;
    // Whoever revokes it waits, or has done so before.
    let live_grant = grant::Entity::find_by_id(new.grant.to_string())
        .filter(grant::Column::RevokedAt.is_null())
        .lock_shared()
        .one(write.on())
        .await?;
    if live_grant.is_none() {
        return write.undone(Swapped::Lost).await;
    }
    let swapped = token::Entity::update_many()
        .col_expr(token::Column::SwappedAt, Expr::value(at.micros()))
        .col_expr(token::Column::SuccessorSalt, Expr::value(salt.to_vec()))
        .col_expr(token::Column::SuccessorKeyId, Expr::value(derivation_key.as_str()))
        .col_expr(token::Column::SuccessorId, Expr::value(new.id.to_string()))
        .filter(token::Column::Id.eq(old.to_string()))
        .filter(token::Column::SwappedAt.is_null())
        .filter(token::Column::RevokedAt.is_null())
        .filter(token::Column::GrantId.eq(new.grant.to_string()))
        .exec(write.on())
        .await?;
    if swapped.rows_affected == 0 {
        return write.undone(Swapped::Lost).await;
    }
    let row = token_row(new).into_active_model();
    token::Entity::insert(row).exec_without_returning(write.on()).await?;
    write.done(Swapped::Done).await
}
