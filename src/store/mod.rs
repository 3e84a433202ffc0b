//! The database behind the port `domain::store`, through SeaORM. Nothing here but `sqlite` knows
//! which database it is.

use std::fmt;
use std::path::PathBuf;

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};

use crate::domain::random::MachineRandom;
use crate::domain::store::Answer;

mod attempts;
mod audit;
mod changes;
mod convert;
mod cut;
mod directory;
mod entity;
mod facts;
mod keys;
pub mod lock;
mod port;
mod purge;
mod refresh;
mod revoke;
mod roles;
mod rows;
mod schema;
mod sqlite;
mod tokens;
mod write;

#[cfg(test)]
mod tests;

pub use sqlite::database_path;

/// How the database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is: `sqlite://` and a path.
    pub url: String,
    /// How many connections read at once; at least one.
    pub readers: u32,
    /// The level at which each statement is logged, without its values; `None`: not at all.
    pub statement_log: Option<log::LevelFilter>,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of another database.
    #[error("the database URL begins with {0:?}: only sqlite:// is served so far")]
    UnknownScheme(String),
    /// The URL does not name a file.
    #[error("the database URL must be sqlite:// and the path of a file")]
    NoFile,
    /// The folder is missing.
    #[error("the folder of the database {} does not exist", .0.display())]
    NoFolder(PathBuf),
    /// The file could not be opened.
    #[error("the database {} can't be opened: {cause}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
    /// The file is something else.
    #[error("the file {} is not a database of SQLite", .0.display())]
    NotADatabase(PathBuf),
    /// A later version changed the tables so that this one can't use them.
    #[error(
        "the database asks for version {asked} of its tables or a later one, and this program \
         knows version {known}: start a later program"
    )]
    TooNew {
        /// The oldest version that may use it.
        asked: u32,
        /// Ours.
        known: u32,
    },
    /// A later version made the tables, and it did not say who may use them.
    #[error("the database does not say which version of its tables may be used")]
    NoVersion,
    /// The database refused.
    #[error("the database can't be used: {0}")]
    Refused(#[from] DbErr),
}

/// How many connections of one sort there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connections {
    /// `read` or `write`.
    pub sort: &'static str,
    /// How many are open.
    pub open: usize,
    /// How many of them are in use.
    pub busy: usize,
}

/// The store: the implementation of [`crate::domain::store::Store`].
pub struct SeaStore {
    // SQLite has one writer: a pool of one queues them here, where each wait has a bound.
    writer: DatabaseConnection,
    readers: DatabaseConnection,
    random: MachineRandom,
}

impl fmt::Debug for SeaStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SeaStore")
    }
}

impl SeaStore {
    /// Opens the database, which is made where there is none, and brings its tables up to date.
    /// On SQLite the caller holds a [`lock::DatabaseLock`] on it.
    ///
    /// # Errors
    /// What stands in the way, in a sentence for the operator.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let sqlite::Pools { writer, readers } = sqlite::open(options).await?;
        let store = Self { writer, readers, random: MachineRandom::default() };
        if let Err(error) = schema::bring_up_to_date(&store.writer).await {
            store.close().await;
            return Err(error);
        }
        Ok(store)
    }

    /// Closes all connections, once what is under way has ended.
    pub async fn close(&self) {
        // The last one to close folds the log back into the file, which readers may not.
        for pool in [&self.readers, &self.writer] {
            if let Err(error) = pool.close_by_ref().await {
                tracing::warn!(%error, "a connection to the database did not close");
            }
        }
    }

    /// Counts the connections that are in use, and all there are: those that read, and the one
    /// that writes.
    #[must_use]
    pub fn connections(&self) -> [Connections; 2] {
        [("read", &self.readers), ("write", &self.writer)].map(|(sort, pool)| {
            let (open, idle) = sqlite::count(pool);
            Connections { sort, open, busy: open.saturating_sub(idle) }
        })
    }

    /// Begins to read: all that is read until it is dropped is of one moment.
    async fn reading(&self) -> Answer<DatabaseTransaction> {
        Ok(self.readers.begin().await?)
    }
}
