//! Numbers of several rounds: their median and their bounds, and how they are written.

use std::fmt;
use std::time::{Duration, Instant};

/// The median of some rounds, and the least and the greatest of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) greatest: f64,
}

impl Spread {
    /// Of these; `None` where there are none.
    pub(crate) fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, greatest) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(lower, upper), least, greatest })
    }
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Microseconds of processor time for a call.
    CpuMicros,
    /// Calls answered in a second by the clock.
    CallsPerSecond,
    /// Microseconds from call to answer.
    Micros,
    /// Milliseconds.
    Millis,
    /// 2²⁰ bytes.
    Mebibytes,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Its name in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CpuMicros => "cpu_us_per_call",
            Self::CallsPerSecond => "calls_per_second",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Mebibytes => "mib",
            Self::Bytes => "bytes",
        }
    }

    /// Writes so many of it. Processor time is told both ways: how many calls a second of it
    /// carries, and what one costs.
    pub(crate) fn write(self, value: f64) -> String {
        match self {
            Self::CpuMicros => format!("{} /s · {} µs", Short(1e6 / value), Short(value)),
            Self::CallsPerSecond => format!("{} /s", Short(value)),
            Self::Micros => format!("{} µs", Short(value)),
            Self::Millis => format!("{} ms", Short(value)),
            Self::Mebibytes => format!("{} MiB", Short(value)),
            Self::Bytes => format!("{} B", Short(value)),
        }
    }
}

/// Writes a number with three figures, thousands as `k`.
pub(crate) struct Short(pub(crate) f64);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(value) = *self;
        match value.abs() {
            large if large >= 1e6 => write!(f, "{:.2} M", value / 1e6),
            large if large >= 1e5 => write!(f, "{:.0} k", value / 1e3),
            large if large >= 1e4 => write!(f, "{:.1} k", value / 1e3),
            large if large >= 100.0 => write!(f, "{value:.0}"),
            large if large >= 10.0 => write!(f, "{value:.1}"),
            _ => write!(f, "{value:.2}"),
        }
    }
}

/// A count as a number with a fraction.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// The number of things as a count.
pub(crate) fn count(things: usize) -> u64 {
    u64::try_from(things).unwrap_or(u64::MAX)
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What the clock says.
#[expect(clippy::disallowed_methods, reason = "a bench is about real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Numbers by chance, quick and the same in every run (xorshift64*).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// Of their own for each seed.
    pub(crate) fn new(seed: usize) -> Self {
        Self((count(seed) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// The next number below `end`; 0 where that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        usize::try_from((drawn * count(end)) >> 32).unwrap_or(0)
    }
}
