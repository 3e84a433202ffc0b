//! A throwaway PostgreSQL: 15 or later.

use std::fs;
use std::path::{Path, PathBuf};

use super::keeper::Plan;
use super::server::{Programs, find};

/// What is not the default is what a test has no use for: the disk, and sockets that have a name.
/// The language's order of words is not that of bytes, as with most operators.
const FUNCTIONS: &str = r#"
prepare() {
    printf '%s\n' "$PASSWORD" >password && chmod 644 password &&
        $AS "$INITDB" --pgdata=data --username=admin --pwfile=password --auth=password --no-sync \
            --encoding=UTF8 --locale=C --locale-provider=icu --icu-locale=en >initdb.log ||
        { cat initdb.log; false; }
}
serve() {
    exec $AS "$POSTGRES" -D data -p "$PORT" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=500 -c max_wal_senders=0 \
        -c wal_level=minimal -c fsync=off -c full_page_writes=off
}
"#;

/// Where Debian has the programs of a version.
const DEBIAN: &str = "/usr/lib/postgresql";

pub(super) fn programs() -> Result<Programs, String> {
    Ok(Programs(vec![("INITDB", program("initdb")?), ("POSTGRES", program("postgres")?)]))
}

/// Finds a program of PostgreSQL.
pub(super) fn program(name: &str) -> Result<PathBuf, String> {
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten();
    let mut folders: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin")).filter(|path| path.is_dir()).collect();
    folders.sort_by_key(|folder| version(folder));
    // The latest first.
    folders.reverse();
    find(name, &folders)
}

fn version(folder: &Path) -> Option<u32> {
    folder.parent()?.file_name()?.to_str()?.parse().ok()
}

pub(super) fn plan(Programs(environment): Programs, port: u16, password: &str) -> Plan<'_> {
    Plan {
        functions: FUNCTIONS,
        environment,
        signal: "QUIT",
        ready: "ready to accept connections",
        port,
        password,
    }
}
