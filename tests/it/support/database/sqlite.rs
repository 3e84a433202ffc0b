//! A statement in a file of SQLite.

use std::path::Path;
use std::thread;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error};
use tokio::runtime::Builder;

/// Runs a statement, in a thread of its own: a test's runtime may be the one that waits.
pub(super) fn run(file: &Path, statement: &str) {
    let options = SqliteConnectOptions::new()
        .filename(file)
        // SQLite does not queue those who wait: on a busy machine a server may write meanwhile.
        .busy_timeout(Duration::from_mins(1))
        .disable_statement_logging();
    let statement = sqlx::raw_sql(AssertSqlSafe(statement.to_owned()));
    let run = async {
        let mut link: SqliteConnection = options.connect().await?;
        statement.execute(&mut link).await?;
        link.close().await
    };
    let done: Result<(), Error> = thread::scope(|scope| {
        let thread = scope.spawn(|| {
            Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(run)
        });
        thread.join().expect("no panic")
    });
    done.expect("the owner of a file may do it");
}
