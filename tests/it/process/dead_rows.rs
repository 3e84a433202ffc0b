//! Dead rows go without anybody asking for it.

use tokend::pb::create_token_request::Credential;

use super::crash::{admin, create};
use super::{PATIENCE, Place, http};
use crate::support::{Database, Kind, MASTER_KEY};

/// More than one batch on SQLite.
const TOKENS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn are_removed_by_the_server_itself() {
    let database = Database::empty(Kind::of_this_run());
    let place = Place::on_sqlite()
        .with("TOKEND__DATABASE__URL", database.url())
        .with("TOKEND__KEYS__MASTER_KEY", MASTER_KEY);
    let mut server = place.serve();
    let password = server.welcome().password();
    let upstream = server.upstream();
    let bearer = create(&upstream, "operation", admin(&password)).await.unwrap().0.secret;
    for _ in 0..TOKENS {
        let bearer = Credential::BearerToken(bearer.clone());
        create(&upstream, "personal", bearer).await.unwrap();
    }
    assert_eq!(server.stop().code, Some(0));
    database.run("UPDATE tokens SET expires_at = 1 WHERE profile = 'personal'");

    let again = place.serve();
    let metrics = again.url("management") + "/metrics";
    let removed = format!("tokend_purged_rows_total{{sort=\"token\"}} {TOKENS}\n");
    let gone = async {
        while !http().get(&metrics).send().await.unwrap().text().await.unwrap().contains(&removed) {
        }
    };
    tokio::time::timeout(PATIENCE, gone).await.unwrap();
}
