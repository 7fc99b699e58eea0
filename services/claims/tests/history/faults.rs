//! What goes wrong during a round, one thing after the other: sessions ended by an operator, connections
//! cut before or after a COMMIT, entities and leases held by a stranger.

use super::load::Random;
use super::slots::{Slot, Slots};
use claims::testing::{Proxy, Road, TestDatabase, eventually};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_postgres::Client;

/// Calls between two faults.
const CALLS_BETWEEN: usize = 150;
/// Calls during which a stranger holds a row: some are answered meanwhile, and some have to wait.
const CALLS_WHILE_HELD: usize = 10;

/// What a round's callers and its faults share.
pub(crate) struct Progress {
    /// Calls that were asked so far.
    pub(crate) asked: AtomicUsize,
    /// Clients that still ask.
    pub(crate) clients: AtomicUsize,
}

impl Progress {
    fn has_ended(&self) -> bool {
        self.clients.load(Ordering::Relaxed) == 0
    }

    /// Waits until so many more calls have been asked, or nobody asks any more.
    pub(crate) async fn goes_on(&self, calls: usize) {
        let until = self.asked.load(Ordering::Relaxed) + calls;
        let reached = async || self.has_ended() || self.asked.load(Ordering::Relaxed) >= until;
        eventually("more calls are asked", reached).await;
    }
}

/// Breaks things until the clients have ended; returns how many.
pub(crate) async fn faults(
    db: &TestDatabase,
    proxy: &Proxy,
    slots: &Slots,
    progress: &Progress,
    mut random: Random,
) -> usize {
    let mut count = 0;
    loop {
        progress.goes_on(CALLS_BETWEEN).await;
        if progress.has_ended() {
            return count;
        }
        count += 1;
        match random.below(5) {
            0 => drop(db.end_sessions("one").await),
            1 => proxy.set(Road::CutBeforeCommit),
            2 => proxy.set(Road::CutAfterCommit),
            kind => {
                let slot = slots.any(&mut random);
                let (held, rows) = hold(db, &slot, kind == 3).await;
                count -= usize::from(rows == 0);
                progress.goes_on(CALLS_WHILE_HELD).await;
                held.batch_execute("ROLLBACK").await.expect("an end");
            }
        }
    }
}

/// Locks the entities of a family as a decision would, or its leases as a heartbeat would; those that are
/// there, and how many these are.
async fn hold(db: &TestDatabase, slot: &Slot, leases: bool) -> (Client, usize) {
    let lock = match leases {
        true => {
            "SELECT FROM claim_leases
             WHERE tenant_id = $1 AND split_part(consumer_id, '@', 2) = $2
             ORDER BY consumer_id, epoch FOR NO KEY UPDATE SKIP LOCKED"
        }
        false => {
            "SELECT FROM entity_dispatch_state
             WHERE tenant_id = $1 AND split_part(entity_url, '/', 3) = $2
             ORDER BY entity_url FOR NO KEY UPDATE SKIP LOCKED"
        }
    };
    let stranger = db.stranger().await;
    stranger.batch_execute("BEGIN").await.expect("a transaction");
    let (tenant, name) = (slot.tenant.as_str(), slot.name.to_string());
    let locked = stranger.query(lock, &[&tenant, &name]).await.expect("locks");
    (stranger, locked.len())
}
