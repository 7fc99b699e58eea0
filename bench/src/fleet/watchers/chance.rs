//! Chance that can be repeated.

use std::time::Duration;

/// A sequence of numbers by SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The same seed gives the same sequence.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From nothing to that.
    pub(crate) fn length(&mut self, longest: Duration) -> Duration {
        // The upper half is exact in a double.
        let part = u32::try_from(self.next() >> 32).unwrap_or(u32::MAX);
        longest.mul_f64(f64::from(part) / f64::from(u32::MAX))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
