//! Time, as an argument: the only place that reads a clock.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, the finest that every database keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 9999-12-31T23:59:59Z: the latest that RFC 3339 and the contract can say.
    pub const MAX: Self = Self(253_402_300_799_000_000);

    /// Makes one from microseconds since the epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Makes one from whole seconds since the epoch; `None` where that is before the epoch or past
    /// [`Self::MAX`].
    #[must_use]
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        let micros = seconds.checked_mul(1_000_000)?;
        (0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// The whole second that it is in.
    #[must_use]
    pub const fn whole_second(self) -> Self {
        Self(self.seconds() * 1_000_000)
    }

    /// This much later; [`Self::MAX`] where that is later still.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros)).min(Self::MAX)
    }

    /// This much earlier.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros))
    }

    /// How long ago `earlier` was; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let micros = self.0.saturating_sub(earlier.0);
        Duration::from_micros(u64::try_from(micros).unwrap_or(0))
    }
}

/// A point on a clock that never goes back and runs on while the machine sleeps: for leases. It
/// means nothing on another machine or after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(Duration);

impl Instant {
    /// Makes one from the time since the clock's own beginning.
    #[must_use]
    pub const fn from_duration(since_boot: Duration) -> Self {
        Self(since_boot)
    }

    /// The time since the clock's own beginning.
    #[must_use]
    pub const fn since_start(self) -> Duration {
        self.0
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long ago `earlier` was; zero where it is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where time comes from.
#[async_trait]
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The time of day.
    fn now(&self) -> Timestamp;

    /// The time by which leases run.
    fn instant(&self) -> Instant;

    /// Waits until so much time has passed by which leases run, or more.
    async fn sleep(&self, time: Duration);

    /// Waits about so long before the next turn of what is done again and again.
    async fn tick(&self, period: Duration);
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        #[expect(clippy::disallowed_methods, reason = "the one place that reads it")]
        let now = std::time::SystemTime::now();
        let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }

    fn instant(&self) -> Instant {
        // CLOCK_BOOTTIME, for CLOCK_MONOTONIC stands still in a suspended machine and a lease
        // would outlive it there.
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
        Instant(Duration::new(seconds, nanos))
    }

    async fn sleep(&self, time: Duration) {
        // Its clock stands still in a suspended machine, so this sleeps longer there, and no less.
        tokio::time::sleep(time).await;
    }

    async fn tick(&self, period: Duration) {
        tokio::time::sleep(period).await;
    }
}
