//! How long calls took: counts in buckets that are a thirty-second wide of what they hold.

use std::time::Duration;

/// Buckets to each doubling, as a power of two.
const FINENESS: u32 = 5;
/// More than a minute, in nanoseconds, needs no more doublings.
const DOUBLINGS: usize = 36;
const BUCKETS: usize = (DOUBLINGS + 1) << FINENESS;

/// Counts of times. A time is known to 3 %.
#[derive(Clone)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Counts one.
    pub(crate) fn record(&mut self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        if let Some(count) = self.counts.get_mut(bucket(nanos)) {
            *count += 1;
        }
        self.total += 1;
    }

    /// Adds the counts of another.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// How many there are.
    pub(crate) const fn total(&self) -> u64 {
        self.total
    }

    /// The time that so many of a thousand did not exceed, in microseconds; 0 where there is none.
    pub(crate) fn per_mille(&self, share: u64) -> f64 {
        let rank = (self.total * share).div_ceil(1000).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_nanos(middle(bucket)).as_secs_f64() * 1e6;
            }
        }
        0.0
    }
}

/// The bucket of a time: itself where it is small, else its doubling and its first bits.
fn bucket(nanos: u64) -> usize {
    let log = nanos.max(1).ilog2();
    let index = if log < FINENESS {
        nanos
    } else {
        let doubling = u64::from(log - FINENESS);
        (doubling << FINENESS) + (nanos >> doubling)
    };
    usize::try_from(index).unwrap_or(usize::MAX).min(BUCKETS - 1)
}

/// The middle of what a bucket holds.
fn middle(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let doubling = (bucket >> FINENESS).saturating_sub(1);
    let first = (bucket - (doubling << FINENESS)) << doubling;
    first + (1 << doubling) / 2
}
