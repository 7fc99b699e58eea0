//! What a tenant or a caller may use at most.

use serde::Deserialize;
use std::num::NonZeroU16;
use std::time::Duration;

/// Most calls a second that can be allowed: more than a server answers, so more is no limit.
const CALLS_PER_SECOND_MAX: u32 = 1_000_000;
/// Most calls at once that can be allowed.
const BURST_MAX: u32 = 10_000_000;
/// Most live claims that can be allowed. They are counted, and counting more takes longer than a mint
/// should wait.
const LIVE_CLAIMS_MAX: u32 = 1_000_000;
/// Most calls of one turn: less than a batch of decisions, which several tenants are to share.
const WEIGHT_MAX: u32 = 100;

/// What a tenant or a caller may use at most, on each server; what is not named is not limited.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuotaLimits {
    /// Calls a second in the long run, of each kind of call by itself. Each heartbeat
    /// of a batch or a stream counts. 1 to 1 000 000.
    pub(crate) calls_per_second: Option<u32>,
    /// Calls at once after a pause; as many as in a second if it is not named. 1 to 10 000 000.
    pub(crate) burst: Option<u32>,
    /// Live claims of a tenant on all servers together; a caller has none, as no claim tells who minted
    /// it. Up to 1 000 000.
    pub(crate) live_claims: Option<u32>,
    /// Open KeepAlive streams of a caller; a tenant has none, as one stream may be about several.
    pub(crate) streams: Option<u32>,
    /// Open watches.
    pub(crate) watchers: Option<u32>,
    /// How many of a tenant's calls are served in its turn when several wait; 1 if it is not named. A
    /// caller has none, as tenants take turns. 1 to 100.
    pub(crate) weight: Option<NonZeroU16>,
}

/// Whose limits they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QuotaOf {
    /// A tenant's, of all its callers together.
    Tenant,
    /// A caller's, in all tenants together.
    Caller,
}

impl QuotaLimits {
    /// Whether they can be kept; an error names the key that is wrong.
    pub(crate) fn check(&self, of: QuotaOf) -> Result<(), String> {
        let within = |key: &str, value: Option<u32>, least: u32, most: u32| match value {
            Some(value) if !(least..=most).contains(&value) => {
                Err(format!("{key}: must be {least} to {most}"))
            }
            _ => Ok(()),
        };
        within("calls_per_second", self.calls_per_second, 1, CALLS_PER_SECOND_MAX)?;
        within("burst", self.burst, 1, BURST_MAX)?;
        within("live_claims", self.live_claims, 0, LIVE_CLAIMS_MAX)?;
        within("weight", self.weight.map(|weight| weight.get().into()), 1, WEIGHT_MAX)?;
        if self.burst.is_some() && self.calls_per_second.is_none() {
            return Err("burst: means nothing without calls_per_second".to_owned());
        }
        if of == QuotaOf::Caller && self.live_claims.is_some() {
            return Err("live_claims: can be limited for tenants only".to_owned());
        }
        if of == QuotaOf::Caller && self.weight.is_some() {
            return Err("weight: tenants take turns, callers do not".to_owned());
        }
        if of == QuotaOf::Tenant && self.streams.is_some() {
            return Err("streams: can be limited for callers only".to_owned());
        }
        Ok(())
    }

    /// How fast calls may come; none if that is not limited.
    pub(super) fn pace(&self) -> Option<Pace> {
        let a_second = self.calls_per_second?;
        let interval = Duration::from_secs(1) / a_second.max(1);
        Some(Pace { interval, capacity: interval * self.burst.unwrap_or(a_second).max(1) })
    }
}

/// How fast calls may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// From one call to the next in the long run.
    pub(super) interval: Duration,
    /// What an empty bucket takes to be full.
    pub(super) capacity: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<QuotaLimits, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_limit_that_is_not_known_is_refused_and_one_not_named_does_not_limit() {
        assert!(limits("calls_per_minute = 7").is_err());
        assert!(limits("calls_per_second = -1").is_err());
        assert!(limits("weight = 0").is_err());
        assert_eq!(limits("").unwrap(), QuotaLimits::default());
        assert_eq!(limits("burst = 1").unwrap().pace(), None);
    }

    #[test]
    fn what_cannot_be_kept_is_refused_by_its_key() {
        use QuotaOf::{Caller, Tenant};
        for (text, of, key) in [
            ("calls_per_second = 0", Tenant, "calls_per_second"),
            ("calls_per_second = 1000001", Caller, "calls_per_second"),
            ("calls_per_second = 1\nburst = 0", Tenant, "burst"),
            ("calls_per_second = 1\nburst = 10000001", Tenant, "burst"),
            ("burst = 5", Caller, "burst"),
            ("live_claims = 1000001", Tenant, "live_claims"),
            ("live_claims = 5", Caller, "live_claims"),
            ("streams = 5", Tenant, "streams"),
            ("weight = 101", Tenant, "weight"),
            ("weight = 5", Caller, "weight"),
        ] {
            let problem = limits(text).unwrap().check(of).unwrap_err();
            assert!(problem.starts_with(&format!("{key}: ")), "{text}: {problem}");
        }
        let all = "calls_per_second = 5\nburst = 9\nlive_claims = 0\nwatchers = 0\nweight = 100";
        limits(all).unwrap().check(Tenant).unwrap();
        limits("streams = 0\nwatchers = 7").unwrap().check(Caller).unwrap();
    }

    #[test]
    fn a_burst_is_worth_a_second_unless_it_is_named() {
        let pace = limits("calls_per_second = 4").unwrap().pace().unwrap();
        let quarter = Duration::from_millis(250);
        assert_eq!(pace, Pace { interval: quarter, capacity: quarter * 4 });
        let pace = limits("calls_per_second = 4\nburst = 1").unwrap().pace().unwrap();
        assert_eq!(pace, Pace { interval: quarter, capacity: quarter });
    }
}
