//! Tests that must be alone in a process, for what they look at is the process's own: statements
//! run on the driver's threads, where no test can be told from another.

use std::fmt::Write as _;
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::{Layer, Registry};

use super::database::Kind;

/// Set in the process that is for one test.
const CHILD: &str = "TOKEND_TEST_ALONE";
/// Where the driver tells of each statement.
const STATEMENTS: &str = "sqlx::query";

/// Statements that are of no call: the tail's, which is read all the time where there may be other
/// replicas; uses, written from time to time; whether the database can be read and written, which is
/// looked at every few seconds; the check of a connection that is given back; what sets up a new one.
/// And where transactions begin and end, for none of them is told from another.
const BACKGROUND: [&str; 11] = [
    " FROM change_head AS head LEFT JOIN (",
    "=UPDATE \"tokens\" SET \"last_used_at\" ",
    " FROM \"changes\" ORDER BY \"changes\".\"seq\" DESC ",
    "=INSERT INTO \"meta\" ",
    "=SELECT 4207 AS answer, ",
    "=PRAGMA synchronous = FULL ",
    "=SELECT pg_is_in_recovery() ",
    "@@GLOBAL.innodb_flush_log_at_trx_commit",
    "=SET ",
    "=BEGIN",
    "=COMMIT ",
];

/// What the process said.
static LOG: OnceLock<Arc<Log>> = OnceLock::new();

/// All log lines of this process, at TRACE, and how many statements the driver ran.
#[derive(Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<String>>,
    statements: watch::Sender<Vec<String>>,
}

/// Runs the test named `test` in a process of its own, which comes to this very line and goes on
/// behind it: `let Some(log) = alone("reads::does_this") else { return };`.
pub(crate) fn alone(test: &str) -> Option<Arc<Log>> {
    is_alone(test).then(|| Arc::clone(LOG.get_or_init(listen)))
}

/// The same without a log, for what is measured: `if !is_alone("reads::does_this") { return }`.
pub(crate) fn is_alone(test: &str) -> bool {
    if std::env::var(CHILD).is_ok_and(|name| name == test) {
        return true;
    }
    let output = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD, test)
        .envs(Kind::of_this_run().environment())
        .output()
        .expect("a process");
    let said = String::from_utf8_lossy(&output.stdout);
    let cause = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{test}:\n{said}\n{cause}");
    assert!(said.contains("1 passed"), "there is no test {test}:\n{said}");
    false
}

/// The level at which the driver tells of statements: only to a test that is alone.
pub(super) fn statement_log() -> Option<log::LevelFilter> {
    LOG.get().map(|_| log::LevelFilter::Info)
}

fn listen() -> Arc<Log> {
    let log = Arc::new(Log::default());
    let subscriber = Registry::default().with(Capture(Arc::clone(&log)));
    tracing::subscriber::set_global_default(subscriber).expect("the first");
    log
}

impl Log {
    /// The statements that the driver ran since `from` of them.
    pub(crate) fn statements_since(&self, from: usize) -> Vec<String> {
        self.statements.borrow().iter().skip(from).cloned().collect()
    }

    /// How many statements the driver ran.
    pub(crate) fn count(&self) -> usize {
        self.statements.borrow().len()
    }

    /// Waits until what the driver ran is so.
    pub(crate) async fn wait_until(&self, is_so: impl Fn(&[String]) -> bool) {
        let mut statements = self.statements.subscribe();
        statements.wait_for(|all| is_so(all)).await.expect("it is never dropped");
    }

    /// All lines, of events and of spans.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("nobody panics with it").clone()
    }

    fn push(&self, metadata: &Metadata<'_>, fields: impl FnOnce(&mut Line)) {
        let mut line = Line(format!("{} {}", metadata.level(), metadata.target()));
        fields(&mut line);
        if metadata.target() == STATEMENTS {
            // MariaDB quotes in its own way.
            let statement = line.0.replace('`', "\"");
            if !BACKGROUND.iter().any(|known| statement.contains(known)) {
                self.statements.send_modify(|statements| statements.push(statement));
            }
        }
        self.lines.lock().expect("nobody panics with it").push(line.0);
    }
}

/// One line, field by field.
struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        write!(self.0, " {field}={value}").expect("memory");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {field}={value:?}").expect("memory");
    }
}

struct Capture(Arc<Log>);

impl<S: Subscriber> Layer<S> for Capture {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.push(attributes.metadata(), |line| attributes.record(line));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        let mut line = Line(String::new());
        values.record(&mut line);
        self.0.lines.lock().expect("nobody panics with it").push(line.0);
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.push(event.metadata(), |line| event.record(line));
    }
}
