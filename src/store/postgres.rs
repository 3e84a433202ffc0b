//! What is PostgreSQL's own: how its connections are set, its standbys, its lock for migrations.

use std::str::FromStr as _;
use std::time::Duration;

use async_trait::async_trait;
use sea_orm::{
    AccessMode, ConnectionTrait as _, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr,
    IsolationLevel, QueryResult, RuntimeErr, SqlxPostgresConnector, Statement, TransactionOptions,
    TransactionTrait as _,
};
use secrecy::ExposeSecret as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, Row as _};

use super::engine::{BATCH, Engine, LEADERS, Opened, TailOf, check_server_url, tail_statement};
use super::pools::{self, Pools, Server, ServerIs};
use super::{Connections, OpenError, Options, schema};

/// The options that a URL may have: where the server is, and how its certificate is judged. Any
/// other could undo what is set here.
const URL_OPTIONS: &[&str] = &["host", "port", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// What every connection is set to; whatever the server, the role or the environment would have.
///
/// A holder of the lock on `change_head` that is paused would block every revocation: the server
/// ends a transaction that is idle for five seconds. Nothing of ours waits for a lock or runs for
/// as long as the other limits, but for migrations and fences, which lift them.
const SESSION: &str = "\
    SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE; \
    SET idle_in_transaction_session_timeout = '5s'; \
    SET lock_timeout = '5s'; \
    SET statement_timeout = '60s'; \
    SET application_name = 'tokend'; \
    SET client_min_messages = 'warning'; \
    SELECT set_config('synchronous_commit', 'on', false) \
    WHERE current_setting('synchronous_commit') <> 'remote_apply'";

/// Within a transaction that was begun before, the two times differ.
const CHECK: &str = "SELECT 4207 AS answer, \
    now() = statement_timestamp() AND NOT pg_is_in_recovery() AS is_clean";

/// The time of day, in microseconds.
const CLOCK: &str = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)";

const TAKE_NUMBERS: &str = "UPDATE change_head SET seq = seq + $1 WHERE id = 1 RETURNING seq";

/// Any number of ours: the lock is of one database.
const MIGRATIONS: &str = "SELECT pg_advisory_xact_lock(7164789203)";

/// How long a change of a table waits for those who use it, before it lets them pass and tries
/// again.
const DDL_WAIT: &str = "SET LOCAL lock_timeout = '2s'";

/// How long a start waits for another that brings the tables up to date.
const MIGRATIONS_WAIT: Duration = Duration::from_mins(10);

/// A database on a server of PostgreSQL.
pub(super) struct Postgres {
    pools: Pools<sqlx::Postgres>,
    writers: DatabaseConnection,
    tail: String,
}

impl Postgres {
    /// Reaches the server, and refuses one that takes no writes.
    pub(super) async fn open(options: &Options) -> Result<Opened, OpenError> {
        let connect = connect_options(options)?;
        pools::first(&Session, options, &connect)
            .await?
            .close()
            .await
            .map_err(OpenError::Server)?;
        let pools = Pools::new(&Session, options, &connect);
        let connection =
            |pool: &sqlx::PgPool| SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        let (writers, readers) = (connection(&pools.writers), connection(&pools.readers));
        let tail = tail_statement(&TailOf {
            is_primary: "NOT pg_is_in_recovery()",
            clock: CLOCK,
            from: "$1",
        });
        let engine = Box::new(Self { pools, writers: writers.clone(), tail });
        Ok(Opened { engine, writers, readers })
    }
}

fn connect_options(options: &Options) -> Result<PgConnectOptions, OpenError> {
    let url = options.url.expose_secret();
    check_server_url(url, URL_OPTIONS)?;
    let connect =
        PgConnectOptions::from_str(url).map_err(|_| OpenError::BadUrl("it can't be read"))?;
    Ok(match options.statement_log {
        Some(level) => connect.log_statements(level),
        None => connect.disable_statement_logging(),
    })
}

#[derive(Debug, Clone, Copy)]
struct Session;

#[async_trait]
impl Server for Session {
    type Driver = sqlx::Postgres;

    async fn prepare(&self, connection: &mut PgConnection) -> Result<(), OpenError> {
        let standby: bool = connection
            .fetch_one("SELECT pg_is_in_recovery()")
            .await
            .and_then(|row| row.try_get(0))?;
        if standby {
            return Err(OpenError::Standby);
        }
        connection.execute(SESSION).await?;
        Ok(())
    }

    async fn is_clean(&self, connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
        let row = connection.fetch_one(CHECK).await?;
        Ok(row.try_get::<i32, _>("answer")? == 4207 && row.try_get::<bool, _>("is_clean")?)
    }
}

#[async_trait]
impl Engine for Postgres {
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
        let transaction = self.writers.begin().await?;
        self.allow_long(&transaction).await?;
        let wait = format!("SET LOCAL lock_timeout = {}", MIGRATIONS_WAIT.as_millis());
        transaction.execute_unprepared(&wait).await?;
        transaction.execute_unprepared(MIGRATIONS).await?;
        transaction.execute_unprepared(DDL_WAIT).await?;
        schema::bring_up_to_date(&transaction).await?;
        Ok(transaction.commit().await?)
    }

    async fn take_numbers(
        &self,
        transaction: &DatabaseTransaction,
        count: i64,
    ) -> Result<Option<i64>, DbErr> {
        let take =
            Statement::from_sql_and_values(DbBackend::Postgres, TAKE_NUMBERS, [count.into()]);
        let row = transaction.query_one_raw(take).await?;
        row.map(|row| row.try_get("", "seq")).transpose()
    }

    async fn allow_long(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr> {
        transaction.execute_unprepared("SET LOCAL statement_timeout = 0").await?;
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
