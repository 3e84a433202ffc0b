//! Who may do everything on a server: a thread with a connection of its own, for a test's runtime
//! ends with the test.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Error, Row as _};
use tokio::runtime::{Builder, Runtime};

use super::Kind;

/// Who uses the databases, and may use nothing else.
pub(super) const USER: &str = "tokend";

const ADMIN: &str = "admin";
const HOST: &str = "127.0.0.1";

type Task = Box<dyn FnOnce(&Runtime, &Door, &mut Link) + Send>;

/// Makes databases and drops them, one after another.
pub(super) struct Admin(Sender<Task>);

/// How to copy a database.
#[derive(Clone)]
pub(super) enum Copy {
    /// By its name.
    Template(String),
    /// By statements, which the name of the copy stands before.
    Statements(String),
}

/// Where the administrator signs in.
#[derive(Clone)]
enum Door {
    Postgres(PgConnectOptions),
    Mariadb(MySqlConnectOptions),
}

/// A connection.
enum Link {
    Postgres(PgConnection),
    Mariadb(MySqlConnection),
}

impl Door {
    fn new(kind: Kind, port: u16, password: &str) -> Self {
        match kind {
            Kind::Sqlite => panic!("SQLite has no users"),
            Kind::Postgres => {
                let options = PgConnectOptions::new_without_pgpass().host(HOST).port(port);
                let options = options.username(ADMIN).password(password).database("postgres");
                Self::Postgres(options.disable_statement_logging())
            }
            Kind::Mariadb => {
                let options = MySqlConnectOptions::new().host(HOST).port(port);
                let options = options.username(ADMIN).password(password).database("mysql");
                Self::Mariadb(options.disable_statement_logging())
            }
        }
    }

    /// The way to another database.
    fn to(self, database: &str) -> Self {
        match self {
            Self::Postgres(options) => Self::Postgres(options.database(database)),
            Self::Mariadb(options) => Self::Mariadb(options.database(database)),
        }
    }

    async fn open(&self) -> Result<Link, Error> {
        Ok(match self {
            Self::Postgres(options) => Link::Postgres(options.connect().await?),
            Self::Mariadb(options) => Link::Mariadb(options.connect().await?),
        })
    }
}

impl Link {
    /// Runs statements that answer nothing.
    async fn run(&mut self, statements: impl Into<String>) -> Result<(), Error> {
        let statements = sqlx::raw_sql(AssertSqlSafe(statements.into()));
        match self {
            Self::Postgres(link) => statements.execute(link).await.map(drop),
            Self::Mariadb(link) => statements.execute(link).await.map(drop),
        }
    }

    /// All values that a query answers, row by row, as their bytes.
    async fn read(&mut self, query: impl Into<String>) -> Result<Vec<Vec<Vec<u8>>>, Error> {
        let query = AssertSqlSafe(query.into());
        Ok(match self {
            Self::Postgres(link) => {
                let rows = sqlx::query(query).fetch_all(link).await?;
                rows.iter().map(|row| values(row.len(), |at| row.get_unchecked(at))).collect()
            }
            Self::Mariadb(link) => {
                let rows = sqlx::query(query).fetch_all(link).await?;
                rows.iter().map(|row| values(row.len(), |at| row.get_unchecked(at))).collect()
            }
        })
    }

    /// The same, as text, row after row.
    async fn words(&mut self, query: impl Into<String>) -> Result<Vec<String>, Error> {
        let values = self.read(query).await?.into_iter().flatten();
        Ok(values.map(|value| String::from_utf8(value).expect("text")).collect())
    }

    /// What stands around a name that may be a word of the language.
    fn quote(&self) -> char {
        match self {
            Self::Postgres(_) => '"',
            Self::Mariadb(_) => '`',
        }
    }

    async fn tables(&mut self) -> Result<Vec<String>, Error> {
        let schema = match self {
            Self::Postgres(_) => "current_schema()",
            Self::Mariadb(_) => "DATABASE()",
        };
        let query = "SELECT table_name FROM information_schema.tables WHERE table_schema =";
        self.words(format!("{query} {schema} ORDER BY table_name")).await
    }

    async fn close(self) -> Result<(), Error> {
        match self {
            Self::Postgres(link) => link.close().await,
            Self::Mariadb(link) => link.close().await,
        }
    }
}

fn values(count: usize, value: impl Fn(usize) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
    (0..count).map(|at| value(at).unwrap_or_default()).collect()
}

