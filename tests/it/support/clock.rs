//! Clocks that stand still until a test moves them.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokend::domain::clock::{Clock, Instant, Timestamp};

/// 2026-01-01T00:00:00Z.
const BEGINNING: i64 = 1_767_225_600_000_000;

/// Both clocks of a server, set by hand.
#[derive(Debug)]
pub(crate) struct TestClock {
    wall_micros: AtomicI64,
    since_boot_micros: AtomicU64,
    /// In microseconds.
    step: AtomicU64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self {
            wall_micros: AtomicI64::new(BEGINNING),
            since_boot_micros: AtomicU64::new(0),
            step: AtomicU64::new(0),
        }
    }
}

impl TestClock {
    /// Lets time pass.
    pub(crate) fn advance(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).expect("not for ever");
        self.since_boot_micros.fetch_add(micros, Ordering::SeqCst);
        self.wall_micros.fetch_add(i64::try_from(micros).expect("not for ever"), Ordering::SeqCst);
    }

    /// Lets so much time pass by the clock of leases whenever it is looked at.
    pub(crate) fn hurry(&self, step: Duration) {
        let micros = u64::try_from(step.as_micros()).expect("not for ever");
        self.step.store(micros, Ordering::SeqCst);
    }

    /// How much time has passed on the clock of leases.
    pub(crate) fn since_boot(&self) -> Duration {
        self.instant().since_start()
    }

    /// Sets the wall clock alone, as an operator or a bad time server does.
    pub(crate) fn set(&self, now: Timestamp) {
        self.wall_micros.store(now.micros(), Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.wall_micros.load(Ordering::SeqCst))
    }

    fn instant(&self) -> Instant {
        let step = self.step.load(Ordering::SeqCst);
        let micros = self.since_boot_micros.fetch_add(step, Ordering::SeqCst);
        Instant::from_duration(Duration::from_micros(micros))
    }

    async fn sleep(&self, time: Duration) {
        // Leases run out by it, and nobody waits.
        let micros = u64::try_from(time.as_micros()).expect("not for ever");
        self.since_boot_micros.fetch_add(micros, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }

    async fn tick(&self, _: Duration) {
        // No turn comes by itself, so that nothing a test shows is due to one that came in time.
        std::future::pending::<()>().await;
    }
}
