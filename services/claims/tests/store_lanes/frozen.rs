//! A stranger holds what a call needs, for a while or for good.
//!
//! The stranger may be a server that froze in the middle of a transaction, or a person with psql.
//! Nobody else's calls may suffer, and the call that needs the row has a true answer in the end.

use super::support::{DECIDE, DECIDE_SOLO, HEARTBEAT_SOLO, Stage, claim_on, minted, refusal, secs};
use claims::domain::{ClaimState, EntitySignal, EntityState, Refusal};
use claims::store::{ClaimStore, LOCK_TIMEOUT, Reaped, Reaper, StoreError, StoreSettings};
use claims::testing::{
    Gate, PATIENCE, TestDatabase, done, entity_key, heartbeat, kill, mint, queued, revoke, signal,
    unanswered,
};
use std::time::Duration;
use tokio::time::Instant;

/// A call whose row never comes free waits for at least this long: eight waits of the lock timeout,
/// less a little for clocks that disagree.
const LOCK_WAITS: Duration = LOCK_TIMEOUT.saturating_mul(7);

#[tokio::test(flavor = "multi_thread")]
async fn a_done_waits_for_a_held_entity_and_then_ends_the_claim() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/held").await;
    let held = db.hold_entity(&entity_key("/held")).await;
    let mut ending = queued(store.done(done(&id))).await;
    unanswered(&mut ending, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    let ended = ending.await.unwrap();
    assert!(!ended.already_ended && ended.claim.ending.unwrap().entity_cleared);
    assert_eq!(ended.entity_state, EntityState::Idle);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_decision_waits_for_a_held_entity_and_is_right_afterwards() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/held").await;
    let key = entity_key("/held");

    let held = db.hold_entity(&key).await;
    let mut call = queued(store.signal(signal("/held", EntitySignal::Stop))).await;
    unanswered(&mut call, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    assert_eq!(call.await.unwrap().entity.state, EntityState::Paused);

    let held = db.hold_entity(&key).await;
    let mut call = queued(store.mint(mint("/held", "w2").supersede().mint)).await;
    unanswered(&mut call, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    assert_eq!(refusal(call.await), Refusal::EntityNotClaimable(EntityState::Paused));

    let held = db.hold_entity(&key).await;
    let mut call = queued(store.revoke(revoke(&id, "over"))).await;
    unanswered(&mut call, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    assert_eq!(call.await.unwrap().claim.state, ClaimState::Revoked);

    let held = db.hold_entity(&key).await;
    let mut call = queued(store.signal(kill("/held"))).await;
    unanswered(&mut call, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    assert_eq!(call.await.unwrap().entity.state, EntityState::Killed);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_on_an_entity_that_never_comes_free_is_unavailable_and_changes_nothing() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/held").await;
    let _held = db.hold_entity(&entity_key("/held")).await;
    let asked_at = Instant::now();
    let calls = async {
        tokio::join!(store.done(done(&id)), store.mint(mint("/held", "w2").epoch("sub", 2).mint))
    };
    let (ended, taken) = tokio::time::timeout(PATIENCE, calls).await.unwrap();
    assert!(matches!(ended, Err(StoreError::Unavailable)), "{ended:?}");
    assert!(matches!(taken, Err(StoreError::Unavailable)), "{taken:?}");
    assert!(asked_at.elapsed() >= LOCK_WAITS);
    assert_eq!(db.claim_column(&id, "state").await.as_deref(), Some("active"));
    assert_eq!(db.events_of(&entity_key("/held")).await, ["minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_entity_delays_nobody_else_in_its_batch() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    let id = claim_on(&store, "/held").await;
    let other = claim_on(&store, "/other").await;
    let held = db.hold_entity(&entity_key("/held")).await;

    stage.set().await;
    let mut waiting = queued(store.done(done(&id))).await;
    let mut taking = queued(store.mint(mint("/held", "w2").epoch("sub", 2).mint)).await;
    let ending = queued(store.done(done(&other))).await;
    let minting = queued(store.mint(mint("/new", "w3").mint)).await;
    stage.play().await;
    let others = async {
        let served = async { tokio::join!(ending, minting) };
        // The lane of batches must not wait for a lock, not even for as long as it may.
        let lane_waits = async { while !db.is_blocked(DECIDE).await {} };
        tokio::select! {
            (ended, minted) = served => {
                assert!(!ended.unwrap().already_ended);
                minted.unwrap();
            }
            () = lane_waits => panic!("the lane of batches waits for a stranger's lock"),
        }
    };
    unanswered(&mut waiting, others).await;
    unanswered(&mut taking, db.until_blocked(DECIDE_SOLO)).await;
    held.release().await;
    let (ended, taken) = tokio::join!(waiting, taking);
    assert!(!ended.unwrap().already_ended);
    assert_eq!(taken.unwrap().claim.fence.get(), 2);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_and_authorizations_need_no_entity_lock() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let asked = mint("/held", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    let _held = db.hold_entity(&entity_key("/held")).await;
    assert!(!store.heartbeat(heartbeat(&claim.id)).await.unwrap().had_lapsed);
    store.authorize(claim.id.tenant.clone(), claim.stream, token).await.unwrap();
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_waits_for_a_held_lease_and_delays_nobody_else_in_its_batch() {
    let db = TestDatabase::in_service().await;
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let id = claim_on(&store, "/held").await;
    let other = claim_on(&store, "/other").await;
    let held = db.hold_lease(&id).await;

    // Nobody yields between the two, so they wait together.
    let mut waiting = queued(store.heartbeat(heartbeat(&id))).await;
    let served = async {
        store.heartbeat(heartbeat(&other)).await.unwrap();
        store.heartbeat(heartbeat(&other)).await.unwrap();
        db.until_blocked(HEARTBEAT_SOLO).await;
    };
    unanswered(&mut waiting, served).await;
    held.release().await;
    assert!(waiting.await.unwrap().remaining > secs(29));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_on_a_lease_that_never_comes_free_are_unavailable_and_change_nothing() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/held").await;
    let expiry = db.lease_column(&id, "lease_expires_at").await;
    let _held = db.hold_lease(&id).await;
    let asked_at = Instant::now();
    let calls = async { tokio::join!(store.heartbeat(heartbeat(&id)), store.done(done(&id))) };
    let (renewed, ended) = tokio::time::timeout(PATIENCE, calls).await.unwrap();
    assert!(matches!(renewed, Err(StoreError::Unavailable)), "{renewed:?}");
    assert!(matches!(ended, Err(StoreError::Unavailable)), "{ended:?}");
    assert!(asked_at.elapsed() >= LOCK_WAITS);
    assert_eq!(db.lease_column(&id, "lease_expires_at").await, expiry);
    assert_eq!(db.events_of(&entity_key("/held")).await, ["minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_about_a_held_lease_makes_nobody_else_wait_for_its_end() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    let id = claim_on(&store, "/held").await;
    let other = claim_on(&store, "/other").await;
    let held = db.hold_lease(&id).await;

    stage.set().await;
    let mut waiting = queued(store.done(done(&id))).await;
    let ending = queued(store.done(done(&other))).await;
    stage.play().await;
    let others = async {
        ending.await.unwrap();
        // Nor those of later batches.
        store.mint(mint("/new", "w3").mint).await.unwrap();
    };
    unanswered(&mut waiting, others).await;
    held.release().await;
    assert!(!waiting.await.unwrap().already_ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_a_stranger_is_making_makes_nobody_else_wait_for_its_end() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    let other = claim_on(&store, "/other").await;
    let stranger = db.stranger().await;
    stranger
        .batch_execute(
            "BEGIN; INSERT INTO entity_dispatch_state (tenant_id, entity_url)
             VALUES ('default', '/new')",
        )
        .await
        .unwrap();

    stage.set().await;
    let mut waiting = queued(store.mint(mint("/new", "w1").mint)).await;
    let ending = queued(store.done(done(&other))).await;
    stage.play().await;
    let others = async {
        ending.await.unwrap();
        store.mint(mint("/newer", "w3").mint).await.unwrap();
    };
    unanswered(&mut waiting, others).await;
    stranger.batch_execute("COMMIT").await.unwrap();
    assert_eq!(waiting.await.unwrap().claim.fence.get(), 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_leaves_a_held_entity_for_its_next_pass() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let (held_one, free_one) = (claim_on(&store, "/held").await, claim_on(&store, "/free").await);
    for id in [&held_one, &free_one] {
        db.lapse(id, secs(60)).await;
    }
    let held = db.hold_entity(&entity_key("/held")).await;
    let mut reaper = Reaper::new(db.database(), "reaper");
    let ids = [held_one.clone(), free_one];
    let reaped = reaper.expire(&ids, secs(5)).await.unwrap();
    assert_eq!(reaped[0], Reaped::Locked);
    assert!(matches!(reaped[1], Reaped::Expired { .. }), "{:?}", reaped[1]);
    assert_eq!(db.claim_column(&held_one, "state").await.as_deref(), Some("active"));
    held.release().await;
    let reaped = reaper.expire(&ids, secs(5)).await.unwrap();
    assert!(matches!(reaped[0], Reaped::Expired { .. }), "{:?}", reaped[0]);
    assert_eq!(reaped[1], Reaped::AlreadyEnded);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_ends_a_frozen_server_and_the_calls_that_waited_for_it_succeed() {
    let db = TestDatabase::in_service().await;
    let gate = Gate::closed();
    let settings = StoreSettings { program: "frozen".to_owned(), ..Default::default() };
    let frozen = ClaimStore::start_paused(&db.database(), &settings, gate.hook());
    let store = db.store();
    let id = claim_on(&store, "/old").await;

    // It freezes with an entity, a claim and a lease locked, and about to make another entity.
    let frozen_done = queued(frozen.done(done(&id))).await;
    gate.entered().await;
    let frozen_mint = queued(frozen.mint(mint("/new", "w1").mint)).await;
    gate.entered().await;

    let calls = async {
        tokio::join!(
            store.heartbeat(heartbeat(&id)),
            store.mint(mint("/old", "w2").epoch("sub", 2).mint),
            store.mint(mint("/new", "w2").mint),
        )
    };
    let (renewed, taken, new) = tokio::time::timeout(PATIENCE, calls).await.unwrap();
    // Whichever of the two came first.
    if let Err(error) = renewed {
        assert!(matches!(refusal::<()>(Err(error)), Refusal::ClaimSuperseded { .. }));
    }
    let taken = taken.unwrap();
    assert_eq!(taken.ended_predecessor.unwrap().state, ClaimState::Superseded);
    assert_eq!(new.unwrap().claim.fence.get(), 1);

    // It thaws, and what it had in mind comes to nothing.
    gate.let_pass();
    let (ended, minted) = tokio::join!(frozen_done, frozen_mint);
    assert!(matches!(ended, Err(StoreError::Unavailable)), "{ended:?}");
    // Nobody had to wait for what it was about to make, so its session may have lived.
    match minted {
        Err(StoreError::Unavailable) => {}
        minted => assert!(matches!(refusal(minted), Refusal::AlreadyClaimed { .. })),
    }
    assert_eq!(db.claim_column(&id, "state").await.as_deref(), Some("superseded"));
    assert_eq!(db.events_of(&entity_key("/new")).await, ["minted"]);
    db.check_invariants().await;
}
