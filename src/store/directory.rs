//! Users.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait as _, IntoActiveModel as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::convert::{is_taken, password_hash, password_text, read, role_id, user_state_word};
use super::cut::{cut, live_grant};
use super::entity::{grant, sign_in_network, token, user, user_role};
use super::facts::{self, user_row};
use super::held::Wanted;
use super::rows::{self, read_user};
use super::write::Write;
use super::{SeaStore, attempts, ending, tokens};
use crate::domain::identity::{Realm, RoleId, User, UserId, UserState, Username};
use crate::domain::store::{
    Answer, Change, Committed, Inserted, NamePage, NewUser, Order, PasswordHash, PasswordUpdate,
    PersonalTokens, UserUpdate,
};

/// Inserts a user.
pub(super) async fn insert_user(
    store: &SeaStore,
    new: &NewUser,
    order: &Order,
) -> Answer<Committed<Inserted>> {
    let mut wanted = Wanted::default();
    wanted.add_roles(&new.user.roles);
    let (write, held) = store.write_holding(order, wanted).await?;
    let roles = held.present(&new.user.roles);
    match insert(&write, new, &roles).await? {
        Inserted::Done => write.done(Inserted::Done).await,
        Inserted::NameTaken => write.refused(Inserted::NameTaken).await,
    }
}

/// Inserts a user with these roles, which are there.
pub(super) async fn insert(
    write: &Write<'_>,
    new: &NewUser,
    roles: &BTreeSet<RoleId>,
) -> Answer<Inserted> {
    let NewUser { user, username, password_hash } = new;
    let row = rows::user_row(user, username, password_hash.as_ref()).into_active_model();
    match user::Entity::insert(row).exec_without_returning(write.on()).await {
        Ok(_) => {}
        Err(error) if is_taken(&error) => return Ok(Inserted::NameTaken),
        Err(error) => return Err(error.into()),
    }
    give_roles(write, user.id, roles).await?;
    Ok(Inserted::Done)
}

/// Finds a user by name.
pub(super) async fn find_user_by_name(
    store: &SeaStore,
    realm: &Realm,
    name: &Username,
) -> Answer<Option<User>> {
    let found = user_row(&store.readers, named(realm, name)).await?;
    found.map(|(row, roles)| read_user(row, roles)).transpose()
}

/// Fits the user of a name.
pub(super) fn named(realm: &Realm, name: &Username) -> Condition {
    Condition::all()
        .add(user::Column::Realm.eq(realm.as_str()))
        .add(user::Column::UsernameKey.eq(name.key()))
}

/// Finds the hash of a user's password, read together with the user.
pub(super) async fn find_password(
    store: &SeaStore,
    id: UserId,
) -> Answer<Option<(User, Option<PasswordHash>)>> {
    let fits = Condition::all().add(user::Column::Id.eq(id.to_string()));
    let Some((mut row, roles)) = user_row(&store.readers, fits).await? else { return Ok(None) };
    let hash = password_hash(row.password_hash.take());
    Ok(Some((read_user(row, roles)?, hash)))
}

/// Lists users by what their names are compared by.
pub(super) async fn list_users(store: &SeaStore, page: &NamePage) -> Answer<Vec<(Username, User)>> {
    let NamePage { realm, after, limit } = page;
    let reading = store.reading().await?;
    let users = user::Entity::find()
        .filter(user::Column::Realm.eq(realm.as_str()))
        .apply_if(after.as_ref(), |select, after| {
            select.filter(user::Column::UsernameKey.gt(after.as_str()))
        })
        .order_by_asc(user::Column::UsernameKey)
        .limit(u64::from(*limit))
        .all(&reading)
        .await?;
    let ids = users.iter().map(|user| user.id.as_str());
    let assigned = user_role::Entity::find()
        .filter(user_role::Column::UserId.is_in(ids))
        .all(&reading)
        .await?;
    let mut roles = BTreeMap::<_, BTreeSet<_>>::new();
    for user_role::Model { user_id, role_id: id } in assigned {
        roles.entry(user_id).or_default().insert(role_id(&id)?);
    }
    let named = |row: user::Model| {
        let roles = roles.remove(&row.id).unwrap_or_default();
        let name = read("users.username", Username::parse(&row.username))?;
        Ok((name, read_user(row, roles)?))
    };
    users.into_iter().map(named).collect()
}

/// Changes a user. Disabling is a cut.
pub(super) async fn update_user(
    store: &SeaStore,
    update: &UserUpdate,
    order: &Order,
) -> Answer<Committed<Option<User>>> {
    let UserUpdate { id, state, display_name, at } = update;
    let (mut write, row) = write_to(store, *id, order).await?;
    let Some(row) = row else { return write.undone(None).await };
    let state = state.map(user_state_word).filter(|state| *state != row.state);
    let name = display_name.as_deref().filter(|name| *name != row.display_name);
    if state.is_none() && name.is_none() {
        let user = facts::user(write.on(), *id).await?;
        return write.undone(user).await;
    }
    let mut changed = user::Entity::update_many()
        .col_expr(user::Column::UpdatedAt, Expr::value(at.micros()))
        .filter(user::Column::Id.eq(row.id.as_str()));
    if let Some(state) = state {
        changed = changed.col_expr(user::Column::State, Expr::value(state));
    }
    if let Some(name) = name {
        changed = changed.col_expr(user::Column::DisplayName, Expr::value(name));
    }
    changed.exec(write.on()).await?;
    if state == Some(user_state_word(UserState::Disabled)) {
        cut(&mut write, &row, PersonalTokens::Revoke).await?;
    } else {
        write.change(Change::User(*id));
    }
    let user = facts::user(write.on(), *id).await?;
    write.done(user).await
}

