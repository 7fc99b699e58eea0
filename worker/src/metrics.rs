//! What the reaper counts, by the names that dashboards and alerts know.

use claims::domain::Timestamp;
use claims::store::Scan;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Upper bounds in seconds of the histogram of passes: a scan takes milliseconds, a backlog minutes.
const PASS_SECONDS: [f64; 12] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
/// Upper bounds in seconds of the histogram of lateness: around the interval, the brake's span, and
/// the gaps between the runs of a cron deployment.
const LATENESS_SECONDS: [f64; 12] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

type Real = Gauge<f64, AtomicU64>;

/// The reaper's metrics. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    live: Gauge,
    lapsed: Gauge,
    oldest_lapsed_age: Real,
    last_success: Real,
    pass_duration: Histogram,
    held_back: Gauge,
    lateness: Histogram,
    expired: Counter,
    double_holds: Counter,
}

impl Metrics {
    /// All at zero, in a registry of their own.
    #[must_use]
    pub fn registered() -> (Self, Registry) {
        let metrics = Self {
            live: Gauge::default(),
            lapsed: Gauge::default(),
            oldest_lapsed_age: Real::default(),
            last_success: Real::default(),
            pass_duration: Histogram::new(PASS_SECONDS),
            held_back: Gauge::default(),
            lateness: Histogram::new(LATENESS_SECONDS),
            expired: Counter::default(),
            double_holds: Counter::default(),
        };
        let mut registry = Registry::with_prefix("claim");
        let r = &mut registry;
        r.register("live", "Claims that have not ended, by the last scan", metrics.live.clone());
        r.register(
            "lapsed",
            "Live claims whose lease has lapsed, by the last scan",
            metrics.lapsed.clone(),
        );
        r.register(
            "oldest_lapsed_age_seconds",
            "How long ago the first of the lapsed leases lapsed, by the last scan; 0 if none has",
            metrics.oldest_lapsed_age.clone(),
        );
        r.register(
            "reaper_last_success_timestamp_seconds",
            "When a pass last came to its end, by this host's clock; 0 if none has",
            metrics.last_success.clone(),
        );
        r.register(
            "reaper_pass_duration_seconds",
            "How long passes took that came to their end",
            metrics.pass_duration.clone(),
        );
        r.register(
            "reaper_held_back",
            "Lapsed claims that the last pass left alone for an outage or by the brake",
            metrics.held_back.clone(),
        );
        r.register(
            "reaper_lateness_seconds",
            "Time from due to expired, by the database's clock",
            metrics.lateness.clone(),
        );
        r.register("expired", "Claims that this program expired", metrics.expired.clone());
        r.register(
            "double_holds",
            "Rows found by the self-check that contradict each other about who holds an entity; must stay 0",
            metrics.double_holds.clone(),
        );
        (metrics, registry)
    }

    /// A scan was made.
    pub(crate) fn scanned(&self, scan: &Scan) {
        self.live.set(signed(scan.live));
        self.lapsed.set(signed(scan.lapsed));
        self.oldest_lapsed_age.set(scan.oldest_lapsed_age.unwrap_or_default().as_secs_f64());
    }

    /// A claim that was due was expired.
    pub(crate) fn expired(&self, due_at: Timestamp, expired_at: Timestamp) {
        self.expired.inc();
        self.lateness.observe(expired_at.since(due_at).as_secs_f64());
    }

    /// So many claims are held back.
    pub(crate) fn held_back(&self, claims: u64) {
        self.held_back.set(signed(claims));
    }

    /// So many rows contradict I2 or I3.
    pub(crate) fn found_double_holds(&self, rows: u64) {
        self.double_holds.inc_by(rows);
    }

    /// A pass came to its end.
    pub(crate) fn passed(&self, took: Duration) {
        self.pass_duration.observe(took.as_secs_f64());
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_success.set(now.as_secs_f64());
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
