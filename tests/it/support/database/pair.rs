//! A PostgreSQL that acknowledges nothing before its standby has it, and that standby.

use std::path::PathBuf;

use super::Kind;
use super::keeper::Plan;
use super::postgres;
use super::server::{Programs, Server};

/// Their only database.
const NAME: &str = "tokend_pair";

/// What the primary waits for.
const STANDBY: &str = "standby";

/// As any throwaway server, but with a log that a standby can follow.
const PRIMARY: &str = r#"
prepare() {
    printf '%s\n' "$PASSWORD" >password && chmod 644 password &&
        $AS "$INITDB" --pgdata=data --username=admin --pwfile=password --auth=password --no-sync \
            --encoding=UTF8 --locale=C >initdb.log || { cat initdb.log; false; }
}
serve() {
    exec $AS "$POSTGRES" -D data -p "$PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=100 -c max_wal_senders=4 \
        -c wal_level=replica -c wal_keep_size=64MB -c fsync=off
}
"#;

/// A copy of the primary, which waits for nobody itself.
const FOLLOWER: &str = r#"
prepare() {
    PGPASSWORD=$PASSWORD $AS "$PG_BASEBACKUP" --pgdata=data --host=127.0.0.1 \
        --port="$PRIMARY_PORT" --username=admin --write-recovery-conf --checkpoint=fast --no-sync
}
serve() {
    exec $AS "$POSTGRES" -D data -p "$PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=100 -c fsync=off \
        -c cluster_name=standby -c synchronous_standby_names= -c wal_retrieve_retry_interval=100ms
}
"#;

/// A primary with an empty database, and its standby. Dropped, both are gone.
pub(crate) struct Pair {
    primary: Server,
    standby: Server,
}

impl Pair {
    /// Starts both, and the standby follows.
    pub(crate) fn start() -> Self {
        let primary =
            Server::start_by(Kind::Postgres, super::server::password(), |p, port, word| Plan {
                functions: PRIMARY,
                ..postgres::plan(p, port, word)
            });
        primary.admin.make_user(&primary.password);
        primary.admin.create(NAME);
        let (port, password) = (primary.port, primary.password.clone());
        let standby = Server::start_by(Kind::Postgres, password, |programs, own, word| {
            let Plan { mut environment, .. } = postgres::plan(programs, own, word);
            let copier = postgres::program("pg_basebackup").expect("it comes with the client");
            environment.push(("PG_BASEBACKUP", copier));
            environment.push(("PRIMARY_PORT", PathBuf::from(port.to_string())));
            Plan {
                functions: FOLLOWER,
                environment,
                ready: "ready to accept read-only connections",
                ..postgres::plan(Programs::default(), own, word)
            }
        });
        let pair = Self { primary, standby };
        pair.run(&format!("ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'"));
        pair.run("SELECT pg_reload_conf()");
        pair
    }

    /// Where the primary's database is.
    pub(crate) fn url(&self) -> String {
        self.primary.url(NAME)
    }

    /// Where the database is once the standby is the primary.
    pub(crate) fn standby_url(&self) -> String {
        self.standby.url(NAME)
    }

    fn run(&self, statement: &str) {
        self.primary.admin.run(NAME, statement);
    }

    /// How many commits on the primary wait for the standby.
    pub(crate) fn waiting(&self) -> usize {
        let query = "SELECT pid::text FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        self.primary.admin.words(NAME, query).len()
    }

    /// Ends the standby.
    pub(crate) fn end_standby(&mut self) {
        self.standby.keeper().end("QUIT");
    }

    /// Starts the standby again, which then follows the primary.
    pub(crate) fn start_standby(&mut self) {
        self.standby.keeper().start_again();
    }

    /// Ends the primary without any notice.
    pub(crate) fn kill_primary(&mut self) {
        self.primary.keeper().end("QUIT");
    }

    /// Starts the primary again, with what it had committed and not acknowledged.
    pub(crate) fn start_primary(&mut self) {
        self.primary.keeper().start_again();
    }

    /// Makes the standby the primary.
    pub(crate) fn promote(&self) {
        self.standby.admin.words("postgres", "SELECT pg_promote()::text");
    }
}
