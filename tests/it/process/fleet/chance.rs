//! Chance, which differs from run to run.

use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// A source of random numbers.
pub(in crate::process) struct Chance(u64);

impl Chance {
    pub(in crate::process) fn new() -> Self {
        Self(RandomState::new().hash_one("a seed"))
    }

    fn next(&mut self) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(in crate::process) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap()).unwrap()
    }

    /// One of several.
    pub(in crate::process) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// A time up to `most`.
    pub(in crate::process) fn time(&mut self, most: Duration) -> Duration {
        most * u32::try_from(self.below(1001)).unwrap() / 1000
    }
}
