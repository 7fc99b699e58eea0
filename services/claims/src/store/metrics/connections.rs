//! How many connections there are, and how many of them are used. Those of lanes and of the reader of
//! events say so themselves; those of pools are asked for when somebody looks.

use diesel_async::AsyncPgConnection;
use diesel_async::pooled_connection::deadpool::Pool;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A pool of connections for reads.
pub(in crate::store) type ReadPool = Pool<AsyncPgConnection>;

/// The connections of a store.
#[derive(Default)]
pub(super) struct Connections {
    idle: AtomicI64,
    used: AtomicI64,
    pools: Mutex<Vec<ReadPool>>,
}

impl Connections {
    pub(super) fn add(&self, pool: ReadPool) {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner).push(pool);
    }

    /// How many are idle, and how many used.
    fn count(&self) -> (i64, i64) {
        let mut idle = self.idle.load(Ordering::Relaxed);
        let mut used = self.used.load(Ordering::Relaxed);
        for pool in self.pools.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let status = pool.status();
            let free = status.available.min(status.size);
            idle += super::signed(free);
            used += super::signed(status.size - free);
        }
        (idle, used)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connections").field(&self.count()).finish()
    }
}

impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (idle, used) = self.count();
        let help = "Connections to the database; used while somebody works on them";
        let gauge = ConstGauge::<i64>::new(0).metric_type();
        let mut family = encoder.encode_descriptor("db_connections", help, None, gauge)?;
        for (state, count) in [("idle", idle), ("used", used)] {
            ConstGauge::new(count).encode(family.encode_family(&[("state", state)])?)?;
        }
        Ok(())
    }
}

/// A connection that is there for as long as this is kept.
#[derive(Debug)]
pub(in crate::store) struct Place {
    connections: Arc<Connections>,
    is_used: bool,
}

impl Place {
    /// One more, idle.
    pub(super) fn among(connections: &Arc<Connections>) -> Self {
        connections.idle.fetch_add(1, Ordering::Relaxed);
        Self { connections: Arc::clone(connections), is_used: false }
    }

    /// Somebody works on it, or nobody does.
    pub(in crate::store) fn is_used(&mut self, is_used: bool) {
        if self.is_used != is_used {
            self.counter().fetch_sub(1, Ordering::Relaxed);
            self.is_used = is_used;
            self.counter().fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counter(&self) -> &AtomicI64 {
        if self.is_used { &self.connections.used } else { &self.connections.idle }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.counter().fetch_sub(1, Ordering::Relaxed);
    }
}
