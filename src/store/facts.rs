//! Reads what the domain keeps in memory: each fact in one statement, so that it is of one moment.

use std::collections::BTreeSet;

use sea_orm::{
    ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _,
};

use super::SeaStore;
use super::changes::{GRANT, JTI};
use super::convert::{broken, read, role_id, time};
use super::entity::{grant, key, revocation, role, token, user, user_role};
use super::rows::{read_grant, read_key, read_role, read_user};
use super::tokens::with_grant;
use crate::domain::identity::{Realm, Role, RoleId, RoleName, User, UserId};
use crate::domain::store::{Answer, KeyRow, Revocation};
use crate::domain::token::{Grant, GrantId, Token, TokenDigest, TokenId};

/// Finds the one user that fits, as a row and with their roles.
pub(super) async fn user_row(
    connection: &impl ConnectionTrait,
    fits: Condition,
) -> Answer<Option<(user::Model, BTreeSet<RoleId>)>> {
    let joined = user::Entity::find()
        .find_also_related(user_role::Entity)
        .filter(fits)
        .all(connection)
        .await?;
    let mut found = None;
    let mut roles = BTreeSet::new();
    for (row, assigned) in joined {
        found = Some(row);
        if let Some(user_role::Model { user_id: _, role_id: id }) = assigned {
            roles.insert(role_id(&id)?);
        }
    }
    Ok(found.map(|row| (row, roles)))
}

/// Finds a user, with the roles they have.
pub(super) async fn user(connection: &impl ConnectionTrait, id: UserId) -> Answer<Option<User>> {
    let fits = Condition::all().add(user::Column::Id.eq(id.to_string()));
    let found = user_row(connection, fits).await?;
    found.map(|(row, roles)| read_user(row, roles)).transpose()
}

/// Finds a user, with the roles they have.
pub(super) async fn find_user(store: &SeaStore, id: UserId) -> Answer<Option<User>> {
    user(&store.readers, id).await
}

/// Finds a role by what is behind its name.
pub(super) async fn find_role(store: &SeaStore, id: RoleId) -> Answer<Option<Role>> {
    let row = role::Entity::find_by_id(id.0.to_string()).one(&store.readers).await?;
    row.map(read_role).transpose()
}

/// Finds what everyone in a realm holds.
pub(super) async fn find_anonymous(store: &SeaStore, realm: &Realm) -> Answer<Option<Role>> {
    let row = role::Entity::find()
        .filter(role::Column::Realm.eq(realm.as_str()))
        .filter(role::Column::Name.eq(RoleName::ANONYMOUS))
        .one(&store.readers)
        .await?;
    row.map(read_role).transpose()
}

/// Finds an opaque token by the digest of its secret, and its grant.
pub(super) async fn find_token_by_digest(
    store: &SeaStore,
    digest: TokenDigest,
) -> Answer<Option<(Token, Grant)>> {
    let row = token::Entity::find()
        .find_also_related(grant::Entity)
        .filter(token::Column::Digest.eq(digest.as_bytes().to_vec()))
        .one(&store.readers)
        .await?;
    row.map(with_grant).transpose()
}

/// Finds a grant.
pub(super) async fn find_grant(store: &SeaStore, id: GrantId) -> Answer<Option<Grant>> {
    let row = grant::Entity::find_by_id(id.to_string()).one(&store.readers).await?;
    row.map(read_grant).transpose()
}

/// Lists the revocations that may still meet a live JWT: all there are, for the purge alone judges
/// which are over. A clock that is fast at the start must not make one forgotten.
pub(super) async fn list_revocations(store: &SeaStore) -> Answer<Vec<Revocation>> {
    let rows: Vec<(String, String, Option<i64>)> = revocation::Entity::find()
        .select_only()
        .columns([revocation::Column::Kind, revocation::Column::Id, revocation::Column::Until])
        .into_tuple()
        .all(&store.readers)
        .await?;
    rows.into_iter().map(read_revocation).collect()
}

fn read_revocation((kind, id, until): (String, String, Option<i64>)) -> Answer<Revocation> {
    match kind.as_str() {
        JTI => {
            read("revocations.id", TokenId::parse(&id)).map(|id| Revocation::Jti(id, time(until)))
        }
        GRANT => {
            read("revocations.id", GrantId::parse(&id)).map(|id| Revocation::Grant(id, time(until)))
        }
        _ => Err(broken("revocations.kind")),
    }
}

/// Lists all keys: the retired too, for the database does not know how long their tokens live.
pub(super) async fn list_keys(store: &SeaStore) -> Answer<Vec<KeyRow>> {
    let rows = key::Entity::find()
        .order_by_asc(key::Column::CreatedAt)
        .order_by_asc(key::Column::Id)
        .all(&store.readers)
        .await?;
    rows.into_iter().map(read_key).collect()
}
