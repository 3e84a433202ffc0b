//! A server that is made read-only in its place, and leaves the sessions open that it has.

use std::time::Duration;

use tokend::domain::identity::UserId;
use tokend::domain::store::{Seq, Store as _, StoreError};
use tokend::store::{Options, SeaStore};
use tokio::task::block_in_place;
use uuid::Uuid;

use crate::support::Kind;
use crate::support::database::own::OwnServer;

#[tokio::test(flavor = "multi_thread")]
async fn gives_no_facts_by_a_session_that_is_older_than_another() {
    if Kind::of_this_run() != Kind::Mariadb {
        return;
    }
    let server = block_in_place(|| OwnServer::start(Kind::Mariadb));
    let options = Options {
        url: server.url().into(),
        readers: 1,
        group: 1,
        writers: 1,
        connection_wait: Duration::from_millis(500),
        statement_log: None,
    };
    let store = SeaStore::open(&options).await.unwrap();
    let user = UserId(Uuid::from_u128(1));
    // It stays fresh until the end.
    assert!(store.find_user(user).await.unwrap().is_none());
    // This one could lead to a new primary.
    store.changes_from(Seq(1)).await.unwrap();
    block_in_place(|| server.run("SET GLOBAL read_only = 1"));
    let refused = store.find_user(user).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
    store.close().await;
}
