//! A server that is one test's own, which ends it and starts it again.

use super::Kind;
use super::server::Server;

/// Its only database.
const NAME: &str = "tokend_own";

/// A server with an empty database. Dropped, it is gone.
pub(crate) struct OwnServer {
    server: Server,
    url: String,
}

impl OwnServer {
    /// Starts one.
    pub(crate) fn start(kind: Kind) -> Self {
        Self::start_with(kind, "")
    }

    /// Starts one of MariaDB with more words on its command line.
    pub(crate) fn start_with(kind: Kind, words: &str) -> Self {
        let server = Server::start(kind, words);
        server.admin.create(NAME);
        let url = server.url(NAME);
        Self { server, url }
    }

    /// Where its database is. It holds a password.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Runs a statement by one who may do everything.
    pub(crate) fn run(&self, statement: &str) {
        self.server.admin.run(NAME, statement);
    }

    /// Ends it as an operator would, whoever is connected.
    pub(crate) fn stop(&mut self) {
        let signal = match self.server.kind {
            Kind::Sqlite => panic!("SQLite has no server"),
            Kind::Postgres => "INT",
            Kind::Mariadb => "TERM",
        };
        self.server.keeper().end(signal);
    }

    /// Ends it without any notice.
    pub(crate) fn kill(&mut self) {
        self.server.keeper().end("KILL");
    }

    /// Starts it again, at the same port and with the same files.
    pub(crate) fn start_again(&mut self) {
        self.server.keeper().start_again();
    }
}
