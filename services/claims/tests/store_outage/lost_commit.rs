//! A COMMIT is sent and the connection breaks: whether it was done nobody here can know, so it is
//! not repeated here, and the caller who repeats the call is told the truth.

use super::support::store_at;
use claims::domain::EntitySignal;
use claims::store::{ClaimStore, Database, Reaped, Reaper, StoreError};
use claims::testing::{
    Proxy, Road, TestDatabase, claim_id, done, entity_key, mint, queued, signal,
};
use std::time::Duration;

struct Scene {
    db: TestDatabase,
    proxy: Proxy,
    store: ClaimStore,
}

/// A store behind a proxy, with every lane connected.
async fn scene() -> Scene {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let store = store_at(proxy.url());
    for _ in 0..2 {
        let nobody = done(&claim_id("nobody", 1));
        let (one, other) = tokio::join!(store.done(nobody.clone()), store.done(nobody));
        assert!(matches!((one, other), (Err(StoreError::Refused(_)), Err(StoreError::Refused(_)))));
    }
    Scene { db, proxy, store }
}

fn assert_unavailable<T: std::fmt::Debug>(scene: &Scene, answer: &Result<T, StoreError>) {
    assert!(matches!(answer, Err(StoreError::Unavailable)), "{answer:?}");
    assert_eq!(scene.proxy.road(), Road::Open, "a COMMIT has come by");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_whose_commit_was_done_is_healed_by_repeating_it() {
    let scene = scene().await;
    let ask = || mint("/a", "w1").request("r1").mint;
    scene.proxy.set(Road::CutAfterCommit);
    assert_unavailable(&scene, &scene.store.mint(ask()).await);
    assert_eq!(scene.db.events_of(&entity_key("/a")).await, ["minted"], "done once");
    scene.db.check_invariants().await;
    let again = scene.store.mint(ask()).await.unwrap();
    assert!(again.reminted);
    assert_eq!((again.claim.id.epoch.get(), again.claim.fence.get()), (1, 2));
    assert_eq!(scene.db.events_of(&entity_key("/a")).await, ["minted", "reminted"]);
    scene.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_whose_commit_was_never_seen_is_not_repeated_for_its_caller() {
    let scene = scene().await;
    let ask = || mint("/a", "w1").request("r1").mint;
    scene.proxy.set(Road::CutBeforeCommit);
    assert_unavailable(&scene, &scene.store.mint(ask()).await);
    assert_eq!(scene.db.events_of(&entity_key("/a")).await, [""; 0]);
    let again = scene.store.mint(ask()).await.unwrap();
    assert!(!again.reminted);
    assert_eq!((again.claim.id.epoch.get(), again.claim.fence.get()), (1, 1));
    scene.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_whose_commit_was_done_is_told_so_when_repeated() {
    let scene = scene().await;
    let id = scene.store.mint(mint("/a", "w1").mint).await.unwrap().claim.id;
    scene.proxy.set(Road::CutAfterCommit);
    assert_unavailable(&scene, &scene.store.done(done(&id)).await);
    assert_eq!(scene.db.events_of(&entity_key("/a")).await, ["minted", "released:done"]);
    let again = scene.store.done(done(&id)).await.unwrap();
    assert!(again.already_ended && again.acks_recorded);
    assert!(again.claim.ending.unwrap().entity_cleared);
    assert_eq!(scene.db.events_of(&entity_key("/a")).await, ["minted", "released:done"]);
    scene.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_whose_commit_was_done_changes_nothing_when_repeated() {
    let scene = scene().await;
    scene.proxy.set(Road::CutAfterCommit);
    let stop = || signal("/a", EntitySignal::Stop);
    assert_unavailable(&scene, &scene.store.signal(stop()).await);
    assert!(!scene.store.signal(stop()).await.unwrap().changed);
    assert_eq!(scene.db.events_of(&entity_key("/a")).await, ["signaled:stop"]);
    scene.db.check_invariants().await;
}

// On a runtime of one thread no lane runs while a test queues calls, so they become one batch.
#[tokio::test]
async fn every_caller_of_a_batch_whose_commit_was_lost_is_told_that_nobody_knows() {
    let scene = scene().await;
    let mut calls = Vec::new();
    scene.proxy.set(Road::CutAfterCommit);
    for number in 0..10 {
        let asked = mint(&format!("/e{number}"), "w1").request("r1").mint;
        calls.push(queued(scene.store.mint(asked)).await);
    }
    for call in calls {
        assert_unavailable(&scene, &call.await);
    }
    assert_eq!(scene.db.number("SELECT count(*) FROM consumer_claims").await, 10);
    assert_eq!(scene.db.number("SELECT count(*) FROM claim_events").await, 10);
    scene.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_whose_commit_was_done_is_not_done_again() {
    let scene = scene().await;
    let id = scene.store.mint(mint("/a", "w1").mint).await.unwrap().claim.id;
    scene.db.lapse(&id, Duration::from_secs(60)).await;
    let mut reaper = Reaper::new(Database::parse(scene.proxy.url()).unwrap(), "reaper");
    let (ids, grace) = ([id], Duration::from_secs(5));
    scene.db.service_has_been_up().await;
    // Connects, and commits a scan.
    reaper.scan(grace).await.unwrap();
    scene.proxy.set(Road::CutAfterCommit);
    reaper.expire(&ids, grace).await.unwrap_err();
    assert_eq!(scene.proxy.road(), Road::Open, "a COMMIT has come by");
    assert_eq!(reaper.expire(&ids, grace).await.unwrap(), [Reaped::AlreadyEnded]);
    let events = scene.db.events_of(&entity_key("/a")).await;
    assert_eq!(events, ["minted", "expired:lease_lapsed"]);
    scene.db.check_invariants().await;
}
