//! What the store asks of each database, and which one a URL chooses.

use std::sync::Arc;

use async_trait::async_trait;
use sea_orm::{DatabaseConnection, DatabaseTransaction, DbErr, QueryResult, TransactionOptions};
use secrecy::ExposeSecret as _;

use super::commits::Commits;
use super::mariadb::MariaDb;
use super::postgres::Postgres;
use super::sqlite::Sqlite;
use super::{Connections, OpenError, Options};

/// How many changes a page holds.
pub(super) const PAGE: usize = 512;

/// How many shared transactions of one kind a server is sent at once: while one waits for a lock
/// of someone else, the others go on.
pub(super) const LEADERS: usize = 2;

/// How many dead rows of a sort a server removes at once.
pub(super) const BATCH: u32 = 500;

/// What differs from one database to the other.
#[async_trait]
pub(super) trait Engine: Send + Sync {
    /// How a transaction begins that will write.
    fn write_options(&self) -> TransactionOptions;

    /// How many shared transactions of one kind are under way at once.
    fn leaders(&self) -> usize;

    /// How many dead rows of a sort one transaction removes at most.
    fn batch(&self) -> u32;

    /// How a transaction begins that only reads, all of one moment.
    fn read_options(&self) -> TransactionOptions;

    /// Brings the tables up to date, and keeps out whoever else would.
    async fn migrate(&self) -> Result<(), OpenError>;

    /// Takes the next numbers of changes, which locks the head of the changes until the end of the
    /// transaction. Answers the last of them; `None`: there is no head.
    async fn take_numbers(
        &self,
        transaction: &DatabaseTransaction,
        count: i64,
    ) -> Result<Option<i64>, DbErr>;

    /// Lets the statements of a transaction take as long as they need.
    async fn allow_long(&self, transaction: &DatabaseTransaction) -> Result<(), DbErr>;

    /// The database's own time of day, in microseconds, as an expression.
    fn clock(&self) -> &'static str;

    /// Reads a page of the changes from a number on by [`tail_statement`], on a connection of its
    /// own. One that was left midway is not used again.
    async fn read_changes(&self, from: i64) -> Result<Vec<QueryResult>, DbErr>;

    /// Counts the connections of each sort.
    fn connections(&self) -> [Connections; 3];

    /// Closes all connections, once what is under way has ended.
    async fn close(&self);
}

/// An open database.
pub(super) struct Opened {
    /// What is its own.
    pub(super) engine: Box<dyn Engine>,
    /// The connections that write.
    pub(super) writers: DatabaseConnection,
    /// Those that read.
    pub(super) readers: DatabaseConnection,
}

/// Which database a URL names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    Sqlite,
    /// A server.
    Postgres,
    /// A server of MariaDB, or of MySQL.
    MariaDb,
}

impl Kind {
    /// Reads the scheme of a URL.
    ///
    /// # Errors
    /// [`OpenError::UnknownScheme`]: there is none, or it is of another database.
    pub fn of(url: &str) -> Result<Self, OpenError> {
        match url.split_once("://").map(|(scheme, _)| scheme) {
            Some("sqlite") => Ok(Self::Sqlite),
            Some("postgres" | "postgresql") => Ok(Self::Postgres),
            Some("mariadb" | "mysql") => Ok(Self::MariaDb),
            Some(_) | None => Err(OpenError::UnknownScheme),
        }
    }
}

/// Opens the database that the URL names.
pub(super) async fn open(options: &Options, commits: &Arc<Commits>) -> Result<Opened, OpenError> {
    match Kind::of(options.url.expose_secret())? {
        Kind::Sqlite => Sqlite::open(options, commits).await,
        Kind::Postgres => Postgres::open(options).await,
        Kind::MariaDb => MariaDb::open(options).await,
    }
}

/// What a database says in the one statement of the tail, as expressions.
pub(super) struct TailOf<'a> {
    /// Whether it takes writes.
    pub(super) is_primary: &'a str,
    /// Its own time of day, in microseconds.
    pub(super) clock: &'a str,
    /// The parameter: the number that the page begins with.
    pub(super) from: &'a str,
}

/// The one statement of the tail: the terms, the database's time and whether this server takes
/// writes in every row, and a change where there is one.
pub(super) fn tail_statement(of: &TailOf<'_>) -> String {
    let TailOf { is_primary, clock, from } = of;
    format!(
        "SELECT head.max_lease_ms, head.serve_stale_ms, {is_primary} AS is_primary, \
         {clock} AS clock, page.seq, \
         page.nonce, page.kind, page.key, page.until, page.committed_at \
         FROM change_head AS head LEFT JOIN (\
         SELECT one.seq, one.nonce, one.kind, one.key, one.until, one.committed_at \
         FROM changes AS one WHERE one.seq >= {from} ORDER BY one.seq LIMIT {PAGE}\
         ) AS page ON 1 = 1 WHERE head.id = 1 ORDER BY page.seq"
    )
}

/// Refuses a URL of a server that would undo what is set on purpose, or send a password elsewhere.
/// Never says what it holds.
pub(super) fn check_server_url(
    url: &str,
    options: &'static [&'static str],
) -> Result<(), OpenError> {
    let (_, rest) = url.split_once("://").ok_or(OpenError::UnknownScheme)?;
    // Behind a raw `#` the rest would be dropped in silence.
    if rest.contains('#') {
        return Err(OpenError::BadUrl("a `#` in it is written %23"));
    }
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if place.rsplit_once('/').is_none_or(|(_, name)| name.is_empty()) {
        return Err(OpenError::BadUrl("it must end with the name of the database"));
    }
    let unknown =
        |pair: &str| !options.contains(&pair.split_once('=').map_or(pair, |(name, _)| name));
    if query.split('&').filter(|pair| !pair.is_empty()).any(unknown) {
        return Err(OpenError::UnknownUrlOption(options));
    }
    Ok(())
}
