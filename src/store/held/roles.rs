//! The roles that a transaction judges by, and who has them.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::sea_query::{Expr, ExprTrait as _, LockType, Query, SelectStatement};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DatabaseTransaction, DbBackend, EntityTrait as _,
    FromQueryResult as _, JoinType, Order, QueryFilter as _, QuerySelect as _,
};

use super::{Hold, at_once, runs};
use crate::domain::authority::Evidence;
use crate::domain::identity::{Realm, RoleId, RoleName, UserId};
use crate::domain::store::Answer;
use crate::store::convert::{read, role_id};
use crate::store::entity::{role, user_role};
use crate::store::rows::read_role;

/// What the assignments of those who call are joined as.
const ASSIGNED: &str = "assigned";

/// Which roles are to be held.
#[derive(Debug, Default)]
pub(super) struct WantedRoles {
    ids: BTreeMap<String, Hold>,
    /// One that is to be changed.
    named: Option<(Realm, RoleName)>,
    /// Those of whom it is asked which of these roles they have.
    callers: BTreeSet<String>,
    /// Those all of whose roles are asked for.
    users: BTreeSet<String>,
}

impl WantedRoles {
    /// Adds roles.
    pub(super) fn add(&mut self, ids: impl IntoIterator<Item = RoleId>) {
        for id in ids {
            self.ids.entry(id.0.to_string()).or_insert(Hold::Shared);
        }
    }

    /// Adds the role of a name, which is to be changed. There is one at most.
    pub(super) fn change(&mut self, realm: &Realm, name: &RoleName) {
        self.named = Some((realm.clone(), name.clone()));
    }

    /// Asks which of the roles that are named by their ids this user has.
    pub(super) fn add_caller(&mut self, id: UserId) {
        self.callers.insert(id.to_string());
    }

    /// Adds all roles of a user.
    pub(super) fn add_all_of(&mut self, id: UserId) {
        self.users.insert(id.to_string());
    }

    /// Reads the roles and locks them, and finds out who has them. The users are locked before:
    /// they are given no role and lose none, but by the end of a role, which waits here.
    pub(super) async fn hold(self, on: &DatabaseTransaction) -> Answer<Evidence> {
        let Self { mut ids, named, callers, users } = self;
        let mut evidence = Evidence::default();
        if let Some((realm, name)) = named {
            queue(on).await?;
            let found = find(on, &realm, &name).await?;
            ids.extend(found.map(|id| (id, Hold::Alone)));
        }
        for users in at_once(users) {
            for (user, role) in assigned(on, users).await? {
                evidence.assigned.insert((user, role));
                ids.entry(role.0.to_string()).or_insert(Hold::Shared);
            }
        }
        // One caller's are asked for with the roles. With many each role would come for each of them.
        let (beside, apart) =
            if callers.len() > 1 { (BTreeSet::new(), callers) } else { (callers, BTreeSet::new()) };
        let beside: Vec<_> = beside.into_iter().collect();
        for (hold, ids) in runs(ids) {
            let mut rows = rows(ids, &beside);
            lock(&mut rows, hold, on.get_database_backend());
            for row in on.query_all(&rows).await? {
                let role = read_role(role::Model::from_query_result(&row, "")?)?;
                if let Some(user) = row.try_get::<Option<String>>("", ASSIGNED)? {
                    let user = read("user_roles.user_id", UserId::parse(&user))?;
                    evidence.assigned.insert((user, role.id));
                }
                evidence.roles.insert(role.id, role);
            }
        }
        for users in at_once(apart) {
            evidence.assigned.extend(assigned(on, users).await?);
        }
        Ok(evidence)
    }
}

/// Makes whoever comes to hold a role from now on wait for this transaction. On PostgreSQL those who
/// share a row pass by one who waits to have it alone, without an end where they never cease; those
/// who read roles without a lock are not stopped.
async fn queue(on: &DatabaseTransaction) -> Answer<()> {
    if on.get_database_backend() == DbBackend::Postgres {
        on.execute_unprepared("LOCK TABLE roles IN EXCLUSIVE MODE").await?;
    }
    Ok(())
}

async fn find(on: &DatabaseTransaction, realm: &Realm, name: &RoleName) -> Answer<Option<String>> {
    let found = role::Entity::find()
        .select_only()
        .column(role::Column::Id)
        .filter(role::Column::Realm.eq(realm.as_str()))
        .filter(role::Column::Name.eq(name.as_str()))
        .into_tuple()
        .one(on)
        .await?;
    Ok(found)
}

/// Finds who of these users has which roles.
async fn assigned(on: &DatabaseTransaction, users: Vec<String>) -> Answer<Vec<(UserId, RoleId)>> {
    let rows =
        user_role::Entity::find().filter(user_role::Column::UserId.is_in(users)).all(on).await?;
    let pair = |user_role::Model { user_id, role_id: id }| {
        Ok((read("user_roles.user_id", UserId::parse(&user_id))?, role_id(&id)?))
    };
    rows.into_iter().map(pair).collect()
}

/// Asks for roles, with the caller where they have it.
fn rows(ids: Vec<String>, callers: &[String]) -> SelectStatement {
    let columns = [
        role::Column::Id,
        role::Column::Realm,
        role::Column::Name,
        role::Column::Description,
        role::Column::Permissions,
    ];
    let assigned = Query::select()
        .columns([user_role::Column::UserId, user_role::Column::RoleId])
        .from(user_role::Entity)
        .and_where(user_role::Column::UserId.is_in(callers))
        .take();
    let of_the_role =
        Expr::col((ASSIGNED, user_role::Column::RoleId)).equals((role::Entity, role::Column::Id));
    Query::select()
        .columns(columns.map(|column| (role::Entity, column)))
        .expr_as(Expr::col((ASSIGNED, user_role::Column::UserId)), ASSIGNED)
        .from(role::Entity)
        // Not the table itself: MariaDB would lock what it reads of that, too.
        .join_subquery(JoinType::LeftJoin, assigned, ASSIGNED, of_the_role)
        .and_where(Expr::col((role::Entity, role::Column::Id)).is_in(ids))
        .order_by((role::Entity, role::Column::Id), Order::Asc)
        .take()
}

fn lock(rows: &mut SelectStatement, hold: Hold, backend: DbBackend) {
    let lock = match hold {
        Hold::Shared => LockType::Share,
        Hold::Alone => LockType::Update,
    };
    if backend == DbBackend::Postgres {
        // It refuses to lock what is joined.
        rows.lock_with_tables(lock, [role::Entity]);
    } else {
        rows.lock(lock);
    }
}
