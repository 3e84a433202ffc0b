//! This machine's wall clock beside the database's: expiry goes by the one, and what others wrote
//! by theirs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tracing::{info, warn};

use crate::domain::clock::Timestamp;

/// What the two clocks said at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    /// Our own before the database was asked.
    pub(super) asked: Timestamp,
    /// Our own when its answer was here.
    pub(super) answered: Timestamp,
    /// The database's, somewhere in between.
    pub(super) database: Timestamp,
}

impl Clocks {
    /// How far ours is ahead, in microseconds, and how far that may be wrong.
    fn offset(self) -> (i64, u64) {
        let Self { asked, answered, database } = self;
        let error = answered.micros().saturating_sub(asked.micros()).max(0) / 2;
        let own = asked.micros().saturating_add(error);
        (own.saturating_sub(database.micros()), error.unsigned_abs())
    }
}

/// Tells when the two clocks part, and when they agree again.
#[derive(Debug)]
pub(super) struct WallClock {
    leeway: Duration,
    apart: AtomicBool,
}

impl WallClock {
    /// Admits a difference of this much.
    pub(super) const fn new(leeway: Duration) -> Self {
        Self { leeway, apart: AtomicBool::new(false) }
    }

    /// Compares them, and says so where that comes to something else than the last time.
    #[expect(clippy::cast_precision_loss, reason = "a gauge is read by eye")]
    pub(super) fn compare(&self, clocks: Clocks) {
        let (offset, error) = clocks.offset();
        metrics::gauge!("tokend_clock_offset_seconds").set(offset as f64 / 1e6);
        let leeway = u64::try_from(self.leeway.as_micros()).unwrap_or(u64::MAX);
        let distance = offset.unsigned_abs();
        // A little less than the leeway is asked for, so that one at its edge is not told of again
        // and again.
        let agrees = distance.saturating_add(error) <= leeway - leeway / 10;
        let parts = distance.saturating_sub(error) > leeway;
        if parts && !self.apart.swap(true, Ordering::Relaxed) {
            warn!(
                clock.here = rfc3339(clocks.asked),
                clock.database = rfc3339(clocks.database),
                clock.leeway_seconds = self.leeway.as_secs_f64(),
                "the wall clocks of this machine and of the database differ by {} s, which is more \
                 than replica.clock_leeway: tokens end early or late",
                distance / 1_000_000,
            );
        } else if agrees && self.apart.swap(false, Ordering::Relaxed) {
            info!("the wall clocks of this machine and of the database agree again");
        }
    }
}

fn rfc3339(time: Timestamp) -> String {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.micros()) * 1000);
    time.ok().and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clocks(asked: i64, answered: i64, database: i64) -> Clocks {
        let at = Timestamp::from_micros;
        Clocks { asked: at(asked), answered: at(answered), database: at(database) }
    }

    fn is_apart(clock: &WallClock, clocks: Clocks) -> bool {
        clock.compare(clocks);
        clock.apart.load(Ordering::Relaxed)
    }

    #[test]
    fn takes_half_the_round_trip_off() {
        assert_eq!(clocks(100, 300, 200).offset(), (0, 100));
        assert_eq!(clocks(100, 300, 260).offset(), (-60, 100));
        // Our clock was set back meanwhile.
        assert_eq!(clocks(300, 100, 300).offset(), (0, 0));
    }

    #[test]
    fn tells_a_difference_only_where_the_round_trip_does_not_explain_it() {
        let clock = WallClock::new(Duration::from_secs(1));
        let second = 1_000_000;
        assert!(!is_apart(&clock, clocks(0, 0, second)));
        assert!(!is_apart(&clock, clocks(0, 4 * second, 4 * second)));
        assert!(is_apart(&clock, clocks(0, 0, second + 1)));
        assert!(is_apart(&clock, clocks(0, 0, second)), "at the edge");
        assert!(!is_apart(&clock, clocks(0, 0, second / 2)));
        assert!(is_apart(&clock, clocks(3 * second, 3 * second, 0)), "ahead, too");
    }

    #[test]
    fn bears_whatever_a_database_says() {
        let clock = WallClock::new(Duration::MAX);
        for database in [i64::MIN, i64::MAX] {
            assert!(!is_apart(&clock, clocks(0, i64::MAX, database)));
        }
    }
}
