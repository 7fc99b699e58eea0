//! What the tests of this program share.

use claims::domain::{Claim, ClaimId, ClaimState, EntityKey, LeaseTtl, Minted, Refusal};
use claims::store::{ClaimStore, StoreError};
use claims::testing::{MintBuilder, TestDatabase, mint};
use std::time::Duration;

/// The reap grace of these tests.
pub(crate) const REAP_GRACE: Duration = secs(5);
/// The outage grace of these tests.
pub(crate) const OUTAGE_GRACE: Duration = secs(30);
/// A long time.
pub(crate) const YEAR: Duration = secs(365 * 86_400);

/// A count of seconds.
pub(crate) const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A length of lease.
pub(crate) fn ttl(seconds: u64) -> LeaseTtl {
    LeaseTtl::parse(secs(seconds)).expect("a length of lease")
}

/// A database and a store on it.
pub(crate) async fn scene() -> (TestDatabase, ClaimStore) {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    (db, store)
}

/// Mints, which must succeed.
pub(crate) async fn minted(store: &ClaimStore, asked: MintBuilder) -> Minted {
    store.mint(asked.mint).await.expect("a mint")
}

/// Mints `url` with epoch 1 of an authority, for a holder of that name.
pub(crate) async fn claim_on(store: &ClaimStore, url: &str, holder: &str) -> Claim {
    minted(store, mint(url, holder).epoch("sub", 1)).await.claim
}

/// The refusal of a call that was refused.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Refusal {
    match answer.expect_err("a refusal") {
        StoreError::Refused(refusal) => refusal,
        failure => panic!("a failure instead of a refusal: {failure}"),
    }
}

/// Panics unless a refusal says that the claim ended in that state.
pub(crate) fn assert_ended(refused: &Refusal, expected: ClaimState) {
    assert!(
        matches!(refused, Refusal::ClaimEnded { state, .. } if *state == expected),
        "not {expected:?}: {refused}"
    );
}

/// The state of a claim as it is stored.
pub(crate) async fn state_of(db: &TestDatabase, id: &ClaimId) -> String {
    db.claim_column(id, "state").await.expect("a claim")
}

/// The state of an entity as it is stored.
pub(crate) async fn entity_state(db: &TestDatabase, key: &EntityKey) -> String {
    db.entity_column(key, "state").await.expect("an entity")
}

/// The actors of an entity's events, in order.
pub(crate) async fn actors(db: &TestDatabase, key: &EntityKey) -> Vec<String> {
    let query = "SELECT actor FROM claim_events WHERE tenant_id = $1 AND entity_url = $2
         ORDER BY sequence";
    let rows = db.sql.query(query, &[&key.tenant.as_str(), &key.url.as_str()]).await;
    rows.expect("a query").iter().map(|row| row.get(0)).collect()
}
