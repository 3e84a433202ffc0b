//! The database behind the port `domain::store`, through SeaORM. Nothing here but `sqlite`,
//! `postgres` and `mariadb` knows which database it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, TransactionTrait as _};
use secrecy::SecretString;

use crate::domain::random::MachineRandom;
use crate::domain::store::Answer;

mod attempts;
mod audit;
mod changes;
mod clock;
mod commits;
mod convert;
mod create;
mod cut;
mod directory;
mod ending;
mod engine;
mod entity;
mod facts;
mod family;
pub mod file;
mod group;
mod held;
mod keys;
pub mod lock;
mod mariadb;
mod pieces;
mod pools;
mod port;
mod postgres;
mod purge;
mod refresh;
mod retry;
mod revoke;
mod roles;
mod rows;
mod schema;
mod sqlite;
mod tokens;
mod write;

#[cfg(test)]
mod tests;

pub use engine::Kind;
pub use sqlite::database_path;

use commits::Commits;
use create::Creation;
use engine::{Engine, Opened};
use group::{Group, Limits};
use refresh::OrderedSwap;
use revoke::OrderedRevocation;

/// How the database is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is: `sqlite://` and a path, or the URL of a server.
    pub url: SecretString,
    /// How many connections read at once; at least one.
    pub readers: u32,
    /// How many connections write at once; at least one. SQLite has one.
    pub writers: u32,
    /// How many writes of one kind share a transaction at most; with one, each has its own.
    pub group: usize,
    /// How long a call waits for a connection, and a start for the server.
    pub connection_wait: Duration,
    /// The level at which each statement is logged, without its values; `None`: not at all.
    pub statement_log: Option<log::LevelFilter>,
}

/// Why a database could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL is of another database.
    #[error("the database URL must begin with sqlite://, postgres://, mariadb:// or mysql://")]
    UnknownScheme,
    /// The URL of a server can't be used.
    #[error("the database URL can't be used: {0}")]
    BadUrl(&'static str),
    /// The URL has an option that could undo what is set on purpose.
    #[error("the database URL may have no option but {}", .0.join(", "))]
    UnknownUrlOption(&'static [&'static str]),
    /// The server takes no writes.
    #[error(
        "the database server is a standby or read-only: only a primary can say what was revoked, \
         so name the primary in database.url"
    )]
    Standby,
    /// The server acknowledges what a power cut takes back.
    #[error(
        "the database server has innodb_flush_log_at_trx_commit = {0}: a revocation that was \
         acknowledged could be lost in a crash, so set it to 1"
    )]
    NotDurable(i64),
    /// The server's log of changes acknowledges what a power cut takes back.
    #[error(
        "the database server writes a binary log with sync_binlog = {0}: a revocation that was \
         acknowledged could be lost in a crash, so set it to 1"
    )]
    BinlogNotDurable(i64),
    /// The server was not there in time.
    #[error("the database server gave no answer within {}", humantime::format_duration(*.0))]
    NoAnswer(Duration),
    /// Another start changes the tables and does not come to an end.
    #[error("another process has been changing the tables of the database for too long")]
    MigrationsHeld,
    /// The server refused.
    #[error("the database server can't be used: {0}")]
    Server(#[from] sqlx::Error),
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
    /// `read`, `write` or `tail`.
    pub sort: &'static str,
    /// How many are open.
    pub open: usize,
    /// How many of them are in use.
    pub busy: usize,
}

/// The store: the implementation of [`crate::domain::store::Store`].
pub struct SeaStore {
    engine: Box<dyn Engine>,
    // SQLite has one writer: a pool of one queues them here, where each wait has a bound.
    writers: DatabaseConnection,
    readers: DatabaseConnection,
    creations: Group<Creation>,
    swaps: Group<OrderedSwap>,
    revocations: Group<OrderedRevocation>,
    commits: Arc<Commits>,
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
        let commits = Arc::<Commits>::default();
        let Opened { engine, writers, readers } = engine::open(options, &commits).await?;
        let limits = Limits {
            jobs: options.group,
            leaders: engine.leaders(),
            wait: options.connection_wait,
        };
        let store = Self {
            engine,
            writers,
            readers,
            creations: Group::new(limits),
            swaps: Group::new(limits),
            revocations: Group::new(limits),
            commits,
            random: MachineRandom::default(),
        };
        if let Err(error) = schema::migrate(&*store.engine).await {
            store.close().await;
            return Err(error);
        }
        Ok(store)
    }

    /// Closes all connections, once what is under way has ended.
    pub async fn close(&self) {
        self.engine.close().await;
    }

    /// Counts the connections that are in use, and all there are: those that read, those that
    /// write, and those of the tail.
    #[must_use]
    pub fn connections(&self) -> [Connections; 3] {
        self.engine.connections()
    }

    /// Begins to read: all that is read until it is dropped is of one moment.
    async fn reading(&self) -> Answer<DatabaseTransaction> {
        Ok(self.readers.begin_with_options(self.engine.read_options()).await?)
    }
}
