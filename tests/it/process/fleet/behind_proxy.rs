//! The topology of `docker-compose.yml --profile split`, as processes: a migration that ends, three
//! replicas, the proxy of `deploy/haproxy.cfg`, and the shim as a process of its own behind it.

use std::collections::BTreeSet;

use super::calls::{Answer, check};
use super::{Fleet, Held, Place, Running, SERVING, http, kind, place};
use crate::process::deploy::Proxy;
use crate::process::shell;
use crate::support::{ADMIN_PASSWORD, Database};

const TEST: &str = "revokes_through_the_shim_what_every_replica_behind_the_proxy_then_denies";

/// The checks that a replica has answered.
const AUTHORIZED: &str =
    r#"tokend_rpc_total{service="tokend.v1.TokenService",method="Authorize",code="OK"}"#;

/// Enough for each replica to have several.
const CHECKS: usize = 30;

/// Signs in at the shim, in the dialect of Azion.
async fn sign_in(shim: &Running) -> String {
    let request = http()
        .post(format!("{}/tokens", shim.url("rest")))
        .basic_auth("admin", Some(ADMIN_PASSWORD));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201);
    let body: serde_json::Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    body["token"].as_str().unwrap().to_owned()
}

async fn revoke(shim: &Running, token: &str) {
    let request = http()
        .delete(format!("{}/tokens/{token}", shim.url("rest")))
        .basic_auth("admin", Some(ADMIN_PASSWORD));
    assert_eq!(request.send().await.unwrap().status(), 204);
}

async fn served(fleet: &Fleet) -> Vec<u64> {
    let mut counts = Vec::new();
    for replica in &fleet.replicas {
        counts.push(replica.counter(AUTHORIZED).await);
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn revokes_through_the_shim_what_every_replica_behind_the_proxy_then_denies() {
    let Some(kind) = kind(TEST) else { return };
    if !shell::has(&["haproxy"], TEST) {
        return;
    }
    let database = Database::empty(kind);
    place(database.url()).run(&["migrate"]).ok();
    let serving = |_, place: Place| place.with("TOKEND__REST__ENABLED", "true");
    let mut fleet = Fleet::start(Held::Shared(database), 3, serving);
    let of_proxy = Place::new();
    let servers: Vec<_> = fleet.replicas.iter().filter_map(|it| it.running.as_ref()).collect();
    let proxy = Proxy::start(&of_proxy, &servers);
    let of_shim = Place::new();
    let mut shim = of_shim.start(&["rest", "--upstream", &proxy.grpc], "");
    shim.wait_for(SERVING);
    let upstream = proxy.upstream([127, 0, 0, 1]);

    let before = served(&fleet).await;
    let token = sign_in(&shim).await;
    for _ in 0..CHECKS {
        assert!(matches!(check(&upstream, &token, &[]).await, Answer::Allow(_)));
    }
    let after = served(&fleet).await;
    let asked: BTreeSet<_> = (0..3).filter(|at| after[*at] > before[*at]).collect();
    assert_eq!(asked.len(), 3, "{before:?} {after:?}: the proxy shares calls out");

    revoke(&shim, &token).await;
    for _ in 0..CHECKS {
        assert!(matches!(check(&upstream, &token, &[]).await, Answer::Deny(_)));
    }

    // One leaves as an operator would have it.
    fleet.replicas[0].running.take().unwrap().stop().ok();
    let next = sign_in(&shim).await;
    for _ in 0..CHECKS {
        assert!(matches!(check(&upstream, &next, &[]).await, Answer::Allow(_)));
    }
}
