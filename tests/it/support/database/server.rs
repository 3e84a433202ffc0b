//! The server of this process, which is started when the first test asks for it.

use std::fs::File;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;

use super::admin::{Admin, USER};
use super::keeper::{Kept, Plan};
use super::{Kind, mariadb, postgres};

/// Where another process's server is, for those that it starts: `port password`.
pub(super) const SERVER: &str = "TOKEND_TEST_SERVER";

/// How often a port may be taken by another between its choice and its use.
const TRIES: u32 = 5;

/// The programs of a server, by the names that its shell functions have for them.
#[derive(Default)]
pub(super) struct Programs(pub(super) Vec<(&'static str, PathBuf)>);

impl Programs {
    /// With something else that the shell functions find.
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.0.push((name, value.into()));
        self
    }
}

/// A server of databases.
pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) port: u16,
    pub(super) password: String,
    pub(super) admin: Admin,
    /// Another who only drops databases: PostgreSQL takes its time where somebody is connected.
    pub(super) sweeper: Admin,
    /// `None`: it is another process's.
    kept: Option<Kept>,
}

impl Server {
    /// The server of this process.
    pub(super) fn of(kind: Kind) -> &'static Self {
        static OURS: OnceLock<Server> = OnceLock::new();
        OURS.get_or_init(|| match std::env::var(SERVER) {
            Ok(there) => Self::of_another(kind, &there),
            Err(_) => Self::start(kind, ""),
        })
    }

    fn of_another(kind: Kind, there: &str) -> Self {
        let (port, password) = there.split_once(' ').expect("a port and a password");
        let (port, password) = (port.parse().expect("a port"), password.to_owned());
        Self::new(kind, (port, password), None)
    }

    fn new(kind: Kind, (port, password): (u16, String), kept: Option<Kept>) -> Self {
        let [admin, sweeper] = [(); 2].map(|()| Admin::connect(kind, port, &password));
        Self { kind, port, password, admin, sweeper, kept }
    }

    /// Starts one; `words` are more of the command line of MariaDB.
    pub(super) fn start(kind: Kind, words: &str) -> Self {
        let server = Self::start_by(kind, password(), |programs, port, password| match kind {
            Kind::Sqlite => panic!("SQLite has no server"),
            Kind::Postgres => postgres::plan(programs, port, password),
            Kind::Mariadb => mariadb::plan(programs.with("WORDS", words), port, password),
        });
        server.admin.make_user(&server.password);
        server
    }

    /// Starts one by a plan of its programs, its port and its password.
    pub(super) fn start_by(
        kind: Kind,
        password: String,
        plan: impl for<'a> Fn(Programs, u16, &'a str) -> Plan<'a>,
    ) -> Self {
        for _ in 0..TRIES {
            let port = free_port();
            let programs = kind.programs().expect("they were found before");
            match Kept::start(&plan(programs, port, &password)) {
                Ok(kept) => return Self::new(kind, (port, password), Some(kept)),
                Err(said) if said.contains("Address already in use") => {}
                Err(said) => panic!("{kind:?} does not start:\n{said}"),
            }
        }
        panic!("no port stays free for {kind:?}")
    }

    /// What runs it, where that is this process.
    pub(super) fn keeper(&mut self) -> &mut Kept {
        self.kept.as_mut().expect("it is of this process")
    }

    /// What a process that this one starts finds in [`SERVER`].
    pub(super) fn told(&self) -> String {
        format!("{} {}", self.port, self.password)
    }

    /// Where a database of it is, for one who may use no other.
    pub(super) fn url(&self, name: &str) -> String {
        let scheme = match self.kind {
            Kind::Sqlite => panic!("SQLite has no server"),
            Kind::Postgres => "postgres",
            Kind::Mariadb => "mysql",
        };
        format!("{scheme}://{USER}:{}@127.0.0.1:{}/{name}", self.password, self.port)
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}

/// A password that other users of this machine don't guess.
pub(super) fn password() -> String {
    let mut bytes = [0; 16];
    let mut source = File::open("/dev/urandom").expect("randomness");
    source.read_exact(&mut bytes).expect("randomness");
    format!("{:032x}", u128::from_ne_bytes(bytes))
}

/// Finds a program on the path, or in one of the folders.
pub(super) fn find(name: &str, folders: &[PathBuf]) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).chain(folders.iter().cloned());
    let found = places.find_map(|folder| Some(folder.join(name)).filter(|it| it.is_file()));
    found.ok_or_else(|| format!("{name} is neither on the path nor in {folders:?}"))
}
