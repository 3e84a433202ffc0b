//! The settings: what each is for, its default, and how all of them are read.
//!
//! A setting is a field here. `tokend.example.toml` shows each with its default.

mod check;
mod leaf;
mod load;
mod profiles;
mod recipe;
mod rest;
mod sign_in;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use load::{Fault, Faults, Sources};
pub use profiles::{
    AlgorithmWord, ClaimsWord, FormatWord, IdWord, KindWord, ProfileSettings, RefreshWord,
};
pub use rest::{Apinizer, Azion, Epilot, Harperdb, Magento, Rest};
pub use sign_in::{Lockout, Passwords, ProfileLockout, SignIn};
pub use text::Lifetime;

use text::words;

/// For how long all is still served after a shutdown was asked for, where that is not set: the proxy
/// of `deploy/` has noticed after three seconds.
const DELAY: Duration = Duration::from_secs(5);

/// All settings of a process.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Settings {
    /// Realms beside `default` and those that profiles name.
    #[serde(deserialize_with = "text::list")]
    pub realms: Vec<String>,
    /// The gRPC listener.
    pub grpc: Grpc,
    /// The HTTP listener, which speaks the dialects.
    pub rest: Rest,
    /// The listener for probes and metrics.
    pub management: Management,
    /// What clients may take of the process.
    pub limits: Limits,
    /// The database.
    pub database: Database,
    /// How this process keeps in step with others on the same database.
    pub replica: Replica,
    /// How much is kept in memory.
    pub facts: Facts,
    /// The key that seals the others.
    pub keys: Keys,
    /// The first user.
    pub bootstrap: Bootstrap,
    /// What all tokens say.
    pub tokens: Tokens,
    /// Who may ask for a decision.
    pub authorize: Authorize,
    /// How passwords are hashed.
    pub passwords: Passwords,
    /// How sign-ins are held back.
    pub sign_in: SignIn,
    /// What is removed in time.
    pub upkeep: Upkeep,
    /// What is logged, and how.
    pub log: Log,
    /// How the process ends.
    pub shutdown: Shutdown,
    /// The profiles: those at the start, each with what was set of it, and those added.
    pub profiles: BTreeMap<String, ProfileSettings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            realms: Vec::new(),
            grpc: Grpc::default(),
            rest: Rest::default(),
            management: Management::default(),
            limits: Limits::default(),
            database: Database::default(),
            replica: Replica::default(),
            facts: Facts::default(),
            keys: Keys::default(),
            bootstrap: Bootstrap::default(),
            tokens: Tokens::default(),
            authorize: Authorize::default(),
            passwords: Passwords::default(),
            sign_in: SignIn::default(),
            upkeep: Upkeep::default(),
            log: Log::default(),
            shutdown: Shutdown::default(),
            profiles: profiles::built_in(),
        }
    }
}

impl Settings {
    /// Writes the settings as TOML, with `[hidden]` for each secret.
    #[must_use]
    pub fn show(&self) -> String {
        toml::to_string(self).unwrap_or_else(|fault| format!("# not shown: {fault}\n"))
    }
}

words! {
    /// What answers gRPC calls.
    Runtime {
        /// Threads of their own, each with connections of its own: none of them does what could
        /// keep a check waiting.
        PerCore = "per_core",
        /// The threads that do everything else, too.
        Shared = "shared",
    }
}

/// The gRPC listener.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Grpc {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Networks whose callers are believed when they name their client's address.
    #[serde(deserialize_with = "text::list")]
    pub trusted_peers: Vec<IpNet>,
    /// Whether callers may ask for the contract.
    pub reflection: bool,
    /// The longest that a call may take; a caller's own deadline may be shorter.
    #[serde(with = "text::duration")]
    pub max_deadline: Duration,
    /// The largest request message, in bytes. One of `PutRole` may have 256 KiB in any case.
    pub max_request_bytes: usize,
    /// How many connections may be open.
    pub max_connections: usize,
    /// How many calls one connection may have open.
    pub max_concurrent_streams: u32,
    /// How long a connection may be open without a call.
    #[serde(with = "text::duration")]
    pub idle_timeout: Duration,
    /// `per_core` or `shared`.
    pub runtime: Runtime,
    /// How many threads answer calls where each has a core; 0: one for each core.
    pub cores: usize,
}

impl Default for Grpc {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 50051)),
            trusted_peers: Vec::new(),
            reflection: true,
            max_deadline: Duration::from_secs(30),
            max_request_bytes: 64 * 1024,
            max_connections: 2048,
            max_concurrent_streams: 200,
            idle_timeout: Duration::from_mins(15),
            runtime: Runtime::PerCore,
            cores: 0,
        }
    }
}

/// The listener for probes and metrics.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Management {
    /// Whether there is one.
    pub enabled: bool,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How many connections may be open.
    pub max_connections: usize,
}

impl Default for Management {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 9090));
        Self { enabled: true, listen, max_connections: 64 }
    }
}

/// What clients may take of the process: of gRPC and HTTP together.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Limits {
    /// How many connections of one address may be open at a listener, or of one /64 of IPv6.
    /// `grpc.trusted_peers`, `rest.trusted_proxies`, `127.0.0.1` and `::1` have no such limit.
    pub connections_per_address: usize,
    /// How much memory requests may hold until they are answered. One address has a quarter of it,
    /// one connection a sixteenth.
    #[serde(with = "text::size")]
    pub request_memory: usize,
    /// How long the body of a request may take to arrive.
    #[serde(with = "text::duration")]
    pub body_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_per_address: 128,
            request_memory: 32 << 20,
            body_timeout: Duration::from_secs(10),
        }
    }
}

