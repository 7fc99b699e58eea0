//! What the store counts, by the names of the specification without their common `claim_`.
//!
//! Every label comes from this code and none from a caller, so the number of series is fixed. Handles
//! are made when a lane is; counting is one addition, and an observation takes the lock of its own
//! histogram for some nanoseconds.
//!
//! What happens to claims is counted by their events (I11), once COMMIT was answered: a refusal has no
//! event, and a transaction that was rolled back, or whose end is unknown, counts for nothing.

mod connections;

use super::error::{TransactionError, is_disconnect};
use crate::domain::{Event, EventType};
use connections::Connections;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::Arc;

pub(super) use connections::{Place, ReadPool};

/// Upper bounds of the histogram of batches: powers of two, up to the largest batch of a lane.
const BATCH_SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0];
/// Upper bounds in seconds of the histogram of waits: an idle lane takes a call at once, a queue that
/// stands lets newcomers wait a tenth of a second, and most callers are gone after ten.
const WAIT_SECONDS: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 10.0];

/// One label, and its value.
type Label = [(&'static str, &'static str); 1];
type Histograms = Family<Label, Histogram, fn() -> Histogram>;

/// What a store counts. Cheap to clone; clones count together.
#[derive(Clone, Debug, Default)]
pub struct StoreMetrics(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    minted: Counter,
    superseded: Counter,
    released: Counter,
    failed: Counter,
    expired: Counter,
    revoked: Counter,
    heartbeats: Counter,
    batch_size: Histograms,
    queue_wait: Histograms,
    queue_depth: Family<Label, Gauge>,
    db_errors: Family<Label, Counter>,
    connections: Arc<Connections>,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            minted: Counter::default(),
            superseded: Counter::default(),
            released: Counter::default(),
            failed: Counter::default(),
            expired: Counter::default(),
            revoked: Counter::default(),
            heartbeats: Counter::default(),
            batch_size: Family::new_with_constructor(|| Histogram::new(BATCH_SIZES)),
            queue_wait: Family::new_with_constructor(|| Histogram::new(WAIT_SECONDS)),
            queue_depth: Family::default(),
            db_errors: Family::default(),
            connections: Arc::default(),
        }
    }
}

impl StoreMetrics {
    /// Enters everything into a registry, whose prefix is that of the service.
    pub fn register(&self, registry: &mut Registry) {
        let Counted { batch_size, queue_wait, queue_depth, db_errors, connections, .. } = &*self.0;
        for (name, help, counter) in [
            (
                "minted",
                "Claims that were minted; a mint that is repeated counts once",
                &self.0.minted,
            ),
            ("superseded", "Claims that a newer one took over", &self.0.superseded),
            ("released", "Claims whose holder completed them", &self.0.released),
            ("failed", "Claims whose holder failed them", &self.0.failed),
            ("expired", "Claims that this program expired", &self.0.expired),
            ("revoked", "Claims that an operator ended", &self.0.revoked),
            ("heartbeats", "Heartbeats that renewed a lease, by whatever call", &self.0.heartbeats),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register("batch_size", "Calls that a lane served together", batch_size.clone());
        registry.register(
            "queue_wait_seconds",
            "Time from joining the queue of a kind of lane to being taken by one",
            queue_wait.clone(),
        );
        registry.register("queue_depth", "Calls that wait for a lane", queue_depth.clone());
        registry.register(
            "db_errors",
            "Connections that could not be had, and round trips and transactions that failed",
            db_errors.clone(),
        );
        registry.register_collector(Box::new(Arc::clone(connections)));
        // Before the first one there would be no series, and no increase to be seen in it.
        for kind in ERROR_KINDS {
            drop(db_errors.get_or_create(&[("kind", kind)]));
        }
    }

    /// What the lanes of one kind count.
    pub(super) fn of_lanes(&self, kind: &'static str) -> LaneMetrics {
        let label = [("kind", kind)];
        LaneMetrics {
            kind,
            batch_size: self.0.batch_size.get_or_create_owned(&label),
            wait: self.0.queue_wait.get_or_create_owned(&label),
            depth: self.0.queue_depth.get_or_create_owned(&label),
            store: self.clone(),
        }
    }

    /// These events are committed.
    pub(super) fn committed(&self, events: &[Event]) {
        for event in events {
            match event.event_type {
                EventType::Minted => &self.0.minted,
                EventType::Superseded => &self.0.superseded,
                EventType::Released => &self.0.released,
                EventType::Failed => &self.0.failed,
                EventType::Expired => &self.0.expired,
                EventType::Revoked => &self.0.revoked,
                EventType::Reminted | EventType::Signaled => continue,
            }
            .inc();
        }
    }

    /// So many heartbeats renewed a lease.
    pub(super) fn renewed(&self, heartbeats: usize) {
        self.0.heartbeats.inc_by(u64::try_from(heartbeats).unwrap_or(u64::MAX));
    }

    /// No connection could be had.
    pub(super) fn not_connected(&self) {
        self.error(CONNECT);
    }

    /// A round trip or a transaction did not come to its end.
    pub(super) fn failed(&self, error: &TransactionError) {
        self.error(match error {
            TransactionError::Disconnected(_) => DISCONNECTED,
            TransactionError::RolledBack(cause) if is_disconnect(cause) => DISCONNECTED,
            TransactionError::RolledBack(_) => ROLLED_BACK,
            TransactionError::OutcomeUnknown(_) => OUTCOME_UNKNOWN,
            TransactionError::TimedOut { .. } => TIMED_OUT,
            TransactionError::Damaged(_) => DAMAGED,
        });
    }

    fn error(&self, kind: &'static str) {
        self.0.db_errors.get_or_create(&[("kind", kind)]).inc();
    }

    /// A connection that is there for as long as the place is kept.
    pub(super) fn place(&self) -> Place {
        Place::among(&self.0.connections)
    }

    /// The connections of a pool count too.
    pub(super) fn count_pool(&self, pool: ReadPool) {
        self.0.connections.add(pool);
    }
}

const CONNECT: &str = "connect";
const DISCONNECTED: &str = "disconnected";
const ROLLED_BACK: &str = "rolled_back";
const OUTCOME_UNKNOWN: &str = "outcome_unknown";
const TIMED_OUT: &str = "timed_out";
const DAMAGED: &str = "damaged";
const ERROR_KINDS: [&str; 6] =
    [CONNECT, DISCONNECTED, ROLLED_BACK, OUTCOME_UNKNOWN, TIMED_OUT, DAMAGED];

/// What the lanes of one kind count, and their queue.
#[derive(Clone, Debug)]
pub(super) struct LaneMetrics {
    pub(super) kind: &'static str,
    pub(super) batch_size: Histogram,
    pub(super) wait: Histogram,
    pub(super) depth: Gauge,
    pub(super) store: StoreMetrics,
}

/// A number of calls as a gauge takes it.
pub(super) fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// The same for a histogram.
pub(super) fn real(count: usize) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests;
