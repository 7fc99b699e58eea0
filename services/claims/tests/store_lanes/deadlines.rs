//! Calls whose time is up: nothing is done about them any more, whether their callers know or not. A
//! server that was stopped finds such calls in its queues, and in the transaction that it was in.

use super::support::{DECIDE, claim_on, minted, secs};
use claims::store::{ClaimStore, Database, StoreError, until};
use claims::testing::{Proxy, Road, TestDatabase, entity_key, heartbeat, mint, queued};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_is_up_when_its_turn_comes_changes_nothing() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/held").await;
    let lease = "SELECT (extract(epoch FROM lease_expires_at) * 1000000)::bigint FROM claim_leases";
    let before = db.number(lease).await;

    let late = until(Instant::now(), store.mint(mint("/a", "w1").mint)).await;
    assert!(matches!(late, Err(StoreError::TimedOut)), "{late:?}");
    let late = until(Instant::now(), store.heartbeat(heartbeat(&id))).await;
    assert!(matches!(late, Err(StoreError::TimedOut)), "{late:?}");
    assert!(db.events_of(&entity_key("/a")).await.is_empty());
    assert_eq!(db.number(lease).await, before);

    until(Instant::now() + secs(60), store.mint(mint("/a", "w1").mint)).await.unwrap();
    until(Instant::now() + secs(60), store.heartbeat(heartbeat(&id))).await.unwrap();
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_that_lost_its_session_is_not_begun_again_when_its_time_is_up() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let database = Database::parse(proxy.url()).unwrap();
    let store = ClaimStore::start(&database, &TestDatabase::one_lane());
    // On a session that was used before, whose loss is nobody's fault: one in time is begun again.
    minted(&store, mint("/other", "w1")).await;

    proxy.set(Road::BlackHole);
    let deadline = Instant::now() + secs(1);
    let minting = queued(until(deadline, store.mint(mint("/a", "w1").mint))).await;
    let (lost, answer) = tokio::join!(
        async {
            tokio::time::sleep_until(deadline.into()).await;
            let lost = db.end_sessions(DECIDE).await;
            proxy.set(Road::Open);
            lost
        },
        minting
    );
    assert_eq!(lost, 1);
    assert!(matches!(answer, Err(StoreError::TimedOut)), "{answer:?}");
    assert!(db.events_of(&entity_key("/a")).await.is_empty());
    db.check_invariants().await;
}
