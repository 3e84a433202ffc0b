//! Strict revocation in foul weather: nothing that happens to a replica, to the database or to
//! the way between them makes a token good that was ended. All recovers by itself.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::block_in_place;
use tokio::time::{Instant, sleep};

use super::cases::Wait;
use super::chance::Chance;
use super::proxy::Proxy;
use super::rounds::{Checker, Phase, Weather};
use super::{Fleet, Held, LEASE, is_long, kind, time};
use crate::support::Kind;
use crate::support::database::own::OwnServer;

/// How long it may take until every call succeeds again. More than a pool needs that lost its
/// connections, and a client that lost its server.
const RECOVERY: Duration = Duration::from_secs(20);

/// Runs the checker while `fault` happens again and again, and then once more in fair weather.
async fn assert_strict(
    name: &str,
    fleet: &mut Fleet,
    fault: impl AsyncFn(&mut Fleet, &mut Chance),
) {
    let checker = Checker::new(fleet, Wait::ForAll).await;
    let until = Instant::now() + time(Duration::from_secs(5));
    let faults = async {
        let mut chance = Chance::new();
        let mut count = 0_u32;
        // While tokens are ended, for that is when it matters.
        while checker.ends().await == Phase::Ending {
            fault(fleet, &mut chance).await;
            count += 1;
        }
        count
    };
    let ((), count) = tokio::join!(checker.run(Weather::Foul, until), faults);
    recover(&checker).await;
    checker.run(Weather::Fair, Instant::now()).await;
    fleet.assert_all_run();
    let figures = checker.ledger.figures();
    if is_long() {
        figures.tell(&format!("{:?}, {name} ({count} times)", Kind::of_this_run()));
    }
    assert_eq!(figures.breaches, [""; 0], "{name}");
    assert!(figures.near > 0, "{name}: {figures:?}");
}

/// Waits until every replica decides again.
async fn recover(checker: &Checker) {
    let began = Instant::now();
    while !checker.all_decide().await {
        assert!(began.elapsed() < RECOVERY, "no recovery");
        sleep(LEASE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_strict_while_replicas_are_paused() {
    let Some(kind) = kind("stays_strict_while_replicas_are_paused") else { return };
    let mut fleet = Fleet::start(Held::shared(kind).await, 3, |_, place| place);
    assert_strict("replicas paused", &mut fleet, async |fleet, chance| {
        let replica = chance.one(&fleet.replicas);
        replica.signal(Signal::STOP);
        sleep(chance.time(4 * LEASE)).await;
        replica.signal(Signal::CONT);
        sleep(chance.time(4 * LEASE)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_strict_while_the_database_is_restarted_and_killed() {
    let Some(kind) = kind("stays_strict_while_the_database_is_restarted_and_killed") else {
        return;
    };
    let held = Held::Own(block_in_place(|| OwnServer::start(kind)));
    let mut fleet = Fleet::start(held, 3, |_, place| place);
    assert_strict("database restarted, killed", &mut fleet, async |fleet, chance| {
        sleep(chance.time(20 * LEASE)).await;
        let is_killed = chance.below(2) == 0;
        block_in_place(|| {
            let server = fleet.held.own();
            if is_killed { server.kill() } else { server.stop() }
        });
        sleep(chance.time(4 * LEASE)).await;
        block_in_place(|| fleet.held.own().start_again());
        sleep(chance.time(40 * LEASE)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_strict_while_the_way_to_the_database_stalls_and_breaks() {
    let Some(kind) = kind("stays_strict_while_the_way_to_the_database_stalls_and_breaks") else {
        return;
    };
    let held = Held::shared(kind).await;
    let (proxy, through) = Proxy::before(held.url()).await;
    let mut fleet = Fleet::start(held, 3, |at, place| {
        if at == 2 { place.with("TOKEND__DATABASE__URL", &through) } else { place }
    });
    assert_strict("way stalls, breaks", &mut fleet, async |_, chance| {
        sleep(chance.time(8 * LEASE)).await;
        if chance.below(3) == 0 {
            proxy.cut();
            return;
        }
        proxy.stall();
        // Now and then for longer than the replica waits for an answer.
        let longest = if chance.below(8) == 0 { 60 * LEASE } else { 8 * LEASE };
        sleep(chance.time(longest)).await;
        if chance.below(4) == 0 {
            proxy.cut();
        }
        proxy.go_on();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_strict_while_a_replica_is_killed_and_comes_back() {
    let Some(kind) = kind("stays_strict_while_a_replica_is_killed_and_comes_back") else { return };
    let mut fleet = Fleet::start(Held::shared(kind).await, 3, |_, place| place);
    assert_strict("replica killed, back", &mut fleet, async |fleet, chance| {
        sleep(chance.time(20 * LEASE)).await;
        let at = chance.below(fleet.replicas.len());
        fleet.replicas[at].kill();
        fleet.replicas[at].start_again();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stays_strict_where_little_is_kept() {
    let Some(kind) = kind("stays_strict_where_little_is_kept") else { return };
    let mut fleet = Fleet::start(Held::shared(kind).await, 3, |_, place| {
        // Some sixteen of each sort.
        place
            .with("TOKEND__FACTS__TOKENS", "4KiB")
            .with("TOKEND__FACTS__JWTS", "4KiB")
            .with("TOKEND__FACTS__USERS", "16KiB")
    });
    assert_strict("caches too small", &mut fleet, async |_, _| sleep(LEASE).await).await;
}
