//! The wall clock of a server beside the database's.

use std::time::Duration;

use tokend::domain::clock::{Clock as _, SystemClock};

use crate::support::alone::{Log, alone};
use crate::support::{Actor, World};

const APART: &str = "the wall clocks of this machine and of the database differ";
const AGREE: &str = "the wall clocks of this machine and of the database agree again";

/// How often the log says that they differ, and that they agree again.
fn told(log: &Log) -> [usize; 2] {
    [APART, AGREE].map(|words| log.lines().iter().filter(|line| line.contains(words)).count())
}

/// Has the tail be read.
async fn sync(alice: &Actor) {
    alice.sign_in().await.revoke().await.unwrap();
}

async fn offset(world: &World) -> f64 {
    let metrics = world.management().get("/metrics").send().await.body;
    let mut lines = metrics.lines();
    let value = lines.find_map(|line| line.strip_prefix("tokend_clock_offset_seconds "));
    value.unwrap().parse().unwrap()
}

#[tokio::test]
async fn tells_once_that_its_wall_clock_and_the_databases_differ() {
    let test = "wall_clock::tells_once_that_its_wall_clock_and_the_databases_differ";
    let Some(log) = alone(test) else { return };
    // Its clock stands at a time of long ago.
    let world = World::start().await;
    let alice = world.user("alice").await;
    let [apart, agree] = told(&log);
    assert!(apart > 0, "at the start");
    sync(&alice).await;
    assert_eq!(told(&log), [apart, agree], "it is told once");

    world.clock().set(SystemClock.now());
    sync(&alice).await;
    sync(&alice).await;
    assert_eq!(told(&log), [apart, agree + 1]);
    assert!(offset(&world).await.abs() < 5.0);

    world.clock().set(SystemClock.now().plus(Duration::from_hours(1)));
    sync(&alice).await;
    sync(&alice).await;
    assert_eq!(told(&log), [apart + 1, agree + 1]);
    assert!((offset(&world).await - 3600.0).abs() < 5.0);
    let lines = log.lines();
    let line = lines.iter().rfind(|line| line.contains(APART)).unwrap();
    for words in
        ["WARN ", "replica.clock_leeway", "clock.here=", "clock.database=", "leeway_seconds=5"]
    {
        assert!(line.contains(words), "{words}: {line}");
    }
}
