//! What is SQLite's own: where the file is, and how its connections are set.

use std::fs::{self, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, QueryResult,
    RuntimeErr, SqliteTransactionMode, SqlxSqliteConnector, Statement, TransactionOptions,
    TransactionTrait as _,
};
use secrecy::ExposeSecret as _;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::commits::Commits;
use super::engine::{Engine, Opened, TailOf, tail_statement};
use super::pools::Pools;
use super::{Connections, OpenError, Options, schema};

/// How long a statement waits for another process that writes: a backup, or an operator's hand.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How many rows a connection's thread reads ahead of whoever asked, who wakes it for more: a start
/// may read a hundred thousand.
const ROWS_AHEAD: usize = 1000;

/// The time of day, in microseconds.
const CLOCK: &str = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)";

const TAKE_NUMBERS: &str = "UPDATE change_head SET seq = seq + ?1 WHERE id = 1 RETURNING seq";

/// A database in a file.
pub(super) struct Sqlite {
    pools: Pools<sqlx::Sqlite>,
    writer: DatabaseConnection,
    tail: String,
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
        return Err(OpenError::UnknownScheme);
    }
    // `:memory:` would be another database for each connection; behind `?` stand options that
    // would undo ours.
    if path.is_empty() || path.ends_with('/') || path == ":memory:" || path.contains('?') {
        return Err(OpenError::NoFile);
    }
    Ok(PathBuf::from(path))
}

impl Sqlite {
    /// Opens the database, which is made where there is none.
    pub(super) async fn open(
        options: &Options,
        commits: &Arc<Commits>,
    ) -> Result<Opened, OpenError> {
        let path = database_path(options.url.expose_secret())?;
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
        let pool = |most: u32| pool(most, options.connection_wait);
        let refused = |error| refusal(&path, error);
        let write = connect.clone().journal_mode(SqliteJournalMode::Wal);
        let writers = checked(pool(1), commits);
        let writers = writers.connect_with(write).await.map_err(refused)?;
        let read = connect.pragma("query_only", "ON").row_buffer_size(ROWS_AHEAD);
        let readers = match pool(options.readers.max(1)).connect_with(read.clone()).await {
            Ok(readers) => readers,
            Err(error) => {
                writers.close().await;
                return Err(refused(error));
            }
        };
        let pools = Pools::of(writers, readers, pool(1).connect_lazy_with(read));
        let (writers, readers) = (connection(&pools.writers), connection(&pools.readers));
        let tail = tail_statement(&TailOf { is_primary: "TRUE", clock: CLOCK, from: "?1" });
        let engine = Box::new(Self { pools, writer: writers.clone(), tail });
        Ok(Opened { engine, writers, readers })
    }
}

#[async_trait]
impl Engine for Sqlite {
    /// A deferred transaction that comes to write later is refused at once where another has
    /// written since.
    fn write_options(&self) -> TransactionOptions {
        TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        }
    }

    fn leaders(&self) -> usize {
        1
    }

    /// Whoever writes waits for it.
    fn batch(&self) -> u32 {
        25
    }

    fn read_options(&self) -> TransactionOptions {
        TransactionOptions::default()
    }

    async fn migrate(&self) -> Result<(), OpenError> {
        let transaction = self.writer.begin_with_options(self.write_options()).await?;
        schema::bring_up_to_date(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn take_numbers(
        &self,
        transaction: &DatabaseTransaction,
        count: i64,
    ) -> Result<Option<i64>, DbErr> {
        let take = Statement::from_sql_and_values(DbBackend::Sqlite, TAKE_NUMBERS, [count.into()]);
        let row = transaction.query_one_raw(take).await?;
        row.map(|row| row.try_get("", "seq")).transpose()
    }

    async fn allow_long(&self, _transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        Ok(())
    }

    fn clock(&self) -> &'static str {
        CLOCK
    }

    async fn read_changes(&self, from: i64) -> Result<Vec<QueryResult>, DbErr> {
        let query = sqlx::query(AssertSqlSafe(self.tail.as_str())).bind(from);
        let rows = query.fetch_all(&self.pools.tail).await;
        let rows = rows.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
        Ok(rows.into_iter().map(QueryResult::from).collect())
    }

    fn connections(&self) -> [Connections; 3] {
        self.pools.count()
    }

    async fn close(&self) {
        self.pools.close().await;
    }
}

/// Lets no connection come back with which a transaction has not ended as it was told to.
///
/// Where a disk is full SQLite takes a transaction back by itself. The `ROLLBACK` that follows is
/// refused then, the driver still counts a transaction as open, and whatever came next would be a
/// savepoint within one that nobody ever commits.
fn checked(pool: SqlitePoolOptions, commits: &Arc<Commits>) -> SqlitePoolOptions {
    let commits = Arc::clone(commits);
    pool.after_release(move |connection, _| {
        let commits = Arc::clone(&commits);
        Box::pin(async move { Ok(!commits.take_doubt() && is_outside(connection).await) })
    })
}

/// Whether neither SQLite nor the driver takes a transaction for open.
async fn is_outside(connection: &mut SqliteConnection) -> bool {
    // It is what is set anyway, and refused within a transaction.
    let autocommits = connection.execute("PRAGMA synchronous = FULL").await.is_ok();
    autocommits && !connection.is_in_transaction()
}

fn pool(connections: u32, wait: Duration) -> SqlitePoolOptions {
    // A connection to a file does not go stale: none is tested, replaced or given up. One that
    // reads goes on with the moment that it saw while its transaction is open.
    SqlitePoolOptions::new()
        .after_release(|connection, _| {
            Box::pin(async move {
                if connection.is_in_transaction() {
                    connection.ping().await?;
                }
                Ok(!connection.is_in_transaction())
            })
        })
        .max_connections(connections)
        .acquire_timeout(wait)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

fn connection(pool: &SqlitePool) -> DatabaseConnection {
    SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone())
}

/// Makes the file where it is missing, readable by its owner alone: SQLite would let the umask
/// decide. Its log takes the mode from it. It is not made through a link, wherever that leads.
fn make_file(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Ok(_) => Ok(()),
        // A link to a database that is there is the operator's.
        Err(cause) if cause.kind() == ErrorKind::AlreadyExists => match fs::metadata(path) {
            Ok(found) if found.is_file() => Ok(()),
            Ok(_) => {
                let cause = std::io::Error::other("it is no regular file");
                Err(OpenError::Unreadable { path: path.to_owned(), cause })
            }
            Err(cause) => Err(OpenError::Unreadable { path: path.to_owned(), cause }),
        },
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
