//! What waits together is served together, and nobody can tell.

use super::support::{Stage, claim_on, minted, refusal};
use claims::domain::{ClaimState, EntitySignal, EntityState, Refusal};
use claims::store::{StoreError, StoreSettings};
use claims::testing::{
    Gate, TestDatabase, claim_id, done, entity_key, kill, mint, queued, signal, tenant,
};

#[tokio::test(flavor = "multi_thread")]
async fn mints_of_one_entity_in_one_batch_are_decided_in_order_of_arrival() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let first = queued(store.mint(mint("/a", "w1").epoch("sub", 1).mint)).await;
    let second = queued(store.mint(mint("/a", "w2").epoch("sub", 2).mint)).await;
    let equal = queued(store.mint(mint("/a", "w3").epoch("sub", 2).mint)).await;
    let older = queued(store.mint(mint("/a", "w4").epoch("sub", 1).mint)).await;
    let displaced = queued(store.done(done(&claim_id("w1", 1)))).await;
    stage.play().await;

    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert_eq!(first.claim.claimed_at, second.claim.claimed_at, "one transaction, one time");
    assert_eq!(second.ended_predecessor.unwrap().id, first.claim.id);
    let Refusal::AlreadyClaimed { holder, .. } = refusal(equal.await) else {
        panic!("the equal epoch is taken");
    };
    assert_eq!(holder.as_str(), "w2");
    assert!(matches!(refusal(older.await), Refusal::EpochFenced { .. }));
    let displaced = displaced.await.unwrap();
    assert!(!displaced.already_ended && !displaced.claim.ending.unwrap().entity_cleared);
    assert_eq!(displaced.entity_state, EntityState::Running);
    assert_eq!(
        db.events_of(&entity_key("/a")).await,
        ["minted", "superseded:newer_epoch", "minted", "released:done"]
    );
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_may_be_minted_and_finished_in_one_batch() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let minting = queued(store.mint(mint("/a", "w1").epoch("sub", 1).mint)).await;
    let ending = queued(store.done(done(&claim_id("w1", 1)))).await;
    let again = queued(store.done(done(&claim_id("w1", 1)))).await;
    stage.play().await;
    let claim = minting.await.unwrap().claim;
    assert_eq!(claim.state, ClaimState::Active);
    let ended = ending.await.unwrap();
    assert!(!ended.already_ended && ended.acks_recorded);
    let again = again.await.unwrap();
    assert!(again.already_ended && again.acks_recorded);
    assert_eq!(store.get_claim(claim.id).await.unwrap().0, ended.claim);
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_dones_in_one_batch_one_ends_the_claim() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    let id = claim_on(&store, "/a").await;
    stage.set().await;
    let mut dones = Vec::new();
    for _ in 0..10 {
        dones.push(queued(store.done(done(&id))).await);
    }
    stage.play().await;
    let mut ended_now = 0;
    for done in dones {
        let ended = done.await.unwrap();
        assert!(ended.acks_recorded);
        ended_now += usize::from(!ended.already_ended);
    }
    assert_eq!(ended_now, 1);
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "released:done"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mints_of_one_consumer_in_one_batch_are_issued_different_epochs() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let mut mints = Vec::new();
    for number in 0..5 {
        mints.push(queued(store.mint(mint(&format!("/e{number}"), "w1").mint)).await);
    }
    stage.play().await;
    let mut epochs = Vec::new();
    for mint in mints {
        epochs.push(mint.await.unwrap().claim.id.epoch.get());
    }
    assert_eq!(epochs, [1, 2, 3, 4, 5]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_mint_in_one_batch_is_healed_and_its_last_token_is_the_valid_one() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let (first, second) = (mint("/a", "w1").request("r1"), mint("/a", "w1").request("r1"));
    let (old_token, token) = (first.token.digest(), second.token.digest());
    let first = queued(store.mint(first.mint)).await;
    let second = queued(store.mint(second.mint)).await;
    stage.play().await;
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert!(!first.reminted && second.reminted);
    assert_eq!(first.claim.id, second.claim.id);
    assert_eq!((first.claim.fence.get(), second.claim.fence.get()), (1, 2));
    let stream = second.claim.stream;
    let refused = store.authorize(tenant(), stream.clone(), old_token).await;
    assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
    assert_eq!(store.authorize(tenant(), stream, token).await.unwrap().fence.get(), 2);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_and_mints_of_one_batch_see_each_other() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let first = queued(store.mint(mint("/a", "w1").mint)).await;
    let second = queued(store.mint(mint("/a", "w2").supersede().mint)).await;
    let stop = queued(store.signal(signal("/a", EntitySignal::Stop))).await;
    let paused_out = queued(store.mint(mint("/a", "w3").supersede().mint)).await;
    let killed = queued(store.signal(kill("/a"))).await;
    let late = queued(store.done(done(&claim_id("w1", 1)))).await;
    stage.play().await;
    first.await.unwrap();
    second.await.unwrap();
    assert_eq!(stop.await.unwrap().entity.state, EntityState::Paused);
    let refused = refusal(paused_out.await);
    assert_eq!(refused, Refusal::EntityNotClaimable(EntityState::Paused));
    assert!(killed.await.unwrap().changed);
    let late = late.await.unwrap();
    assert!(late.already_ended && !late.claim.ending.unwrap().entity_cleared);
    assert_eq!(late.claim.state, ClaimState::Revoked);
    let events = db.events_of(&entity_key("/a")).await;
    let ends = ["signaled:stop", "revoked:killed", "revoked:killed", "signaled:kill"];
    assert_eq!(events[..3], ["minted", "superseded:supersede_requested", "minted"]);
    assert_eq!(events[3..], ends);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poisoned_command_harms_nobody_else_in_its_batch() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    let bad = minted(&store, mint("/bad", "bad")).await.claim.id;
    let good = claim_on(&store, "/good").await;
    db.poison("bad").await;
    stage.set().await;
    let before = queued(store.mint(mint("/before", "w1").mint)).await;
    let poisoned = queued(store.done(done(&bad))).await;
    let ending = queued(store.done(done(&good))).await;
    let after = queued(store.mint(mint("/after", "w2").mint)).await;
    stage.play().await;
    before.await.unwrap();
    assert!(!ending.await.unwrap().already_ended);
    after.await.unwrap();
    let failed = poisoned.await.unwrap_err();
    assert!(matches!(failed, StoreError::Unavailable | StoreError::Internal), "{failed}");
    assert_eq!(db.claim_column(&bad, "state").await.as_deref(), Some("active"));
    assert_eq!(db.events_of(&entity_key("/bad")).await, ["minted"]);
    db.check_invariants().await;

    db.cure("bad").await;
    assert!(!store.done(done(&bad)).await.unwrap().already_ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_for_an_epoch_is_run_again_and_harms_nobody_else_in_its_batch() {
    let db = TestDatabase::in_service().await;
    let gate = Gate::open();
    let store = db.gated_store(&gate, &TestDatabase::one_lane());
    let good = claim_on(&store, "/good").await;
    let rival = db.store();
    claim_on(&rival, "/rival").await;
    gate.close();
    let busy = queued(store.signal(signal("/busy", EntitySignal::Cont))).await;
    gate.entered().await;
    let ending = queued(store.done(done(&good))).await;
    let racing = queued(store.mint(mint("/a", "w1").mint)).await;
    // The next batch stops in turn, with the consumer's highest epoch read and not locked.
    gate.let_one_pass();
    busy.await.unwrap();
    gate.entered().await;
    let won = rival.mint(mint("/b", "w1").mint).await.unwrap();
    assert_eq!(won.claim.id.epoch.get(), 1);
    gate.let_pass();
    assert_eq!(racing.await.unwrap().claim.id.epoch.get(), 2);
    assert!(!ending.await.unwrap().already_ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_calls_than_a_batch_takes_are_all_served() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let mut mints = Vec::new();
    for number in 0..300 {
        mints.push(queued(store.mint(mint(&format!("/e{number}"), "w1").mint)).await);
    }
    stage.play().await;
    for (number, mint) in (1..).zip(mints) {
        assert_eq!(mint.await.unwrap().claim.id.epoch.get(), number);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_caller_left_is_not_executed() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    let id = claim_on(&store, "/a").await;
    stage.set().await;
    let left = queued(store.done(done(&id))).await;
    let stayed = queued(store.mint(mint("/b", "w1").mint)).await;
    drop(left);
    stage.play().await;
    stayed.await.unwrap();
    assert_eq!(db.claim_column(&id, "state").await.as_deref(), Some("active"));
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_bound_of_its_queue_a_call_is_refused_and_nothing_is_lost() {
    const BOUND: usize = 4;
    let db = TestDatabase::in_service().await;
    let gate = Gate::closed();
    let settings = StoreSettings { queue_bound: BOUND, ..TestDatabase::one_lane() };
    let store = db.gated_store(&gate, &settings);
    let mut waiting = vec![queued(store.mint(mint("/e0", "w1").mint)).await];
    gate.entered().await;
    for number in 1..=BOUND {
        waiting.push(queued(store.mint(mint(&format!("/e{number}"), "w1").mint)).await);
    }
    for _ in 0..3 {
        let refused = store.mint(mint("/beyond", "w1").mint).await;
        assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
    }
    gate.let_pass();
    for call in waiting {
        call.await.unwrap();
    }
    assert_eq!(db.entity_column(&entity_key("/beyond"), "state").await, None);
    store.mint(mint("/beyond", "w1").mint).await.unwrap();
    db.check_invariants().await;
}
