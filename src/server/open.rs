//! The core over its database: locked, opened, unsealed.

use std::path::PathBuf;
use std::sync::Arc;

use secrecy::ExposeSecret as _;

use super::master_key::{self, SealedKeys};
use super::{StartError, convert};
use crate::config::Settings;
use crate::domain::clock::Clock;
use crate::domain::error::Error as CoreError;
use crate::domain::random::Random;
use crate::domain::store::Store;
use crate::domain::{Core, Parts};
use crate::store::lock::DatabaseLock;
use crate::store::{Options, SeaStore, database_path};

/// What the rules get from outside.
#[derive(Debug, Clone)]
pub struct Wiring {
    /// The clocks.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// The level at which each statement is logged; `None`: not at all.
    pub statement_log: Option<log::LevelFilter>,
}

/// A core, and what it holds on to.
pub(super) struct Opened {
    pub(super) core: Core,
    pub(super) store: Arc<SeaStore>,
    pub(super) lock: DatabaseLock,
}

impl Opened {
    /// Closes the database, then lets others have it.
    pub(super) async fn close(self) {
        let Self { core, store, lock } = self;
        drop(core);
        store.close().await;
        drop(lock);
    }
}

/// Takes the database for this process.
pub(super) async fn lock(settings: &Settings) -> Result<DatabaseLock, StartError> {
    Ok(DatabaseLock::acquire(&path(settings)?, settings.database.lock_wait).await?)
}

pub(super) fn path(settings: &Settings) -> Result<PathBuf, StartError> {
    Ok(database_path(settings.database.url.expose_secret())?)
}

/// Opens the database and brings its tables up to date.
pub(super) async fn open_store(
    settings: &Settings,
    statement_log: Option<log::LevelFilter>,
) -> Result<SeaStore, StartError> {
    let options = Options {
        url: settings.database.url.expose_secret().to_owned(),
        readers: settings.database.readers,
        statement_log,
    };
    Ok(SeaStore::open(&options).await?)
}

/// Opens the core over a database that this process holds.
pub(super) async fn open(
    settings: &Settings,
    wiring: Wiring,
    lock: DatabaseLock,
) -> Result<Opened, StartError> {
    let store = Arc::new(open_store(settings, wiring.statement_log).await?);
    match open_core(settings, wiring, &store).await {
        Ok(core) => Ok(Opened { core, store, lock }),
        Err(error) => {
            // Else its log stays behind.
            store.close().await;
            Err(error)
        }
    }
}

async fn open_core(
    settings: &Settings,
    wiring: Wiring,
    store: &Arc<SeaStore>,
) -> Result<Core, StartError> {
    let core_settings = convert::core(settings)?;
    let Wiring { clock, random, statement_log: _ } = wiring;
    let rows = store.list_keys().await.map_err(CoreError::from)?;
    let sealed = if rows.is_empty() { SealedKeys::None } else { SealedKeys::Present };
    let master = master_key::find(settings, &path(settings)?, sealed, &*random)?;
    let port: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
    let parts = Parts { store: port, clock, random, master, settings: core_settings };
    Ok(Core::open(parts).await?)
}
