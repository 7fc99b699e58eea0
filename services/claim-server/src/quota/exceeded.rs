//! That a quota is used up, and until when.

use std::time::Duration;

/// A quota that is used up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exceeded {
    whose: &'static str,
    limit: &'static str,
    retry: Duration,
}

impl Exceeded {
    pub(super) fn of_tenant(limit: &'static str, retry: Duration) -> Self {
        Self { whose: "tenant", limit, retry: in_whole_millis(retry) }
    }

    pub(super) fn of_caller(limit: &'static str, retry: Duration) -> Self {
        Self { whose: "caller", limit, retry: in_whole_millis(retry) }
    }

    /// That the tenant has no calls left for so long.
    pub(crate) fn calls(retry: Duration) -> Self {
        Self::of_tenant("calls_per_second", retry)
    }

    /// What is said of it. No name is repeated.
    pub(crate) fn text(&self) -> String {
        format!("the quota {} of the {} is used up", self.limit, self.whose)
    }

    /// How long it stays so, at least.
    pub(crate) fn retry(&self) -> Duration {
        self.retry
    }
}

/// Never less than the truth. Few different times make short headers.
fn in_whole_millis(length: Duration) -> Duration {
    let millis = length.as_nanos().div_ceil(1_000_000).max(1);
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}
