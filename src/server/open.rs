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
use crate::store::lock::{Addresses, DatabaseLock};
use crate::store::{Kind, Options, SeaStore, database_path};

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
    lock: Option<DatabaseLock>,
}

impl Opened {
    /// Lets who looks for the holder of the database find it.
    pub(super) fn announce(&self, addresses: &Addresses) -> Result<(), StartError> {
        if let Some(lock) = &self.lock {
            lock.set_addresses(addresses)?;
        }
        Ok(())
    }

    /// Closes the database, then lets others have it.
    pub(super) async fn close(self) {
        let Self { core, store, lock } = self;
        drop(core);
        store.close().await;
        drop(lock);
    }
}

/// Takes the database for this process, where it is a file. `None`: it is a server's, which many
/// share.
pub(super) async fn lock(settings: &Settings) -> Result<Option<DatabaseLock>, StartError> {
    let Some(file) = file(settings)? else { return Ok(None) };
    Ok(Some(DatabaseLock::acquire(&file, settings.database.lock_wait).await?))
}

/// Answers the file of the database; `None`: it is on a server.
pub(super) fn file(settings: &Settings) -> Result<Option<PathBuf>, StartError> {
    let url = settings.database.url.expose_secret();
    match Kind::of(url)? {
        Kind::Sqlite => Ok(Some(database_path(url)?)),
        Kind::Postgres | Kind::MariaDb => Ok(None),
    }
}

/// Opens the database and brings its tables up to date.
pub(super) async fn open_store(
    settings: &Settings,
    statement_log: Option<log::LevelFilter>,
) -> Result<SeaStore, StartError> {
    let options = Options {
        url: settings.database.url.clone(),
        readers: settings.database.readers,
        writers: settings.database.writers,
        group: settings.database.group,
        connection_wait: settings.database.connection_wait,
        statement_log,
    };
    Ok(SeaStore::open(&options).await?)
}

/// Opens the core over a database that this process holds, or shares.
pub(super) async fn open(
    settings: &Settings,
    wiring: Wiring,
    lock: Option<DatabaseLock>,
) -> Result<Opened, StartError> {
    if lock.is_none() && settings.keys.master_key.is_none() {
        return Err(StartError::NoMasterKey);
    }
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
    let master = master_key::find(settings, file(settings)?.as_deref(), sealed, &*random)?;
    let port: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
    let parts = Parts { store: port, clock, random, master, settings: core_settings };
    Ok(Core::open(parts).await?)
}
