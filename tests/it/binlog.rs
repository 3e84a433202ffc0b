//! A server of MariaDB that acknowledges what a crash takes back is refused.

use std::time::Duration;

use tokend::store::{OpenError, Options, SeaStore};
use tokio::task::block_in_place;

use crate::support::Kind;
use crate::support::database::own::OwnServer;

async fn open(server: &OwnServer) -> Result<(), OpenError> {
    let options = Options {
        url: server.url().into(),
        readers: 1,
        group: 1,
        writers: 1,
        connection_wait: Duration::from_secs(5),
        statement_log: None,
    };
    SeaStore::open(&options).await?.close().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn refuses_a_server_that_could_lose_a_commit_and_names_the_setting() {
    if Kind::of_this_run() != Kind::Mariadb {
        return;
    }
    let binlog = "--log-bin=binlog --sync-binlog=1";
    let server = block_in_place(|| OwnServer::start_with(Kind::Mariadb, binlog));
    open(&server).await.unwrap();
    for (setting, value) in [
        ("sync_binlog", "0"),
        ("sync_binlog", "100"),
        ("innodb_flush_log_at_trx_commit", "0"),
        ("innodb_flush_log_at_trx_commit", "2"),
    ] {
        block_in_place(|| server.run(&format!("SET GLOBAL {setting} = {value}")));
        let refused = open(&server).await.unwrap_err().to_string();
        assert!(refused.contains(&format!("{setting} = {value}: ")), "{refused}");
        assert!(refused.ends_with("so set it to 1"), "{refused}");
        block_in_place(|| server.run(&format!("SET GLOBAL {setting} = 1")));
        open(&server).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asks_nothing_of_a_binary_log_that_is_not_written() {
    if Kind::of_this_run() != Kind::Mariadb {
        return;
    }
    let server = block_in_place(|| OwnServer::start(Kind::Mariadb));
    block_in_place(|| server.run("SET GLOBAL sync_binlog = 0"));
    open(&server).await.unwrap();
}
