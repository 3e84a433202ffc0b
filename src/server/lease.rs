//! The leases that the replicas of a database have announced, shown and set by its operator.

use super::{StartError, convert, open};
use crate::config::Settings;
use crate::domain::clock::{Clock as _, SystemClock};
use crate::domain::error::Error as CoreError;
use crate::domain::store::{Actor, Answer, Audit, Store as _, Terms};
use crate::store::SeaStore;

/// Tells what the replicas of the database have announced.
///
/// # Errors
/// What stands in the way, in a sentence.
pub async fn show_lease(settings: &Settings) -> Result<String, StartError> {
    let lock = open::lock(settings).await?;
    let store = open::open_store(settings, None).await?;
    let terms = terms(&store).await;
    store.close().await;
    drop(lock);
    Ok(text(terms.map_err(CoreError::from)?))
}

/// Announces what the settings say, in place of all that was announced before, and tells it.
///
/// # Errors
/// What stands in the way, in a sentence.
pub async fn reset_lease(settings: &Settings) -> Result<String, StartError> {
    let core = convert::core(settings)?;
    let wanted = core.lease.terms(core.loss);
    let lock = open::lock(settings).await?;
    let store = open::open_store(settings, None).await?;
    let set = store.set_terms(wanted, &audit()).await;
    store.close().await;
    drop(lock);
    set.map_err(CoreError::from)?;
    Ok(text(wanted))
}

async fn terms(store: &SeaStore) -> Answer<Terms> {
    let head = store.head().await?;
    Ok(store.changes_from(head.seq).await?.terms)
}

fn audit() -> Audit {
    Audit {
        at: SystemClock.now(),
        action: "lease.reset",
        outcome: "ok",
        realm: None,
        actor: Actor::Operator,
        target: String::new(),
        client_address: None,
    }
}

fn text(terms: Terms) -> String {
    let Terms { longest_lease, serve_stale } = terms;
    let stale = serve_stale.map(|time| humantime::format_duration(time).to_string());
    format!(
        "longest lease: {}\nserve stale: {}\n",
        humantime::format_duration(longest_lease),
        stale.as_deref().unwrap_or("no replica does"),
    )
}
