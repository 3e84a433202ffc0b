//! Roles, and the first user, who has the first of them.

use std::collections::BTreeSet;

use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::entity::{change_head, role, user, user_role};
use super::held::Wanted;
use super::retry::overtaken;
use super::rows::{read_role, role_row};
use super::write::Write;
use super::{SeaStore, directory};
use crate::domain::identity::{Realm, Role, RoleId, RoleName};
use crate::domain::store::{
    Answer, Audit, Bootstrapped, Change, Committed, Inserted, NamePage, NewUser, Order,
};

/// Finds roles of a realm by name; those that are not there are left out.
pub(super) async fn find_roles(
    store: &SeaStore,
    realm: &Realm,
    names: &BTreeSet<RoleName>,
) -> Answer<Vec<Role>> {
    let rows = role::Entity::find()
        .filter(role::Column::Realm.eq(realm.as_str()))
        .filter(role::Column::Name.is_in(names.iter().map(RoleName::as_str)))
        .order_by_asc(role::Column::Name)
        .all(&store.readers)
        .await?;
    rows.into_iter().map(read_role).collect()
}

/// Lists roles by name.
pub(super) async fn list_roles(store: &SeaStore, page: &NamePage) -> Answer<Vec<Role>> {
    let NamePage { realm, after, limit } = page;
    let rows = role::Entity::find()
        .filter(role::Column::Realm.eq(realm.as_str()))
        .apply_if(after.as_ref(), |select, after| {
            select.filter(role::Column::Name.gt(after.as_str()))
        })
        .order_by_asc(role::Column::Name)
        .limit(u64::from(*limit))
        .all(&store.readers)
        .await?;
    rows.into_iter().map(read_role).collect()
}

/// Inserts a role, or sets the description and permissions of the one of that name.
pub(super) async fn put_role(
    store: &SeaStore,
    role: &Role,
    order: &Order,
) -> Answer<Committed<Role>> {
    let (mut write, found) = write_to(store, (&role.realm, &role.name), order).await?;
    match put(&mut write, role, found).await? {
        Put::Changed(role) => write.done(role).await,
        Put::AlreadySo(role) => write.undone(role).await,
    }
}

/// Begins to write what someone has ordered of a role, which nobody else changes until the end.
/// `None`: there is no such role.
async fn write_to<'a>(
    store: &'a SeaStore,
    (realm, name): (&Realm, &RoleName),
    order: &'a Order,
) -> Answer<(Write<'a>, Option<Role>)> {
    let mut wanted = Wanted::default();
    wanted.change_role(realm, name);
    let (write, held) = store.write_holding(order, wanted).await?;
    let found = held.find_role(realm, name).cloned();
    Ok((write, found))
}

enum Put {
    Changed(Role),
    AlreadySo(Role),
}

/// Puts a role in the place of the one that was found, or inserts it. One that another has inserted
/// meanwhile was not judged: this is run anew.
async fn put(write: &mut Write<'_>, role: &Role, found: Option<Role>) -> Answer<Put> {
    let Some(found) = found else {
        let inserted = role::Entity::insert(role_row(role).into_active_model())
            .exec_without_returning(write.on())
            .await;
        inserted.map_err(overtaken)?;
        note(write, role.id, role);
        return Ok(Put::Changed(role.clone()));
    };
    let role = Role { id: found.id, ..role.clone() };
    let row = role_row(&role);
    if row == role_row(&found) {
        return Ok(Put::AlreadySo(role));
    }
    role::Entity::update_many()
        .col_expr(role::Column::Description, Expr::value(row.description))
        .col_expr(role::Column::Permissions, Expr::value(row.permissions))
        .filter(role::Column::Id.eq(row.id))
        .exec(write.on())
        .await?;
    note(write, role.id, &role);
    Ok(Put::Changed(role))
}

fn note(write: &mut Write<'_>, id: RoleId, role: &Role) {
    write.change(Change::Role(id));
    if role.name.as_str() == RoleName::ANONYMOUS {
        write.change(Change::Anonymous(role.realm.clone()));
    }
}

fn named(realm: &Realm, name: &RoleName) -> Condition {
    Condition::all()
        .add(role::Column::Realm.eq(realm.as_str()))
        .add(role::Column::Name.eq(name.as_str()))
}

/// Removes a role from all who have it. Whoever still names its id holds nothing by it, for no
/// other role will have that id.
pub(super) async fn delete_role(
    store: &SeaStore,
    realm: &Realm,
    name: &RoleName,
    order: &Order,
) -> Answer<Committed<bool>> {
    let (mut write, found) = write_to(store, (realm, name), order).await?;
    let Some(role) = found else { return write.undone(false).await };
    let id = role.id.0.to_string();
    user_role::Entity::delete_many()
        .filter(user_role::Column::RoleId.eq(id.as_str()))
        .exec(write.on())
        .await?;
    role::Entity::delete_by_id(id).exec(write.on()).await?;
    note(&mut write, role.id, &role);
    write.done(true).await
}

/// Whether there is any user.
pub(super) async fn has_users(on: &impl ConnectionTrait) -> Answer<bool> {
    Ok(user::Entity::find().limit(1).one(on).await?.is_some())
}

/// Makes the first user with the role `admin`, where there is no user at all yet.
pub(super) async fn bootstrap(
    store: &SeaStore,
    admin: &NewUser,
    role: &Role,
    audit: &Audit,
) -> Answer<Committed<Bootstrapped>> {
    let mut write = store.write_unasked(audit).await?;
    // Of two that start on an empty database, one waits here.
    change_head::Entity::find_by_id(1).lock_exclusive().one(write.on()).await?;
    if has_users(write.on()).await? {
        return write.undone(Bootstrapped::HasUsers).await;
    }
    let found = role::Entity::find().filter(named(&role.realm, &role.name)).lock_exclusive();
    let found = found.one(write.on()).await?.map(read_role).transpose()?;
    let (Put::Changed(role) | Put::AlreadySo(role)) = put(&mut write, role, found).await?;
    match directory::insert(&write, admin, &[role.id].into()).await? {
        Inserted::Done => write.done(Bootstrapped::Done).await,
        Inserted::NameTaken => write.refused(Bootstrapped::HasUsers).await,
    }
}
