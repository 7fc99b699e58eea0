//! Latencies of many calls.

use crate::numbers::float;
use anyhow::Result;
use hdrhistogram::Histogram;
use std::time::Duration;

/// In microseconds, up to ten minutes.
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, 600_000_000, 3)?))
    }

    /// One more.
    pub(crate) fn record(&mut self, latency: Duration) -> Result<()> {
        Ok(self.0.record(u64::try_from(latency.as_micros())?.max(1))?)
    }

    /// Those of another.
    pub(crate) fn add(&mut self, others: &Self) -> Result<()> {
        Ok(self.0.add(&others.0)?)
    }

    /// How many.
    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// Below this is that share of them, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> Result<f64> {
        Ok(float(self.0.value_at_quantile(share))? / 1000.0)
    }
}
