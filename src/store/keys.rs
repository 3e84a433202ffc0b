//! Keys: one at most is active for each purpose and profile.

use std::cmp;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, DbErr, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QuerySelect as _,
};

use super::convert::{ACTIVE, is_taken, key_state_word};
use super::entity::key;
use super::rows::key_row;
use super::write::Write;
use super::{SeaStore, clock};
use crate::domain::clock::Timestamp;
use crate::domain::store::{Answer, Audit, Change, Committed, KeyChange, KeyRow, KeyState, Order};
use crate::domain::token::KeyId;

/// Inserts a key as the active one of its purpose and profile, where there is none yet.
pub(super) async fn insert_first_key(
    store: &SeaStore,
    key: &KeyRow,
    audit: &Audit,
) -> Answer<Committed<KeyChange>> {
    let write = store.write_unasked(audit).await?;
    let row = key_row(key).into_active_model();
    let inserted = key::Entity::insert(row).exec_without_returning(write.on()).await;
    match inserted {
        Ok(_) => changed(write).await,
        Err(error) if is_taken(&error) => write.refused(KeyChange::Lost).await,
        Err(error) => Err(error.into()),
    }
}

/// Puts `new` in the place of the active key `old`, which becomes `left`. Where `old` is left
/// active, `new` is published beside it; a published one is put in its place by its id.
pub(super) async fn replace_key(
    store: &SeaStore,
    old: &KeyId,
    left: KeyState,
    new: &KeyRow,
    order: &Order,
) -> Answer<Committed<KeyChange>> {
    let write = store.write(order).await?;
    let found = key::Entity::find_by_id(old.as_str()).lock_exclusive().one(write.on()).await?;
    if found.is_none_or(|row| row.state != ACTIVE) {
        return write.undone(KeyChange::Lost).await;
    }
    match left {
        KeyState::Active => {}
        KeyState::Next | KeyState::Verifying | KeyState::Retired => {
            // By the clock that is ahead: what it has signed must outlive no record of its end.
            leave(&write, old, left, cmp::max(write.at(), clock::of(&write).await?)).await?;
        }
    }
    match put(&write, key_row(new)).await {
        Ok(()) => changed(write).await,
        Err(error) if is_taken(&error) => write.refused(KeyChange::Lost).await,
        Err(error) => Err(error.into()),
    }
}

/// Puts a published key in use, or inserts it. One that was retired since it was published is never
/// in use again: it is there, and what inserts it is refused. Not by one statement: MariaDB would
/// take another active key of its purpose and profile for it.
async fn put(write: &Write<'_>, row: key::Model) -> Result<(), DbErr> {
    let published = key::Entity::update_many()
        .col_expr(key::Column::State, Expr::value(row.state.as_str()))
        .col_expr(key::Column::ActiveFor, Expr::value(row.active_for.as_deref()))
        .filter(key::Column::Id.eq(row.id.as_str()))
        .filter(key::Column::State.eq(key_state_word(KeyState::Next)))
        .exec(write.on())
        .await?;
    if published.rows_affected == 0 {
        key::Entity::insert(row.into_active_model()).exec_without_returning(write.on()).await?;
    }
    Ok(())
}

/// Retires a key, in use or not.
pub(super) async fn retire_key(
    store: &SeaStore,
    id: &KeyId,
    at: Timestamp,
    order: &Order,
) -> Answer<Committed<KeyChange>> {
    let write = store.write(order).await?;
    let found = key::Entity::find_by_id(id.as_str()).lock_exclusive().one(write.on()).await?;
    match found {
        None => write.undone(KeyChange::Lost).await,
        Some(row) if row.state == key_state_word(KeyState::Retired) => {
            write.undone(KeyChange::Done).await
        }
        Some(_) => {
            leave(&write, id, KeyState::Retired, at).await?;
            changed(write).await
        }
    }
}

async fn leave(write: &Write<'_>, id: &KeyId, state: KeyState, at: Timestamp) -> Answer<()> {
    key::Entity::update_many()
        .col_expr(key::Column::State, Expr::value(key_state_word(state)))
        .col_expr(key::Column::ActiveFor, Expr::value(None::<String>))
        .col_expr(key::Column::RetiredAt, Expr::value(at.micros()))
        .filter(key::Column::Id.eq(id.as_str()))
        .exec(write.on())
        .await?;
    Ok(())
}

async fn changed(mut write: Write<'_>) -> Answer<Committed<KeyChange>> {
    write.change(Change::Keys);
    write.done(KeyChange::Done).await
}
