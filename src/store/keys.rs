//! Keys: one at most is active for each purpose and profile.

use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, IntoActiveModel as _, QueryFilter as _, QuerySelect as _,
};

use super::SeaStore;
use super::convert::{ACTIVE, is_taken, key_state_word};
use super::entity::key;
use super::rows::key_row;
use super::write::Write;
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
        Err(error) if is_taken(&error) => write.undone(KeyChange::Lost).await,
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
            leave(&write, old, left, write.at()).await?;
        }
    }
    let by_id = OnConflict::column(key::Column::Id)
        .update_columns([key::Column::State, key::Column::ActiveFor])
        .to_owned();
    let inserted = key::Entity::insert(key_row(new).into_active_model())
        .on_conflict(by_id)
        .exec_without_returning(write.on())
        .await;
    match inserted {
        Ok(_) => changed(write).await,
        Err(error) if is_taken(&error) => write.undone(KeyChange::Lost).await,
        Err(error) => Err(error.into()),
    }
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
