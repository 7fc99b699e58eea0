//! Heartbeats and authorizations that wait together.
//!
//! On a runtime of one thread no lane runs while a test queues calls, so they become one batch.

use super::support::{claim_on, minted, refusal, secs};
use claims::domain::{
    ClaimState, Directive, EntitySignal, Heartbeat, LeaseTtl, Refusal, Text, WriteToken,
};
use claims::store::ClaimStore;
use claims::testing::{
    PATIENCE, TestDatabase, claim_id, done, fresh_token, heartbeat, mint, queued, signal, tenant,
};

/// A heartbeat by the holder of a token.
fn with_token(beat: Heartbeat, token: &WriteToken) -> Heartbeat {
    Heartbeat { token: Some(token.digest()), ..beat }
}

fn with_ttl(beat: Heartbeat, seconds: u64) -> Heartbeat {
    Heartbeat { ttl: Some(LeaseTtl::parse(secs(seconds)).expect("a length")), ..beat }
}

fn with_progress(beat: Heartbeat, progress: &str) -> Heartbeat {
    Heartbeat { progress: Some(Text::parse("progress", progress).expect("a text")), ..beat }
}

/// Counts the updates of leases from here on.
async fn count_renewals(db: &TestDatabase) {
    db.sql
        .batch_execute(
            "CREATE TABLE renewals (consumer_id text);
             CREATE FUNCTION count_renewal() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN INSERT INTO renewals VALUES (new.consumer_id); RETURN NULL; END';
             CREATE TRIGGER count_renewal AFTER UPDATE ON claim_leases
                 FOR EACH ROW EXECUTE FUNCTION count_renewal()",
        )
        .await
        .expect("a trigger");
}

#[tokio::test]
async fn equal_heartbeats_of_one_batch_become_one_and_every_caller_is_answered() {
    let db = TestDatabase::in_service().await;
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let id = claim_on(&store, "/a").await;
    count_renewals(&db).await;
    let one = queued(store.heartbeat(with_progress(with_ttl(heartbeat(&id), 60), "one"))).await;
    let two = queued(store.heartbeat(with_progress(with_ttl(heartbeat(&id), 90), "two"))).await;
    let three = queued(store.heartbeat(with_ttl(heartbeat(&id), 70))).await;
    let (one, two, three) = tokio::join!(one, two, three);
    let renewed = two.unwrap();
    assert_eq!(renewed.remaining, secs(90));
    assert_eq!(one.unwrap(), renewed);
    assert_eq!(three.unwrap(), renewed);
    assert_eq!(db.lease_column(&id, "progress").await.as_deref(), Some("two"));
    assert_eq!(db.number("SELECT count(*) FROM renewals").await, 1);
    db.check_invariants().await;
}

#[tokio::test]
async fn a_given_lease_and_the_claims_own_are_both_honoured_in_one_batch() {
    let db = TestDatabase::in_service().await;
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let id = minted(&store, mint("/a", "w1").lengths(Some(60), None)).await.claim.id;
    let short = queued(store.heartbeat(with_ttl(heartbeat(&id), 1))).await;
    let own = queued(store.heartbeat(heartbeat(&id))).await;
    let long = queued(store.heartbeat(with_ttl(heartbeat(&id), 120))).await;
    let (short, own, long) = tokio::join!(short, own, long);
    assert!(own.unwrap().remaining >= secs(60));
    assert!(long.unwrap().remaining >= secs(120));
    short.unwrap();
    db.check_invariants().await;
}

#[tokio::test]
async fn different_tokens_for_one_claim_in_one_batch_have_answers_of_their_own() {
    let db = TestDatabase::in_service().await;
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let asked = mint("/a", "w1");
    let token = asked.token.clone();
    let id = minted(&store, asked).await.claim.id;
    for wrong_first in [true, false] {
        let wrong = store.heartbeat(with_token(heartbeat(&id), &fresh_token()));
        let right = store.heartbeat(with_token(heartbeat(&id), &token));
        let (wrong, right) = if wrong_first {
            let wrong = queued(wrong).await;
            (wrong, queued(right).await)
        } else {
            let right = queued(right).await;
            (queued(wrong).await, right)
        };
        let none = queued(store.heartbeat(heartbeat(&id))).await;
        let (wrong, right, none) = tokio::join!(wrong, right, none);
        assert_eq!(refusal(wrong), Refusal::WriteTokenInvalid);
        right.unwrap();
        none.unwrap();
    }
    db.check_invariants().await;
}

#[tokio::test]
async fn every_heartbeat_of_a_mixed_batch_has_its_own_verdict() {
    let db = TestDatabase::in_service().await;
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let fine = claim_on(&store, "/fine").await;
    let paused = claim_on(&store, "/paused").await;
    store.signal(signal("/paused", EntitySignal::Stop)).await.unwrap();
    let ended = claim_on(&store, "/ended").await;
    store.done(done(&ended)).await.unwrap();
    let old = claim_on(&store, "/taken").await;
    minted(&store, mint("/taken", "w2").epoch("sub", 2)).await;
    let lapsed = claim_on(&store, "/lapsed").await;
    db.lapse(&lapsed, secs(3)).await;
    let over = minted(&store, mint("/over", "w1").lengths(Some(10), Some(10))).await.claim.id;
    db.age(&over, secs(11)).await;

    let beat = |id| store.heartbeat(heartbeat(id));
    let fine = queued(beat(&fine)).await;
    let paused = queued(beat(&paused)).await;
    let ended = queued(beat(&ended)).await;
    let old = queued(beat(&old)).await;
    let lapsed = queued(beat(&lapsed)).await;
    let over = queued(beat(&over)).await;
    let unknown = claim_id("nobody", 1);
    let unknown = queued(beat(&unknown)).await;
    let answers = async { tokio::join!(fine, paused, ended, old, lapsed, over, unknown) };
    let (fine, paused, ended, old, lapsed, over, unknown) =
        tokio::time::timeout(PATIENCE, answers).await.unwrap();
    let fine = fine.unwrap();
    assert_eq!((fine.directive, fine.had_lapsed), (Directive::Continue, false));
    assert_eq!(paused.unwrap().directive, Directive::Stop);
    let state = ClaimState::Released;
    assert!(matches!(refusal(ended), Refusal::ClaimEnded { state: found, .. } if found == state));
    assert!(matches!(refusal(old), Refusal::ClaimSuperseded { .. }));
    assert!(lapsed.unwrap().had_lapsed);
    assert_eq!(refusal(over), Refusal::CeilingReached);
    assert_eq!(refusal(unknown), Refusal::ClaimNotFound);
    db.check_invariants().await;
}

#[tokio::test]
async fn every_authorization_of_a_batch_has_its_own_answer() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let mut calls = Vec::new();
    for number in 0..20 {
        let asked = mint(&format!("/e{number}"), "w1");
        let token = asked.token.digest();
        let claim = minted(&store, asked).await.claim;
        let stream = claim.stream.clone();
        let right = queued(store.authorize(tenant(), stream.clone(), token)).await;
        let wrong = queued(store.authorize(tenant(), stream, fresh_token().digest())).await;
        calls.push((claim.id, right, wrong));
    }
    for (id, right, wrong) in calls {
        assert_eq!(right.await.unwrap().id, id);
        assert_eq!(refusal(wrong.await), Refusal::WriteTokenInvalid);
    }
    db.check_invariants().await;
}
