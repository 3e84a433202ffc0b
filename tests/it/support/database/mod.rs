//! A database of its own for each test: a file of SQLite, or one of a throwaway server that ends
//! with this process. Blocks; knows nothing of what is kept in it.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

mod admin;
mod keeper;
mod mariadb;
pub(crate) mod own;
pub(crate) mod pair;
mod postgres;
mod server;
mod sqlite;

use server::Server;

/// Names the database that tests run on: `sqlite` where it is unset, `postgres` or `mariadb`.
const KIND: &str = "TOKEND_TEST_DATABASE";

/// The name of a file of SQLite.
const FILE: &str = "tokend.db";

/// Which database a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
    Mariadb,
}

impl Kind {
    /// The one that this process tests. Where its programs are missing, says so and that SQLite
    /// takes its place; on CI that is a failure.
    pub(crate) fn of_this_run() -> Self {
        static KIND: OnceLock<Kind> = OnceLock::new();
        *KIND.get_or_init(Self::choose)
    }

    fn choose() -> Self {
        let asked = match std::env::var(KIND).ok().as_deref() {
            None | Some("" | "sqlite") => return Self::Sqlite,
            Some("postgres") => Self::Postgres,
            Some("mariadb") => Self::Mariadb,
            Some(other) => panic!("{KIND} is {other:?}: neither sqlite, postgres nor mariadb"),
        };
        let Err(missing) = asked.programs() else { return asked };
        assert!(std::env::var_os("CI").is_none(), "CI has to have {asked:?}: {missing}");
        // Past the capture of the test harness, which hides what a test that passes prints.
        let skipped = format!("SKIPPED {asked:?}: {missing}. These tests run on SQLite instead.\n");
        std::io::stderr().write_all(skipped.as_bytes()).expect("a place for words");
        Self::Sqlite
    }

    /// What a process that this one starts has to find in its environment, that it uses the same
    /// server.
    pub(crate) fn environment(self) -> Option<(&'static str, String)> {
        match self {
            Self::Sqlite => None,
            Self::Postgres | Self::Mariadb => Some((server::SERVER, Server::of(self).told())),
        }
    }

    /// Where the server's programs are, or which are not here.
    fn programs(self) -> Result<server::Programs, String> {
        match self {
            Self::Sqlite => Ok(server::Programs::default()),
            Self::Postgres => postgres::programs(),
            Self::Mariadb => mariadb::programs(),
        }
    }
}

/// A database. Dropped, it is gone.
pub(crate) struct Database {
    url: String,
    place: Place,
}

enum Place {
    Folder(TempDir),
    Server { name: String, server: &'static Server },
}

/// What a database began with, for others that begin with the same.
pub(crate) struct Template(Origin);

enum Origin {
    /// The files, by name.
    Files(BTreeMap<String, Vec<u8>>),
    /// The database, which nobody is connected to, and how to copy it.
    Server { database: Database, copy: admin::Copy },
}

impl Database {
    /// Makes an empty one.
    pub(crate) fn empty(kind: Kind) -> Self {
        match kind {
            Kind::Sqlite => Self::file(),
            Kind::Postgres | Kind::Mariadb => {
                let (name, server) = (new_name(), Server::of(kind));
                server.admin.create(&name);
                Self { url: server.url(&name), place: Place::Server { name, server } }
            }
        }
    }

    /// Makes room for a file.
    fn file() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join(FILE).display());
        Self { url, place: Place::Folder(folder) }
    }

    /// Makes one that is as the template is.
    pub(crate) fn copy(template: &Template) -> Self {
        match &template.0 {
            Origin::Files(files) => {
                let new = Self::file();
                let folder = new.folder().expect("a file is in a folder");
                for (name, bytes) in files {
                    write(&folder.join(name), bytes).expect("a file");
                }
                new
            }
            Origin::Server { copy, database: Self { place: Place::Server { server, .. }, .. } } => {
                let name = new_name();
                server.admin.copy(copy, &name);
                Self { url: server.url(&name), place: Place::Server { name, server } }
            }
            Origin::Server { .. } => unreachable!("a server's database is on a server"),
        }
    }

    /// Lets others begin as this one is, which nobody may be connected to from here on.
    pub(crate) fn into_template(self) -> Template {
        Template(match &self.place {
            Place::Folder(folder) => Origin::Files(files(folder.path())),
            Place::Server { name, server } => {
                Origin::Server { copy: server.admin.learn(name), database: self }
            }
        })
    }

    /// Where it is. On a server, it holds a password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn kind(&self) -> Kind {
        match &self.place {
            Place::Folder(_) => Kind::Sqlite,
            Place::Server { server, .. } => server.kind,
        }
    }

    /// The folder of the file, where it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder.path()),
            Place::Server { .. } => None,
        }
    }

    /// All that is kept: the files but the lock, or the rows of the tables.
    pub(crate) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        match &self.place {
            Place::Folder(folder) => files(folder.path()),
            Place::Server { name, server } => server.admin.contents(name),
        }
    }

    /// Runs a statement by one who may do everything, in the database.
    pub(crate) fn run(&self, statement: &str) {
        match &self.place {
            Place::Folder(folder) => sqlite::run(&folder.path().join(FILE), statement),
            Place::Server { name, server } => server.admin.run(name, statement),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Place::Server { name, server } = &self.place {
            server.sweeper.drop(name);
        }
    }
}

/// A name that no other process on the server takes.
fn new_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("tokend_{}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Writes a file that only its owner reads: what is secret is refused where others can.
fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// All files of a folder but the lock.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_none_or(|ending| ending != "lock"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a file"))
        })
        .collect()
}