/// The database.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Database {
    /// Where it is. `url_file` names a file that holds it.
    #[serde(with = "text::database_url")]
    pub url: SecretString,
    /// How many connections read at once.
    pub readers: u32,
    /// How many connections write at once. SQLite has one.
    pub writers: u32,
    /// How many writes that arrive together share a transaction at most; with 1, none does.
    pub group: usize,
    /// How long a call waits for a connection, and a start for the server.
    #[serde(with = "text::duration")]
    pub connection_wait: Duration,
    /// How long a start waits for the process that holds the database. SQLite's alone.
    #[serde(with = "text::duration")]
    pub lock_wait: Duration,
}

impl Default for Database {
    fn default() -> Self {
        Self {
            url: "sqlite://tokend.db".into(),
            readers: 4,
            writers: 8,
            group: 256,
            connection_wait: Duration::from_secs(5),
            lock_wait: Duration::from_secs(5),
        }
    }
}

words! {
    /// What is done when the lease is over and the database does not answer.
    DatabaseLoss {
        /// Checks are refused.
        Refuse = "refuse",
        /// Checks are answered from what is known, for a while.
        ServeStale = "serve_stale",
    }
}

/// How a process keeps in step with others on the same database. On SQLite there are none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Replica {
    /// How long it answers from memory without having asked the database; a revocation takes a
    /// quarter longer.
    #[serde(with = "text::duration")]
    pub lease: Duration,
    /// `refuse`, or `serve_stale`: revocations are not strict then.
    pub database_loss: DatabaseLoss,
    /// How old what it knows may become while it serves stale.
    #[serde(with = "text::duration")]
    pub stale_for: Duration,
    /// How far its wall clock may be from the database's before it says so. On SQLite, too.
    #[serde(with = "text::duration")]
    pub clock_leeway: Duration,
}

impl Default for Replica {
    fn default() -> Self {
        Self {
            lease: Duration::from_millis(200),
            database_loss: DatabaseLoss::Refuse,
            stale_for: Duration::from_mins(5),
            clock_leeway: Duration::from_secs(5),
        }
    }
}

/// How much memory is given to what was read from the database, or proven. What is not kept is read
/// again, or verified again.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Facts {
    /// For opaque tokens and their grants: about 220 bytes for both.
    #[serde(with = "text::size")]
    pub tokens: usize,
    /// For verified JWTs: about 260 bytes each.
    #[serde(with = "text::size")]
    pub jwts: usize,
    /// For users and roles: about 0.5 KiB for a user of three roles, and 0.1 KiB for each
    /// permission of a role.
    #[serde(with = "text::size")]
    pub users: usize,
}

impl Default for Facts {
    fn default() -> Self {
        Self { tokens: 256 << 20, jwts: 64 << 20, users: 64 << 20 }
    }
}

/// The key that seals the others.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Keys {
    /// 32 random bytes in base64; unset on SQLite: the file `<database>.key`, made at the first
    /// start. `master_key_file` names a file that holds it.
    #[serde(with = "text::secret", skip_serializing_if = "Option::is_none")]
    pub master_key: Option<SecretString>,
}

/// The first user.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Bootstrap {
    /// Its name.
    pub username: String,
    /// Its password; unset: a random one, printed once. `password_file` names a file that holds it.
    #[serde(with = "text::secret", skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { username: "admin".to_owned(), password: None }
    }
}

/// What all tokens say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Tokens {
    /// The `iss` of JWTs.
    pub issuer: String,
    /// The `aud` of JWTs.
    pub audience: String,
}

impl Default for Tokens {
    fn default() -> Self {
        Self { issuer: "tokend".to_owned(), audience: "tokend".to_owned() }
    }
}

words! {
    /// Who may ask for a decision.
    Callers {
        /// Everybody who reaches the listener.
        Open = "open",
        /// Whoever has a token.
        Authenticated = "authenticated",
    }
}

/// Who may ask for a decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Authorize {
    /// `open`, or `authenticated`: a bearer token is asked for.
    pub callers: Callers,
}

impl Default for Authorize {
    fn default() -> Self {
        Self { callers: Callers::Open }
    }
}

/// What is removed in time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Upkeep {
    /// How long audit events are kept: a duration, or `never` removed.
    pub audit_retention: Lifetime,
}

impl Default for Upkeep {
    fn default() -> Self {
        Self { audit_retention: Lifetime::For(Duration::from_hours(400 * 24)) }
    }
}

words! {
    /// How log lines are written.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Log {
    /// `text` or `json`.
    pub format: LogFormat,
    /// A level, or directives such as `info,tokend::store=debug`.
    pub level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// How the process ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, expecting = "a table")]
pub struct Shutdown {
    /// For how long it says that it is not ready, and serves everything all the same, before it
    /// takes no more connections; unset: five seconds, or none on a terminal.
    #[serde(with = "text::optional_duration", skip_serializing_if = "Option::is_none")]
    pub delay: Option<Duration>,
    /// How long calls that are under way then may go on.
    #[serde(with = "text::duration")]
    pub grace: Duration,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { delay: None, grace: Duration::from_secs(30) }
    }
}

impl Shutdown {
    /// For how long all is still served once the shutdown was asked for: as long as those take who
    /// share calls out to hear of it. On a terminal there are none, and somebody waits for the end.
    #[must_use]
    pub fn delay(&self) -> Duration {
        let on_terminal = || std::io::stdin().is_terminal() || std::io::stdout().is_terminal();
        self.delay.unwrap_or_else(|| if on_terminal() { Duration::ZERO } else { DELAY })
    }
}