/// Sets a password: a cut.
pub(super) async fn set_password(
    store: &SeaStore,
    update: &PasswordUpdate,
    order: &Order,
) -> Answer<Committed<Option<u32>>> {
    let PasswordUpdate { user, password_hash, personal_tokens, at: _ } = update;
    let (mut write, row) = write_to(store, *user, order).await?;
    let Some(row) = row else { return write.undone(None).await };
    user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(password_text(password_hash.as_ref())))
        .filter(user::Column::Id.eq(row.id.as_str()))
        .exec(write.on())
        .await?;
    let ended = cut(&mut write, &row, *personal_tokens).await?;
    write.done(Some(u32::try_from(ended).unwrap_or(u32::MAX))).await
}

/// Replaces the hash of an unchanged password by a better one, where it is still `old`.
pub(super) async fn replace_hash(
    store: &SeaStore,
    user: UserId,
    old: &PasswordHash,
    new: &PasswordHash,
) -> Answer<()> {
    user::Entity::update_many()
        .col_expr(user::Column::PasswordHash, Expr::value(password_text(Some(new))))
        .filter(user::Column::Id.eq(user.to_string()))
        .filter(user::Column::PasswordHash.eq(password_text(Some(old))))
        .exec(&store.writers)
        .await?;
    Ok(())
}

/// Removes a user with their grants and tokens. Their JWTs stay refused by revocations.
pub(super) async fn delete_user(
    store: &SeaStore,
    id: UserId,
    order: &Order,
) -> Answer<Committed<bool>> {
    let (mut write, row) = write_to(store, id, order).await?;
    let Some(row) = row else { return write.undone(false).await };
    let live = grant::Entity::find()
        .filter(grant::Column::UserId.eq(row.id.as_str()))
        .filter(live_grant(write.at()))
        .all(write.on())
        .await?;
    ending::note(&mut write, live).await?;
    for digest in tokens::digests(&write, id).await? {
        write.change(Change::Token(digest));
    }
    let on = write.on();
    let user = row.id.as_str();
    token::Entity::delete_many().filter(token::Column::UserId.eq(user)).exec(on).await?;
    grant::Entity::delete_many().filter(grant::Column::UserId.eq(user)).exec(on).await?;
    user_role::Entity::delete_many().filter(user_role::Column::UserId.eq(user)).exec(on).await?;
    let networks = sign_in_network::Column::UserId.eq(user);
    sign_in_network::Entity::delete_many().filter(networks).exec(on).await?;
    attempts::clear(on, id).await?;
    user::Entity::delete_by_id(user).exec(on).await?;
    write.change(Change::User(id));
    write.done(true).await
}

/// Sets a user's roles: those that are there.
pub(super) async fn set_user_roles(
    store: &SeaStore,
    id: UserId,
    roles: &BTreeSet<RoleId>,
    order: &Order,
) -> Answer<Committed<Option<User>>> {
    let mut wanted = Wanted::default();
    wanted.change_roles_of(id);
    wanted.add_roles(roles);
    let (mut write, mut held) = store.write_holding(order, wanted).await?;
    let Some(row) = held.take_user(id) else { return write.undone(None).await };
    let (had, present) = (held.roles_of(id), held.present(roles));
    if had == present {
        return write.undone(Some(read_user(row, had)?)).await;
    }
    user_role::Entity::delete_many()
        .filter(user_role::Column::UserId.eq(id.to_string()))
        .exec(write.on())
        .await?;
    give_roles(&write, id, &present).await?;
    user::Entity::update_many()
        .col_expr(user::Column::UpdatedAt, Expr::value(write.at().micros()))
        .filter(user::Column::Id.eq(id.to_string()))
        .exec(write.on())
        .await?;
    write.change(Change::User(id));
    let user = facts::user(write.on(), id).await?;
    write.done(user).await
}

/// Begins to write what someone has ordered of a user, whom nobody else changes until the end.
/// `None`: there is no such user.
pub(super) async fn write_to<'a>(
    store: &'a SeaStore,
    id: UserId,
    order: &'a Order,
) -> Answer<(Write<'a>, Option<user::Model>)> {
    let mut wanted = Wanted::default();
    wanted.change_user(id);
    let (write, mut held) = store.write_holding(order, wanted).await?;
    Ok((write, held.take_user(id)))
}

async fn give_roles(write: &Write<'_>, user: UserId, roles: &BTreeSet<RoleId>) -> Answer<()> {
    if roles.is_empty() {
        return Ok(());
    }
    let rows = roles.iter().map(|role| {
        user_role::Model { user_id: user.to_string(), role_id: role.0.to_string() }
            .into_active_model()
    });
    user_role::Entity::insert_many(rows).exec_without_returning(write.on()).await?;
    Ok(())
}
