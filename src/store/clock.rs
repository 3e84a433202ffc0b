//! The database's own time of day. Two machines' clocks differ, and what one alone takes for over
//! may live elsewhere: where a row is judged dead, the clock that is behind counts.

use std::cmp;

use sea_orm::{ConnectionTrait, Statement};

use super::SeaStore;
use super::convert::broken;
use super::write::Write;
use crate::domain::clock::Timestamp;
use crate::domain::store::Answer;

/// Asks the database what time it is.
pub(super) async fn now(store: &SeaStore, on: &impl ConnectionTrait) -> Answer<Timestamp> {
    let ask = format!("SELECT {} AS clock", store.engine.clock());
    let ask = Statement::from_string(on.get_database_backend(), ask);
    let row = on.query_one_raw(ask).await?.ok_or_else(|| broken("clock"))?;
    Ok(Timestamp::from_micros(row.try_get("", "clock")?))
}

/// Asks the database what time it is, within a transaction that writes.
pub(super) async fn of(write: &Write<'_>) -> Answer<Timestamp> {
    now(write.store(), write.on()).await
}

/// The earlier of this replica's time and the database's.
pub(super) async fn earlier(write: &Write<'_>) -> Answer<Timestamp> {
    Ok(cmp::min(write.at(), of(write).await?))
}
