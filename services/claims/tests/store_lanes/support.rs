//! What the tests of this program share.

use claims::domain::{ClaimId, EntitySignal, Minted, Refusal};
use claims::store::{ClaimStore, StoreError, StoreSettings};
use claims::testing::{
    Gate, MintBuilder, Queued, TestDatabase, done, entity_key, heartbeat, mint, queued, signal,
    unanswered,
};
use std::time::Duration;

/// Sessions of the lanes that decide batches.
pub(crate) const DECIDE: &str = "claims/decide";
/// Sessions of the lanes that wait for locks.
pub(crate) const DECIDE_SOLO: &str = "claims/decide-solo";
/// Sessions of the lanes that wait for a lease.
pub(crate) const HEARTBEAT_SOLO: &str = "claims/heartbeat-solo";

/// A count of seconds.
pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// Mints, which must succeed.
pub(crate) async fn minted(store: &ClaimStore, asked: MintBuilder) -> Minted {
    store.mint(asked.mint).await.expect("a mint")
}

/// Mints `url` for a holder of its own, with epoch 1, and returns the identity.
pub(crate) async fn claim_on(store: &ClaimStore, url: &str) -> ClaimId {
    let name = format!("holder of {url}");
    minted(store, mint(url, &name).epoch("sub", 1)).await.claim.id
}

/// A store whose lanes, one of each kind, are all connected: those that wait for locks too. For tests
/// that have to be done before Postgres ends a session that sits in a transaction.
pub(crate) async fn connected_store(db: &TestDatabase) -> ClaimStore {
    let settings = StoreSettings { solo_lanes: 1, ..TestDatabase::one_lane() };
    let store = ClaimStore::start(&db.database(), &settings);
    let id = claim_on(&store, "/connected").await;
    let held = db.hold_lease(&id).await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    unanswered(&mut renewing, db.until_blocked(HEARTBEAT_SOLO)).await;
    held.release().await;
    renewing.await.expect("a renewal");
    let held = db.hold_entity(&entity_key("/connected")).await;
    let mut ending = queued(store.done(done(&id))).await;
    unanswered(&mut ending, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    ending.await.expect("an end");
    store
}

/// The refusal of a call that was refused.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Refusal {
    match answer.expect_err("a refusal") {
        StoreError::Refused(refusal) => refusal,
        failure => panic!("a failure instead of a refusal: {failure}"),
    }
}

/// A store whose one decision lane is busy, so that the calls that join its queue become one batch.
pub(crate) struct Stage {
    pub(crate) store: ClaimStore,
    gate: Gate,
    busy: Option<Queued<'static, ()>>,
}

impl Stage {
    /// A store with one lane of each kind, not busy yet.
    pub(crate) fn on(db: &TestDatabase) -> Self {
        let gate = Gate::open();
        let store = db.gated_store(&gate, &TestDatabase::one_lane());
        Self { store, gate, busy: None }
    }

    /// Makes the decision lane busy until [`Stage::play`].
    pub(crate) async fn set(&mut self) {
        self.gate.close();
        let store = self.store.clone();
        // On an entity that no test uses.
        let busy = queued(async move {
            store.signal(signal("/busy", EntitySignal::Cont)).await.expect("a signal");
        });
        self.busy = Some(busy.await);
        self.gate.entered().await;
    }

    /// Lets the lane go on with what has joined its queue.
    pub(crate) async fn play(&mut self) {
        self.gate.let_pass();
        if let Some(busy) = self.busy.take() {
            busy.await;
        }
    }
}
