//! What happened, remembered with what it tells of.

use sea_orm::{
    ActiveValue, ColumnTrait as _, Condition, ConnectionTrait, EntityTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, QueryTrait as _,
};

use super::entity::audit_event::{ActiveModel, Column, Entity, Model};
use super::{SeaStore, pieces};
use crate::domain::clock::Timestamp;
use crate::domain::store::{Actor, Answer, Audit, AuditEvent, AuditQuery};

/// Remembers events.
pub(super) async fn insert(connection: &impl ConnectionTrait, events: &[&Audit]) -> Answer<()> {
    let rows: Vec<_> = events.iter().map(|event| row(event)).collect();
    Ok(pieces::insert::<ActiveModel>(connection, rows).await?)
}

/// Remembers an event that no mutation carries.
pub(super) async fn insert_audit(store: &SeaStore, audit: &Audit) -> Answer<()> {
    insert(&store.writers, &[audit]).await
}

/// Lists events, newest first.
pub(super) async fn list_audit(store: &SeaStore, query: &AuditQuery) -> Answer<Vec<AuditEvent>> {
    let AuditQuery { realm, user, before, limit } = query;
    let rows = Entity::find()
        .apply_if(realm.as_ref(), |select, realm| select.filter(Column::Realm.eq(realm.as_str())))
        .apply_if(*user, |select, user| {
            let id = user.to_string();
            select.filter(
                Condition::any().add(Column::Actor.eq(id.clone())).add(Column::Target.eq(id)),
            )
        })
        .apply_if(*before, |select, before| select.filter(Column::Id.lt(before)))
        .order_by_desc(Column::Id)
        .limit(u64::from(*limit))
        .all(&store.readers)
        .await?;
    Ok(rows.into_iter().map(read).collect())
}

fn row(audit: &Audit) -> ActiveModel {
    let Audit { at, action, outcome, realm, actor, target, client_address } = audit;
    let actor = match actor {
        Actor::User(id) => id.to_string(),
        Actor::Operator => "operator".to_owned(),
        Actor::Service => "service".to_owned(),
        Actor::Nobody => String::new(),
    };
    ActiveModel {
        id: ActiveValue::NotSet,
        at: ActiveValue::Set(at.micros()),
        action: ActiveValue::Set((*action).to_owned()),
        outcome: ActiveValue::Set((*outcome).to_owned()),
        realm: ActiveValue::Set(realm.as_ref().map(ToString::to_string).unwrap_or_default()),
        actor: ActiveValue::Set(actor),
        target: ActiveValue::Set(target.clone()),
        client_address: ActiveValue::Set(
            client_address.map(|address| address.to_string()).unwrap_or_default(),
        ),
    }
}

fn read(row: Model) -> AuditEvent {
    let Model { id, at, action, outcome, realm, actor, target, client_address } = row;
    let at = Timestamp::from_micros(at);
    AuditEvent { id, at, action, outcome, realm, actor, target, client_address }
}
