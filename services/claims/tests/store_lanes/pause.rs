//! A decision stopped between what it read and what it writes: whatever it read is locked, so
//! nothing that others are told in the meantime can turn out wrong.

use super::support::{
    DECIDE, DECIDE_SOLO, HEARTBEAT_SOLO, claim_on, connected_store, refusal, secs,
};
use claims::domain::{ClaimState, Refusal, Renewal};
use claims::store::{ClaimStore, Reaped, Reaper, StoreError};
use claims::testing::{
    Gate, HeldLock, Queued, TestDatabase, done, entity_key, heartbeat, mint, queued, unanswered,
};

/// Waits until a heartbeat waits for the lease that a decision holds, or has its answer already.
async fn until_stopped(db: &TestDatabase, renewing: &mut Queued<'_, Result<Renewal, StoreError>>) {
    unanswered(renewing, db.until_blocked(HEARTBEAT_SOLO)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_during_a_take_over_waits_and_is_told_the_truth() {
    let db = TestDatabase::in_service().await;
    let (gate, store) = (Gate::closed(), connected_store(&db).await);
    let id = claim_on(&store, "/a").await;
    db.lapse(&id, secs(1)).await;
    let other = db.gated_store(&gate, &other_server());

    let taking = queued(other.mint(mint("/a", "w2").mint)).await;
    gate.entered().await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    until_stopped(&db, &mut renewing).await;
    gate.let_pass();
    let (taken, renewed) = tokio::join!(taking, renewing);
    assert_eq!(taken.unwrap().ended_predecessor.unwrap().state, ClaimState::Expired);
    let state = ClaimState::Expired;
    assert!(matches!(refusal(renewed), Refusal::ClaimEnded { state: found, .. } if found == state));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_during_an_expiry_waits_and_is_told_the_truth() {
    let db = TestDatabase::in_service().await;
    let (gate, store) = (Gate::closed(), connected_store(&db).await);
    let id = claim_on(&store, "/a").await;
    db.lapse(&id, secs(60)).await;
    let mut reaper = Reaper::new_paused(db.database(), "reaper", gate.hook());

    let ids = [id.clone()];
    let mut reaping = queued(reaper.expire(&ids, secs(5))).await;
    unanswered(&mut reaping, gate.entered()).await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    until_stopped(&db, &mut renewing).await;
    gate.let_pass();
    let (reaped, renewed) = tokio::join!(reaping, renewing);
    assert!(matches!(reaped.unwrap()[..], [Reaped::Expired { .. }]));
    let state = ClaimState::Expired;
    assert!(matches!(refusal(renewed), Refusal::ClaimEnded { state: found, .. } if found == state));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_during_a_supersede_waits_and_is_told_the_truth() {
    let db = TestDatabase::in_service().await;
    let (gate, store) = (Gate::closed(), connected_store(&db).await);
    let id = claim_on(&store, "/a").await;
    let other = db.gated_store(&gate, &other_server());

    let taking = queued(other.mint(mint("/a", "w2").epoch("sub", 2).mint)).await;
    gate.entered().await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    until_stopped(&db, &mut renewing).await;
    gate.let_pass();
    let (taken, renewed) = tokio::join!(taking, renewing);
    assert_eq!(taken.unwrap().ended_predecessor.unwrap().state, ClaimState::Superseded);
    assert!(matches!(refusal(renewed), Refusal::ClaimSuperseded { .. }));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_during_a_take_over_waits_and_is_told_the_truth() {
    let db = TestDatabase::in_service().await;
    let (gate, store) = (Gate::closed(), connected_store(&db).await);
    let id = claim_on(&store, "/a").await;
    db.lapse(&id, secs(1)).await;
    let other = db.gated_store(&gate, &other_server());

    let taking = queued(other.mint(mint("/a", "w2").mint)).await;
    gate.entered().await;
    let mut ending = queued(store.done(done(&id))).await;
    unanswered(&mut ending, db.until_blocked(DECIDE_SOLO)).await;
    gate.let_pass();
    let (taken, ended) = tokio::join!(taking, ending);
    taken.unwrap();
    let ended = ended.unwrap();
    assert!(ended.already_ended && !ended.acks_recorded);
    assert!(ended.claim.ending.unwrap().entity_cleared);
    db.check_invariants().await;
}

/// Settings of a second server: its sessions are told apart by their name.
fn other_server() -> claims::store::StoreSettings {
    claims::store::StoreSettings { program: "other".to_owned(), ..Default::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_meets_a_heartbeat_in_flight_decides_on_its_outcome() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/a").await;
    db.lapse(&id, secs(1)).await;

    // Both wait for the same row, the heartbeat first.
    let held = db.hold_lease(&id).await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    unanswered(&mut renewing, db.until_blocked(HEARTBEAT_SOLO)).await;
    let mut taking = queued(store.mint(mint("/a", "w2").mint)).await;
    unanswered(&mut taking, db.until_blocked(DECIDE)).await;
    held.release().await;
    let (renewed, taken) = tokio::join!(renewing, taking);
    match renewed {
        Ok(renewal) => {
            assert!(renewal.had_lapsed);
            assert!(matches!(refusal(taken), Refusal::AlreadyClaimed { .. }));
        }
        // A wait for a lock that took too long is tried again, so the mint may come first.
        Err(error) => {
            assert!(matches!(refusal::<()>(Err(error)), Refusal::ClaimEnded { .. }));
            let predecessor = taken.unwrap().ended_predecessor.unwrap();
            assert_eq!(predecessor.state, ClaimState::Expired);
        }
    }
    db.check_invariants().await;
}

/// Starts a mint that would take over a lapsed claim and stops it behind its entity's lock, before
/// it comes to the lease.
async fn stopped_before_the_lease(db: &TestDatabase, store: &ClaimStore) -> (HeldLock, Taking) {
    let id = claim_on(store, "/a").await;
    db.lapse(&id, secs(1)).await;
    let held = db.hold_claim(&id).await;
    let store = store.clone();
    let mut taking: Taking = queued(async move { store.mint(mint("/a", "w2").mint).await }).await;
    unanswered(&mut taking, db.until_blocked(DECIDE)).await;
    (held, taking)
}

type Taking = Queued<'static, Result<claims::domain::Minted, StoreError>>;

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_commits_before_the_lease_is_locked_is_seen_by_the_decision() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let (held, taking) = stopped_before_the_lease(&db, &store).await;
    let id = claims::testing::claim_id("holder of /a", 1);
    assert!(store.heartbeat(heartbeat(&id)).await.unwrap().had_lapsed);
    held.release().await;
    let Refusal::AlreadyClaimed { takeable_in, .. } = refusal(taking.await) else {
        panic!("the claim has been renewed");
    };
    assert!(takeable_in > secs(0));
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_reads_the_time_when_it_holds_its_locks() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/a").await;

    // Behind the entity, behind the claim, behind the lease: whatever it waited for last.
    let held = db.hold_lease(&id).await;
    let mut ending = queued(store.done(done(&id))).await;
    unanswered(&mut ending, db.until_blocked(DECIDE)).await;
    let freed_at =
        db.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").await;
    held.release().await;
    let ended_at = ending.await.unwrap().claim.ending.unwrap().at;
    assert!(ended_at.unix_micros() >= freed_at, "the time was read before the lock was had");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_reads_the_time_when_it_holds_the_lease() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/a").await;
    let held = db.hold_lease(&id).await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    unanswered(&mut renewing, db.until_blocked(HEARTBEAT_SOLO)).await;
    let freed_at =
        db.number("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint").await;
    held.release().await;
    let renewal = renewing.await.unwrap();
    assert!(renewal.expires_at.unix_micros() >= freed_at + 30_000_000);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_whose_new_entity_a_stranger_made_meanwhile_is_decided_anew_with_it() {
    let db = TestDatabase::in_service().await;
    let (gate, store) = (Gate::closed(), db.store());
    let other = db.gated_store(&gate, &other_server());

    // Its transaction has found the entity missing and is about to make it.
    let late = queued(other.mint(mint("/new", "late").mint)).await;
    gate.entered().await;
    let first = store.mint(mint("/new", "first").mint).await.unwrap();
    gate.let_pass();
    let Refusal::AlreadyClaimed { holder, .. } = refusal(late.await) else {
        panic!("the entity is held");
    };
    assert_eq!(holder, first.claim.id.consumer);
    assert_eq!(db.events_of(&entity_key("/new")).await, ["minted"]);
    db.check_invariants().await;
}
