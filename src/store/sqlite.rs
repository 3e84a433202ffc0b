//! What is SQLite's own: where the file is, and how its connections are set.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sea_orm::{DatabaseConnection, SqliteTransactionMode, SqlxSqliteConnector, TransactionOptions};
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::{OpenError, Options};

/// How long a statement waits for another process that writes: a backup, or an operator's hand.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a call waits for a connection.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// The connections to one database.
pub(super) struct Pools {
    /// The one that writes.
    pub(super) writer: DatabaseConnection,
    /// Those that read.
    pub(super) readers: DatabaseConnection,
}

/// How a transaction begins that will write. A deferred one that comes to write later is refused
/// at once where another has written since.
pub(super) fn write_options() -> TransactionOptions {
    TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    }
}

/// Answers the file that a URL names.
///
/// # Errors
/// [`OpenError::UnknownScheme`] and [`OpenError::NoFile`].
pub fn database_path(url: &str) -> Result<PathBuf, OpenError> {
    let Some((scheme, path)) = url.split_once("://") else {
        return Err(OpenError::NoFile);
    };
    if scheme != "sqlite" {
        return Err(OpenError::UnknownScheme(format!("{scheme}://")));
    }
    // `:memory:` would be another database for each connection; behind `?` stand options that
    // would undo ours.
    if path.is_empty() || path.ends_with('/') || path == ":memory:" || path.contains('?') {
        return Err(OpenError::NoFile);
    }
    Ok(PathBuf::from(path))
}

/// Opens the database, which is made where there is none.
pub(super) async fn open(options: &Options) -> Result<Pools, OpenError> {
    let path = database_path(&options.url)?;
    make_file(&path)?;
    let mut connect = SqliteConnectOptions::new()
        .filename(&path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .synchronous(SqliteSynchronous::Full);
    connect = match options.statement_log {
        Some(level) => connect.log_statements(level),
        None => connect.disable_statement_logging(),
    };
    let refused = |error| refusal(&path, error);
    let write = connect.clone().journal_mode(SqliteJournalMode::Wal);
    let writer = pool(1).connect_with(write).await.map_err(refused)?;
    let read = connect.pragma("query_only", "ON");
    let readers = match pool(options.readers.max(1)).connect_with(read).await {
        Ok(readers) => readers,
        Err(error) => {
            writer.close().await;
            return Err(refused(error));
        }
    };
    Ok(Pools { writer: connection(writer), readers: connection(readers) })
}

fn pool(connections: u32) -> SqlitePoolOptions {
    // A connection to a file does not go stale: none is tested, replaced or given up.
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(QUEUE_TIMEOUT)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

fn connection(pool: SqlitePool) -> DatabaseConnection {
    SqlxSqliteConnector::from_sqlx_sqlite_pool(pool)
}

/// Counts the connections of a pool: those that are open, and the idle ones among them.
pub(super) fn count(pool: &DatabaseConnection) -> (usize, usize) {
    let pool = pool.get_sqlite_connection_pool();
    (usize::try_from(pool.size()).unwrap_or(usize::MAX), pool.num_idle())
}

/// Makes the file where it is missing, readable by its owner alone: SQLite would let the umask
/// decide. Its log takes the mode from it.
fn make_file(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == ErrorKind::NotFound => {
            Err(OpenError::NoFolder(path.to_owned()))
        }
        Err(cause) => Err(OpenError::Unreadable { path: path.to_owned(), cause }),
    }
}

fn refusal(path: &Path, error: sqlx::Error) -> OpenError {
    // SQLITE_NOTADB
    let code = error.as_database_error().and_then(|error| error.code().map(String::from));
    if code.as_deref() == Some("26") {
        return OpenError::NotADatabase(path.to_owned());
    }
    OpenError::Unreadable { path: path.to_owned(), cause: std::io::Error::other(error) }
}