impl Admin {
    /// Signs in.
    pub(super) fn connect(kind: Kind, port: u16, password: &str) -> Self {
        let (sender, tasks) = channel::<Task>();
        let door = Door::new(kind, port, password);
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
            let mut link = runtime.block_on(door.open()).expect("a server that serves");
            for task in tasks {
                task(&runtime, &door, &mut link);
            }
        });
        Self(sender)
    }

    /// Has something done, behind all that was asked for before.
    fn ask<T: Send + 'static>(
        &self,
        task: impl AsyncFnOnce(&Door, &mut Link) -> Result<T, Error> + Send + 'static,
    ) -> Receiver<Result<T, Error>> {
        let (sender, answer) = channel();
        let task: Task = Box::new(move |runtime, door, link| {
            // Who asked may not wait for the answer.
            drop(sender.send(runtime.block_on(task(door, link))));
        });
        self.0.send(task).expect("the administrator is there");
        answer
    }

    /// The same, and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        task: impl AsyncFnOnce(&Door, &mut Link) -> Result<T, Error> + Send + 'static,
    ) -> T {
        let done = self.ask(task).recv().expect("the administrator is there");
        done.expect("an administrator may do it")
    }

    /// Makes the user of all databases.
    pub(super) fn make_user(&self, password: &str) {
        let password = password.to_owned();
        self.wait(async move |_, link| {
            let statements = match link {
                Link::Postgres(_) => format!("CREATE ROLE {USER} LOGIN PASSWORD '{password}'"),
                Link::Mariadb(_) => format!(
                    "CREATE USER {USER}@{HOST} IDENTIFIED BY '{password}';
                     GRANT ALL ON `{USER}\\_%`.* TO {USER}@{HOST}"
                ),
            };
            link.run(statements).await
        });
    }

    /// Makes an empty database.
    pub(super) fn create(&self, name: &str) {
        let name = name.to_owned();
        self.wait(async move |_, link| {
            let owner = match link {
                Link::Postgres(_) => format!(" OWNER {USER}"),
                Link::Mariadb(_) => String::new(),
            };
            link.run(format!("CREATE DATABASE {name}{owner}")).await
        });
    }

    /// Finds out how to copy a database, which nobody may be connected to from here on.
    pub(super) fn learn(&self, name: &str) -> Copy {
        let name = name.to_owned();
        self.wait(async move |door, link| {
            if let Link::Postgres(_) = link {
                return Ok(Copy::Template(name));
            }
            let mut there = door.clone().to(&name).open().await?;
            let mut statements = vec!["SET foreign_key_checks = 0".to_owned()];
            for table in there.tables().await? {
                let made = there.words(format!("SHOW CREATE TABLE `{table}`")).await?;
                statements.extend(made.last().cloned());
                statements.push(format!("INSERT INTO `{table}` SELECT * FROM {name}.`{table}`"));
            }
            there.close().await?;
            statements.push("SET foreign_key_checks = 1".to_owned());
            Ok(Copy::Statements(statements.join(";")))
        })
    }

    /// Makes a database as another one is.
    pub(super) fn copy(&self, copy: &Copy, name: &str) {
        let statements = match copy {
            // Several times as quick as by way of the log.
            Copy::Template(template) => format!(
                "CREATE DATABASE {name} OWNER {USER} TEMPLATE {template} STRATEGY file_copy"
            ),
            Copy::Statements(rest) => format!("CREATE DATABASE {name}; USE {name}; {rest}"),
        };
        self.wait(async move |_, link| link.run(statements).await);
    }

    /// Drops a database, though somebody may still be connected to it. Does not wait for it, and
    /// what does not go now goes with the server.
    pub(super) fn drop(&self, name: &str) {
        let name = name.to_owned();
        drop(self.ask(async move |_, link| {
            let statements = match link {
                Link::Postgres(_) => format!("DROP DATABASE {name} WITH (FORCE)"),
                Link::Mariadb(_) => {
                    format!("SET STATEMENT lock_wait_timeout = 2 FOR DROP DATABASE {name}")
                }
            };
            link.run(statements).await
        }));
    }

    /// Runs statements in a database.
    pub(super) fn run(&self, name: &str, statements: &str) {
        let (name, statements) = (name.to_owned(), statements.to_owned());
        self.wait(async move |door, _| {
            let mut there = door.clone().to(&name).open().await?;
            there.run(statements).await?;
            there.close().await
        });
    }

    /// Answers all values of a query in a database, as text.
    pub(super) fn words(&self, name: &str, query: &str) -> Vec<String> {
        let (name, query) = (name.to_owned(), query.to_owned());
        self.wait(async move |door, _| {
            let mut there = door.clone().to(&name).open().await?;
            let words = there.words(query).await?;
            there.close().await?;
            Ok(words)
        })
    }

    /// Reads all rows of all tables of a database.
    pub(super) fn contents(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let name = name.to_owned();
        self.wait(async move |door, _| {
            let mut there = door.clone().to(&name).open().await?;
            let mut contents = BTreeMap::new();
            for table in there.tables().await? {
                let quote = there.quote();
                let rows = there.read(format!("SELECT * FROM {quote}{table}{quote}")).await?;
                let rows: Vec<_> = rows.into_iter().map(|row| row.join(&b'\t')).collect();
                contents.insert(table, rows.join(&b'\n'));
            }
            there.close().await?;
            Ok(contents)
        })
    }
}
