//! Strict revocation on three processes and one database, and that the checker sees where it is
//! not.

use std::time::Duration;

use tokio::time::Instant;

use super::cases::Wait;
use super::rounds::{Checker, Weather};
use super::{Fleet, Held, Replica, is_long, kind, time};

#[tokio::test(flavor = "multi_thread")]
async fn allows_nothing_that_began_after_a_revocation_had_answered() {
    let Some(kind) = kind("allows_nothing_that_began_after_a_revocation_had_answered") else {
        return;
    };
    let mut fleet = Fleet::start(Held::shared(kind).await, 3, |_, place| place);
    let checker = Checker::new(&fleet, Wait::ForAll).await;
    let until = Instant::now() + time(Duration::from_secs(5));
    checker.run(Weather::Fair, until).await;
    fleet.assert_all_run();
    let figures = checker.ledger.figures();
    if is_long() {
        figures.tell(&format!("{kind:?}, strict"));
    }
    assert_eq!((&figures.breaches[..], figures.failed, figures.unavailable), (&[][..], 0, 0));
    assert!(figures.near > 100, "{figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sees_what_is_allowed_where_the_wait_is_skipped() {
    let Some(kind) = kind("sees_what_is_allowed_where_the_wait_is_skipped") else { return };
    let fleet = Fleet::start(Held::shared(kind).await, 3, |_, place| place);
    let checker = Checker::new(&fleet, Wait::Skip).await;
    let began = Instant::now();
    let (least, most) = (time(Duration::ZERO), time(Duration::from_secs(15)));
    loop {
        checker.run(Weather::Foul, began + least).await;
        if !checker.ledger.figures().breaches.is_empty() || began.elapsed() > most {
            break;
        }
    }
    let figures = checker.ledger.figures();
    if is_long() {
        figures.tell(&format!("{kind:?}, `skip_wait`"));
    }
    assert!(!figures.breaches.is_empty(), "the checker is blind: {figures:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_nothing_for_tokens_that_it_knows() {
    let Some(kind) = kind("reads_nothing_for_tokens_that_it_knows") else { return };
    let fleet = Fleet::start(Held::shared(kind).await, 3, |_, place| place);
    let checker = Checker::new(&fleet, Wait::ForAll).await;
    let warm = checker.warm().await;
    let reads = async |replica: &Replica| replica.counter("tokend_fact_reads_total").await;
    let before = [reads(&fleet.replicas[1]).await, reads(&fleet.replicas[2]).await];
    assert!(before.iter().all(|count| *count > 0), "{before:?}");
    let began = Instant::now();
    let mut checks = 0;
    while checks < 1000 || began.elapsed() < time(Duration::ZERO) {
        checks += warm.check().await;
    }
    let after = [reads(&fleet.replicas[1]).await, reads(&fleet.replicas[2]).await];
    if is_long() {
        super::tell(&format!("{kind:?}: reads before {before:?}, after {checks} checks {after:?}"));
    }
    assert_eq!(after, before);
}
