//! What is MariaDB's own: how its connections are set, its standbys, its lock for migrations.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, QueryResult, RuntimeErr, SqlxMySqlConnector, Statement, TransactionOptions,
    TransactionTrait as _,
};
use secrecy::ExposeSecret as _;
use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::engine::{BATCH, Engine, LEADERS, Opened, TailOf, check_server_url, tail_statement};
use super::pools::{self, Pools, Server, ServerIs};
use super::{Connections, OpenError, Options, schema};

/// The options that a URL may have: where the server is, and how its certificate is judged. Any
/// other could undo what is set here.
const URL_OPTIONS: &[&str] = &["socket", "sslmode", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key"];

/// What every connection is set to, whatever the server or the user would have. Text is compared
/// by the collation of its column, and nothing that does not fit is cut.
const SESSION: &str = "SET SESSION autocommit = 1, foreign_key_checks = 1, unique_checks = 1, \
    sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
    innodb_lock_wait_timeout = 5, lock_wait_timeout = 5, wait_timeout = 900";

/// What MySQL does not have. A holder of the lock on `change_head` that is paused would block
/// every revocation: the server ends a transaction that is idle for five seconds.
const SESSION_OF_MARIADB: &str = "SET SESSION max_statement_time = 60, \
    idle_transaction_timeout = 5, idle_write_transaction_timeout = 5, \
    idle_readonly_transaction_timeout = 5";

const ISOLATION: &str = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Later versions have more words for it than on and off.
const IS_PRIMARY: &str = "CAST(@@GLOBAL.read_only AS CHAR) IN ('0', 'OFF')";

const SERVER: &str = "SELECT CAST(@@GLOBAL.read_only AS CHAR) IN ('0', 'OFF') AS is_primary, \
    CAST(@@GLOBAL.innodb_flush_log_at_trx_commit AS SIGNED) AS flush_at_commit, \
    CAST(@@GLOBAL.log_bin AS SIGNED) AS writes_binlog, \
    CAST(@@GLOBAL.sync_binlog AS SIGNED) AS sync_binlog, \
    VERSION() AS version";

const CHECK: &str = "SELECT 4207 AS answer, \
    @@in_transaction = 0 AND CAST(@@GLOBAL.read_only AS CHAR) IN ('0', 'OFF') AS is_clean";

/// MySQL does not say whether a transaction is open, so none is left.
const CHECK_OF_MYSQL: &str =
    "SELECT 4207 AS answer, CAST(@@GLOBAL.read_only AS CHAR) IN ('0', 'OFF') AS is_clean";

/// It has no `RETURNING` here, but answers this with the number.
/// The time of day, in microseconds.
const CLOCK: &str = "CAST(UNIX_TIMESTAMP(SYSDATE(6)) * 1000000 AS SIGNED)";

const TAKE_NUMBERS: &str = "UPDATE change_head SET seq = LAST_INSERT_ID(seq + ?) WHERE id = 1";

/// The lock is of the whole server, and its name of no more than 64 characters.
const MIGRATIONS: &str = "SELECT GET_LOCK(CONCAT('tokend.', MD5(DATABASE())), 600) AS locked";

/// What a migration needs of its session.
const LIFTED: &str = "SET SESSION max_statement_time = 0, \
    idle_transaction_timeout = 0, idle_write_transaction_timeout = 0";

/// How long a change of a table waits for those who use it, before it lets them pass and tries
/// again.
const DDL_WAIT: &str = "SET SESSION lock_wait_timeout = 2";

/// A database on a server of MariaDB.
pub(super) struct MariaDb {
    pools: Pools<sqlx::MySql>,
    session: Session,
    options: Options,
    connect: MySqlConnectOptions,
    tail: String,
}

impl MariaDb {
    /// Reaches the server, and refuses one that takes no writes or would lose them.
    pub(super) async fn open(options: &Options) -> Result<Opened, OpenError> {
        let connect = connect_options(options)?;
        let session = Session::default();
        let first = pools::first(&session, options, &connect).await?;
        first.close().await?;
        if session.is_mysql() {
            tracing::warn!("the database server is MySQL, with which this program is not tested");
        }
        let pools = Pools::new(&session, options, &connect);
        let (writers, readers) = (connection(&pools.writers), connection(&pools.readers));
        let tail = tail_statement(&TailOf { is_primary: IS_PRIMARY, clock: CLOCK, from: "?" });
        let options = options.clone();
        let engine = Box::new(Self { pools, session, options, connect, tail });
        Ok(Opened { engine, writers, readers })
    }

    async fn migrate_on(&self, connection: &DatabaseConnection) -> Result<(), OpenError> {
        // Each change of a table commits by itself, so nothing here is undone; the transaction
        // keeps all of it to the one connection that has the lock.
        let transaction = connection.begin().await?;
        if !self.session.is_mysql() {
            transaction.execute_unprepared(LIFTED).await?;
        }
        if !locked(&transaction).await? {
            return Err(OpenError::MigrationsHeld);
        }
        transaction.execute_unprepared(DDL_WAIT).await?;
        schema::bring_up_to_date(&transaction).await?;
        Ok(transaction.commit().await?)
    }
}

async fn locked(transaction: &DatabaseTransaction) -> Result<bool, DbErr> {
    let ask = Statement::from_string(DbBackend::MySql, MIGRATIONS);
    let answer = transaction.query_one_raw(ask).await?;
    let locked = answer.map(|row| row.try_get::<Option<i64>>("", "locked")).transpose()?;
    Ok(locked.flatten() == Some(1))
}

fn connection(pool: &sqlx::MySqlPool) -> DatabaseConnection {
    SqlxMySqlConnector::from_sqlx_mysql_pool(pool.clone())
}

fn connect_options(options: &Options) -> Result<MySqlConnectOptions, OpenError> {
    let url = options.url.expose_secret();
    check_server_url(url, URL_OPTIONS)?;
    let connect = MySqlConnectOptions::from_str(url)
        .map_err(|_| OpenError::BadUrl("it can't be read"))?
        .charset("utf8mb4")
        // The mode is set whole.
        .pipes_as_concat(false)
        .no_engine_substitution(false);
    Ok(match options.statement_log {
        Some(level) => connect.log_statements(level),
        None => connect.disable_statement_logging(),
    })
}

#[derive(Debug, Clone, Default)]
struct Session {
    // Known once the first connection is made.
    mysql: Arc<AtomicBool>,
}

impl Session {
    fn is_mysql(&self) -> bool {
        self.mysql.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Server for Session {
    type Driver = sqlx::MySql;

    async fn prepare(&self, connection: &mut MySqlConnection) -> Result<(), OpenError> {
        let row = connection.fetch_one(SERVER).await?;
        if !row.try_get::<bool, _>("is_primary")? {
            return Err(OpenError::Standby);
        }
        let flush: i64 = row.try_get("flush_at_commit")?;
        if flush != 1 {
            return Err(OpenError::NotDurable(flush));
        }
        // After a crash the server undoes what its binary log does not hold.
        let sync: i64 = row.try_get("sync_binlog")?;
        if row.try_get::<i64, _>("writes_binlog")? != 0 && sync != 1 {
            return Err(OpenError::BinlogNotDurable(sync));
        }
        let mysql = !row.try_get::<String, _>("version")?.contains("MariaDB");
        self.mysql.store(mysql, Ordering::Relaxed);
        connection.execute(ISOLATION).await?;
        connection.execute(SESSION).await?;
        if !mysql {
            connection.execute(SESSION_OF_MARIADB).await?;
        }
        Ok(())
    }

    async fn is_clean(&self, connection: &mut MySqlConnection) -> Result<bool, sqlx::Error> {
        let check = if self.is_mysql() {
            connection.execute("ROLLBACK").await?;
            CHECK_OF_MYSQL
        } else {
            CHECK
        };
        let row = connection.fetch_one(check).await?;
        Ok(row.try_get::<i64, _>("answer")? == 4207 && row.try_get::<bool, _>("is_clean")?)
    }
}

#[async_trait]
impl Engine for MariaDb {
    fn write_options(&self) -> TransactionOptions {
        TransactionOptions::default()
    }

    fn leaders(&self) -> usize {
        LEADERS
    }

    fn batch(&self) -> u32 {
        BATCH
    }

    fn read_options(&self) -> TransactionOptions {
        TransactionOptions {
            isolation_level: Some(IsolationLevel::RepeatableRead),
            access_mode: Some(AccessMode::ReadOnly),
            ..TransactionOptions::default()
        }
    }

    async fn migrate(&self) -> Result<(), OpenError> {
        // What is set here is of the session, and the lock ends with it.
        let pool = pools::one(&self.session, &self.options, &self.connect);
        let done = self.migrate_on(&connection(&pool)).await;
        pool.close().await;
        done
    }

    async fn take_numbers(
        &self,
        transaction: &DatabaseTransaction,
        count: i64,
    ) -> Result<Option<i64>, DbErr> {
        let take = Statement::from_sql_and_values(DbBackend::MySql, TAKE_NUMBERS, [count.into()]);
        let taken = transaction.execute_raw(take).await?;
        let last = i64::try_from(taken.last_insert_id()).ok();
        Ok(last.filter(|_| taken.rows_affected() == 1))
    }

    async fn allow_long(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        // Of the session: until this connection is replaced, its statements have no limit.
        if !self.session.is_mysql() {
            transaction.execute_unprepared("SET SESSION max_statement_time = 0").await?;
        }
        Ok(())
    }

    fn clock(&self) -> &'static str {
        CLOCK
    }

    async fn read_changes(&self, from: i64) -> Result<Vec<QueryResult>, DbErr> {
        let read = async {
            let mut connection = self.pools.tail().await?;
            let query = sqlx::query(AssertSqlSafe(self.tail.as_str())).bind(from);
            let rows = query.fetch_all(connection.on()?).await?;
            connection.done(ServerIs::by(&rows));
            Ok(rows)
        };
        let rows: Result<Vec<_>, sqlx::Error> = read.await;
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
