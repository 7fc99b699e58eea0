//! W1 … W3.

use super::support::{claim_on, minted, refusal, scene, secs};
use claims::domain::{EntitySignal, Refusal, StreamPath};
use claims::testing::{done, fresh_token, heartbeat, kill, mint, signal, tenant};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn the_holder_of_the_current_claim_may_write_to_its_stream() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    let before = db.all_rows().await;
    let allowed = store.authorize(tenant(), claim.stream.clone(), token).await.unwrap();
    assert_eq!(allowed.id, claim.id);
    assert_eq!((allowed.entity, allowed.fence), (claim.entity, claim.fence));
    assert!(allowed.lease_remaining > secs(25) && allowed.lease_remaining <= secs(30));
    assert_eq!(db.all_rows().await, before, "nothing is written, nothing is extended");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_but_that_of_a_lapsed_lease_is_the_same() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    let side = StreamPath::of_entity(&claim.entity, "/a/side").unwrap();
    let unknown = StreamPath::parse("/nowhere/main").unwrap();
    claim_on(&store, "/b", "w2").await;
    let other = StreamPath::parse("/b/main").unwrap();
    let mut refused = vec![
        store.authorize(tenant(), side, token).await,
        store.authorize(tenant(), unknown, token).await,
        store.authorize(tenant(), other, token).await,
        store.authorize(tenant(), claim.stream.clone(), fresh_token().digest()).await,
    ];
    // Superseded, then ended, then killed.
    let newer = mint("/a", "w3").supersede();
    let newer_token = newer.token.digest();
    let newer = minted(&store, newer).await.claim;
    refused.push(store.authorize(tenant(), claim.stream.clone(), token).await);
    store.done(done(&newer.id)).await.unwrap();
    refused.push(store.authorize(tenant(), claim.stream.clone(), newer_token).await);
    store.signal(kill("/a")).await.unwrap();
    refused.push(store.authorize(tenant(), claim.stream, token).await);
    for refused in refused {
        assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_decides_strictly_and_only_the_right_token_learns_of_it() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    db.lapse(&claim.id, Duration::from_millis(1)).await;
    let lapsed = store.authorize(tenant(), claim.stream.clone(), token).await;
    assert_eq!(refusal(lapsed), Refusal::LeaseLapsed);
    let wrong = store.authorize(tenant(), claim.stream.clone(), fresh_token().digest()).await;
    assert_eq!(refusal(wrong), Refusal::WriteTokenInvalid);
    // An outage protects the claim, not its writes.
    db.sql.batch_execute("DELETE FROM service_liveness").await.unwrap();
    let lapsed = store.authorize(tenant(), claim.stream.clone(), token).await;
    assert_eq!(refusal(lapsed), Refusal::LeaseLapsed);
    // A renewed lease counts again.
    store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    store.authorize(tenant(), claim.stream, token).await.unwrap();
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_is_asked_to_stop_may_write_until_it_has() {
    let (db, store) = scene().await;
    for (url, asked) in [("/paused", EntitySignal::Stop), ("/stopping", EntitySignal::Term)] {
        let minting = mint(url, "w1");
        let token = minting.token.digest();
        let claim = minted(&store, minting).await.claim;
        store.signal(signal(url, asked)).await.unwrap();
        store.authorize(tenant(), claim.stream.clone(), token).await.unwrap();
        store.done(done(&claim.id)).await.unwrap();
        let refused = store.authorize(tenant(), claim.stream, token).await;
        assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
    }
    db.check_invariants().await;
}
