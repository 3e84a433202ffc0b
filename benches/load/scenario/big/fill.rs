//! Rows by the million, written straight into the file of a database that no server has open.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};

use crate::Result;

/// How many of a hundred are dead.
const DEAD: usize = 90;
/// How many rows one statement writes.
const BATCH: usize = 1_000_000;

/// The tables that are filled; their indexes are made anew behind the rows, in order.
const INDEXES: &str = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL \
                       AND tbl_name IN ('tokens', 'grants')";

/// A thousand times as many users as there were, so that none has more tokens than one would.
const USERS: &str = "
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < 99999)
    INSERT INTO users
    SELECT printf('01800000-0000-7000-8000-%012x', n), realm, 'row-' || n, 'row-' || n, '', NULL,
           state, generation, created_at, updated_at
    FROM numbers, (SELECT * FROM users WHERE username = 'user-0')";

/// Grants, each with one personal token. Of the dead the end is two days ago: they are removed in
/// time, but not yet.
const GRANTS: &str = "
    WITH RECURSIVE numbers(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2)
    INSERT INTO grants
    SELECT printf('01800000-0001-7000-8000-%012x', n),
           printf('01800000-0000-7000-8000-%012x', n % 100000), 1, ?3,
           CASE WHEN n % 100 < ?4 THEN ?5 END, NULL
    FROM numbers";

const TOKENS: &str = "
    WITH RECURSIVE numbers(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?2)
    INSERT INTO tokens (id, user_id, grant_id, display_name, profile, kind, digest, key_id,
                        created_at, expires_at)
    SELECT printf('01800000-0002-7000-8000-%012x', n),
           printf('01800000-0000-7000-8000-%012x', n % 100000),
           printf('01800000-0001-7000-8000-%012x', n), '', profile, kind, randomblob(32), key_id, ?3,
           CASE WHEN n % 100 < ?4 THEN ?5 END
    FROM numbers, (SELECT profile, kind, key_id FROM tokens WHERE profile = 'personal' LIMIT 1)";

const REVOCATIONS: &str = "
    WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < ?1)
    INSERT INTO revocations
    SELECT 'grant', printf('01800000-0003-7000-8000-%012x', n),
           printf('01800000-0003-7000-8000-%012x', n), ?2
    FROM numbers";

const NOW: &str = "SELECT CAST(strftime('%s', 'now') AS INTEGER) * 1000000";
const DAY: i64 = 24 * 3600 * 1_000_000;

/// Adds so many tokens, of which nine of ten are over.
pub(super) fn add_tokens(database: &Path, rows: usize) -> Result<()> {
    run(async {
        let mut file = open(database).await?;
        let now: i64 = sqlx::query(NOW).fetch_one(&mut file).await?.try_get(0)?;
        let indexes = file.fetch_all(INDEXES).await?;
        for index in &indexes {
            let drop = format!("DROP INDEX {}", index.try_get::<String, _>("name")?);
            file.execute(AssertSqlSafe(drop)).await?;
        }
        file.execute(USERS).await?;
        for start in (0..rows).step_by(BATCH) {
            let end = rows.min(start + BATCH);
            for statement in [GRANTS, TOKENS] {
                sqlx::query(statement)
                    .bind(i64::try_from(start)?)
                    .bind(i64::try_from(end)?)
                    .bind(now - 3 * DAY)
                    .bind(i64::try_from(DEAD)?)
                    .bind(now - 2 * DAY)
                    .execute(&mut file)
                    .await?;
            }
        }
        for index in &indexes {
            file.execute(AssertSqlSafe(index.try_get::<String, _>("sql")?)).await?;
        }
        close(file).await
    })
}

/// Adds so many revocations of grants.
pub(super) fn add_revocations(database: &Path, rows: usize) -> Result<()> {
    run(async {
        let mut file = open(database).await?;
        let now: i64 = sqlx::query(NOW).fetch_one(&mut file).await?.try_get(0)?;
        let add = sqlx::query(REVOCATIONS).bind(i64::try_from(rows)?).bind(now + 30 * DAY);
        add.execute(&mut file).await?;
        close(file).await
    })
}

fn run(work: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Opens it as nothing but a bench may: a power cut would leave a wreck.
async fn open(database: &Path) -> Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(database)
        .foreign_keys(false)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-1000000");
    Ok(SqliteConnection::connect_with(&options).await?)
}

async fn close(mut file: SqliteConnection) -> Result<()> {
    file.execute("PRAGMA journal_mode = WAL").await?;
    Ok(file.close().await?)
}
