//! What `/metrics` of a server tells, and whether it has grown.

use super::Server;
use super::probes::{http_address, http_get};
use std::collections::BTreeMap;

/// One look at the metrics: each series, with its labels, and its value.
pub(crate) struct Scrape(pub(crate) BTreeMap<String, f64>);

impl Scrape {
    /// Looks now.
    pub(crate) async fn of(server: &Server) -> Self {
        Self::at(&http_address(server).await).await
    }

    /// Looks at an address.
    pub(crate) async fn at(address: &str) -> Self {
        let (status, text) = http_get(address, "/metrics").await;
        assert_eq!(status, 200, "{text}");
        assert!(text.ends_with("# EOF"), "a complete text: {text}");
        let series = text.lines().filter(|line| !line.starts_with('#'));
        let series = series.map(|line| {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            (series.to_owned(), value.parse().expect("a number"))
        });
        Self(series.collect())
    }

    /// The value of a series; 0 if it is not there.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or(0.0)
    }

    /// How many claims have met each fate: minted, superseded, released, failed, expired, revoked.
    pub(crate) fn fates(&self) -> [f64; 6] {
        ["minted", "superseded", "released", "failed", "expired", "revoked"]
            .map(|fate| self.0[&format!("claim_{fate}_total")])
    }

    /// Calls of a method of the service that were answered with that code.
    pub(crate) fn calls(&self, method: &str, code: &str) -> f64 {
        let labels = format!(r#"method="claim.v1.ClaimService/{method}",code="{code}""#);
        self.value(&format!("claim_rpc_duration_seconds_count{{{labels}}}"))
    }

    /// Refusals of a method of the service for that reason.
    pub(crate) fn refusals(&self, method: &str, reason: &str) -> f64 {
        let labels = format!(r#"method="claim.v1.ClaimService/{method}",reason="{reason}""#);
        self.value(&format!("claim_refusals_total{{{labels}}}"))
    }
}
