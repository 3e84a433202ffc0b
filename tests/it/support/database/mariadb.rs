//! A throwaway MariaDB: 10.11 or later.

use super::keeper::Plan;
use super::server::{Programs, find};

/// It writes as safely as an operator's, for the product refuses another: hence in memory, where
/// it can.
const FUNCTIONS: &str = r#"
prepare() {
    mkdir -m 777 data &&
        $AS "$INSTALL" --no-defaults --datadir="$FOLDER/data" --skip-test-db >install.log 2>&1 ||
        { cat install.log; return 1; }
    cat >init.sql <<END
CREATE USER IF NOT EXISTS admin@127.0.0.1 IDENTIFIED BY '$PASSWORD';
GRANT ALL ON *.* TO admin@127.0.0.1 WITH GRANT OPTION;
END
    chmod 644 init.sql
}
serve() {
    exec $AS "$MARIADBD" --no-defaults --datadir="$FOLDER/data" --bind-address=127.0.0.1 --port="$PORT" \
        --socket=socket --init-file="$FOLDER/init.sql" --max-connections=500 --skip-name-resolve \
        --character-set-server=utf8mb4 --innodb-log-file-size=32M --innodb-file-per-table=OFF $WORDS
}
"#;

pub(super) fn programs() -> Result<Programs, String> {
    let folders = ["/usr/sbin", "/usr/local/sbin"].map(Into::into);
    Ok(Programs(vec![
        ("INSTALL", find("mariadb-install-db", &folders)?),
        ("MARIADBD", find("mariadbd", &folders)?),
    ]))
}

pub(super) fn plan(Programs(environment): Programs, port: u16, password: &str) -> Plan<'_> {
    Plan {
        functions: FUNCTIONS,
        environment,
        signal: "KILL",
        ready: "ready for connections",
        port,
        password,
    }
}
