//! The database is further away than the lease is long: nothing can be decided, and the log, the
//! answers and every probe say why. It recovers by itself.

use std::time::Duration;

use tokend::pb;
use tonic::Code;

use super::calls::{Answer, admin, bounded, check, create};
use super::probes::Probes;
use super::proxy::Proxy;
use super::{Fleet, Held, kind};

const TEST: &str = "says_that_the_way_to_the_database_is_longer_than_the_lease_and_recovers";

const LEASE: Duration = Duration::from_millis(200);

/// How much longer the way becomes.
const DELAY: Duration = Duration::from_millis(300);

/// What the log says of it, and when it is over.
const TOO_FAR: &str = "the round trip to the database is longer than the lease";
const AGAIN: &str = "the round trip to the database is shorter than the lease again";

#[tokio::test(flavor = "multi_thread")]
async fn says_that_the_way_to_the_database_is_longer_than_the_lease_and_recovers() {
    let Some(kind) = kind(TEST) else { return };
    let held = Held::shared(kind).await;
    let (proxy, through) = Proxy::before(held.url()).await;
    let mut fleet = Fleet::start(held, 1, |_, place| {
        place
            .with("TOKEND__DATABASE__URL", &through)
            .with("TOKEND__REPLICA__LEASE", format!("{}ms", LEASE.as_millis()))
    });
    let replica = &mut fleet.replicas[0];
    let upstream = replica.upstream();
    let secret = create(&upstream, "azion", admin()).await.unwrap().0;
    assert_eq!(check(&upstream, &secret, &[]).await, Answer::Allow(Duration::ZERO));

    proxy.delay(DELAY);
    let line = replica.wait_for(TOO_FAR);
    assert!(line.contains(" WARN "), "{line}");
    assert!(line.contains("replica.lease=200 ms"), "{line}");
    assert!(line.contains("database.round_trip=3"), "{line}");
    for _ in 0..20 {
        let request = pb::AuthorizeRequest { token: secret.clone(), ..Default::default() };
        let refused = bounded(upstream.tokens.clone().authorize(request)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
        assert!(refused.message().contains("longer than the lease"), "{refused:?}");
    }
    let probes = Probes::of(replica).await;
    assert_eq!(probes.ready(), [false; Probes::COUNT], "{probes:?}");
    assert!(probes.readyz.contains("longer than the lease (200 ms)"), "{probes:?}");

    proxy.delay(Duration::ZERO);
    replica.wait_for(AGAIN);
    assert_eq!(check(&upstream, &secret, &[]).await, Answer::Allow(Duration::ZERO));
    let probes = Probes::of(replica).await;
    assert_eq!(probes.ready(), [true; Probes::COUNT], "{probes:?}");
    assert_eq!((replica.told(TOO_FAR), replica.told(AGAIN)), (1, 1), "each is told once");
}
