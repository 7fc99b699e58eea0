//! Nothing comes back any more, and nobody says so: a network that swallows what is sent.

use super::support::{ANSWER_LIMIT, assert_all_unavailable, call_all, known, store_at};
use claims::domain::ClaimState;
use claims::store::{ROUND_TRIP_TIMEOUT, StoreError};
use claims::testing::{Proxy, Road, TestDatabase, done, eventually, heartbeat, mint};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn every_call_is_answered_while_the_database_is_silent_and_the_store_recovers() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let store = store_at(proxy.url());
    let held = known(&store, "/a").await;
    store.heartbeat(heartbeat(&held.id)).await.unwrap();
    store.get_claim(held.id.clone()).await.unwrap();

    proxy.set(Road::BlackHole);
    let asked_at = Instant::now();
    assert_all_unavailable(&call_all(&store, &held).await);
    assert!(asked_at.elapsed() >= ROUND_TRIP_TIMEOUT, "a round trip had its time");
    // Again, now that no lane has a connection.
    let late = tokio::time::timeout(ANSWER_LIMIT, store.heartbeat(heartbeat(&held.id))).await;
    assert!(matches!(late, Ok(Err(StoreError::Unavailable))), "{late:?}");

    proxy.set(Road::Open);
    db.service_has_been_up().await;
    let mut ended = None;
    eventually("a done is served", async || {
        ended = store.done(done(&held.id)).await.ok();
        ended.is_some()
    })
    .await;
    // The done or the revoke of before may have got through without its COMMIT, never with it.
    let ended = ended.unwrap();
    assert!(!ended.already_ended);
    assert_eq!(ended.claim.state, ClaimState::Released);
    eventually("heartbeats are served", async || {
        let asked = mint("/b", "w").request("r").mint;
        let claim = store.mint(asked).await.map(|minted| minted.claim.id);
        match claim {
            Ok(id) => store.heartbeat(heartbeat(&id)).await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
    db.check_invariants().await;
}
