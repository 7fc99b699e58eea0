//! D1 … D9, and revocation, which ends a claim by the same code.

use super::support::{actors, claim_on, entity_state, minted, refusal, scene, secs, state_of};
use claims::domain::{
    AckedStream, ClaimState, Done, DoneOutcome, EndReason, EntitySignal, EntityState, Refusal, Text,
};
use claims::store::StoreError;
use claims::testing::{
    claim_id, done, entity_key, fresh_token, kill, mint, revoke, signal, tenant,
};

fn ack(path: &str, offset: &str) -> AckedStream {
    AckedStream::parse(path.to_owned(), offset.to_owned()).expect("an ack")
}

fn failed(id: &claims::domain::ClaimId, message: &str) -> Done {
    let error_message = Text::parse("error_message", message).expect("a text");
    Done { outcome: DoneOutcome::Failed, error_message, ..done(id) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_of_the_current_claim_clears_the_entity() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    let ended = store.done(done(&claim.id)).await.unwrap();
    let ending = ended.claim.ending.clone().unwrap();
    assert!(ending.entity_cleared && !ended.already_ended && ended.acks_recorded);
    assert_eq!((ended.claim.state, &ending.reason), (ClaimState::Released, &EndReason::Done));
    assert_eq!(ended.entity_state, EntityState::Idle);
    assert_eq!(ended.claim.lease, claim.lease, "the final lease stays on record");
    assert_eq!(store.get_claim(claim.id.clone()).await.unwrap().0, ended.claim);
    let view = store.get_entity(entity_key("/a")).await.unwrap();
    assert!(view.current.is_none() && view.entity.current.is_none());
    assert_eq!(view.entity.last_ended_at, Some(ending.at));
    assert_eq!(view.entity.last_completed_at, Some(ending.at));
    assert_eq!(view.entity.last_error, None);
    assert_eq!(db.lease_column(&claim.id, "epoch").await, None, "the lease goes with it");
    let refused = store.authorize(tenant(), claim.stream, token).await;
    assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
    assert_eq!(actors(&db, &entity_key("/a")).await, ["holder", "holder"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_of_a_superseded_claim_leaves_the_newer_one_alone() {
    let (db, store) = scene().await;
    let old = claim_on(&store, "/a", "w1").await;
    let newer = mint("/a", "w2").epoch("sub", 2);
    let token = newer.token.digest();
    let newer = minted(&store, newer).await.claim;
    let entity = store.get_entity(entity_key("/a")).await.unwrap().entity;
    for done in [done(&old.id), failed(&old.id, "too late")] {
        let ended = store.done(done).await.unwrap();
        assert!(!ended.claim.ending.unwrap().entity_cleared);
        assert_eq!(ended.claim.state, ClaimState::Released);
        assert_eq!(ended.entity_state, EntityState::Running);
        let view = store.get_entity(entity_key("/a")).await.unwrap();
        assert_eq!(view.entity, entity);
        assert_eq!(view.current.unwrap(), newer);
        store.authorize(tenant(), newer.stream.clone(), token).await.unwrap();
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_of_an_identity_that_never_was_changes_nothing() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1").epoch("sub", 5);
    let token = asked.token.digest();
    let live = minted(&store, asked).await.claim;
    let before = db.all_rows().await;
    for id in [claim_id("w1", 4), claim_id("w1", 6), claim_id("nobody", 5)] {
        assert_eq!(refusal(store.done(done(&id)).await), Refusal::ClaimNotFound);
        assert_eq!(refusal(store.revoke(revoke(&id, "")).await), Refusal::ClaimNotFound);
    }
    assert_eq!(db.all_rows().await, before);
    store.authorize(tenant(), live.stream, token).await.unwrap();
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_needs_nothing_that_a_restart_would_lose() {
    let (db, store) = scene().await;
    let claim = claim_on(&store, "/a", "w1").await;
    drop(store);
    let ended = db.store().done(done(&claim.id)).await.unwrap();
    assert!(!ended.already_ended && ended.claim.ending.unwrap().entity_cleared);
    assert_eq!(ended.entity_state, EntityState::Idle);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_ends_nothing_before_and_learns_nothing_after() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let id = minted(&store, asked).await.claim.id;
    let with = |token| Done { token: Some(token), ..done(&id) };
    let wrong = fresh_token().digest();
    let before = db.all_rows().await;
    assert_eq!(refusal(store.done(with(wrong)).await), Refusal::WriteTokenInvalid);
    assert_eq!(db.all_rows().await, before);
    assert!(!store.done(with(token)).await.unwrap().already_ended);
    let before = db.all_rows().await;
    assert_eq!(refusal(store.done(with(wrong)).await), Refusal::WriteTokenInvalid);
    assert!(store.done(with(token)).await.unwrap().already_ended);
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_that_cannot_be_recorded_as_an_event_does_not_happen() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    db.sql
        .batch_execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN RAISE EXCEPTION ''no events today''; END';
             CREATE TRIGGER refuse BEFORE INSERT ON claim_events
                 FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await
        .unwrap();
    let before = db.all_rows().await;
    let answer = store.done(done(&claim.id)).await.unwrap_err();
    assert!(matches!(answer, StoreError::Unavailable | StoreError::Internal), "{answer}");
    assert_eq!(db.all_rows().await, before);
    store.authorize(tenant(), claim.stream.clone(), token).await.unwrap();
    db.check_invariants().await;
    db.sql.batch_execute("DROP TRIGGER refuse ON claim_events").await.unwrap();
    assert!(!store.done(done(&claim.id)).await.unwrap().already_ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_done_is_told_of_the_first_one() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    let first = store.done(done(&id)).await.unwrap();
    let before = db.all_rows().await;
    let same = store.done(done(&id)).await.unwrap();
    assert!(same.already_ended && same.acks_recorded);
    assert_eq!(same.claim, first.claim);
    let other_acks = Done { acked_streams: vec![ack("/in/main", "43")], ..done(&id) };
    for other in [other_acks, Done { acked_streams: vec![], ..done(&id) }] {
        let answer = store.done(other).await.unwrap();
        assert!(answer.already_ended && !answer.acks_recorded);
        assert_eq!(answer.claim, first.claim);
    }
    // The first ending wins, whatever the second says.
    let answer = store.done(failed(&id, "after all")).await.unwrap();
    assert!(answer.already_ended);
    assert_eq!(answer.claim.state, ClaimState::Released);
    let answer = store.revoke(revoke(&id, "after all")).await.unwrap();
    assert!(answer.already_ended && !answer.acks_recorded);
    assert_eq!(answer.claim, first.claim);
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_after_another_end_is_told_of_that() {
    let (db, store) = scene().await;
    let revoked = claim_on(&store, "/revoked", "w1").await.id;
    store.revoke(revoke(&revoked, "overload")).await.unwrap();
    let expired = claim_on(&store, "/expired", "w2").await.id;
    db.lapse(&expired, secs(1)).await;
    minted(&store, mint("/expired", "w3")).await;
    let before = db.all_rows().await;
    for (id, state, entity) in [
        (revoked, ClaimState::Revoked, EntityState::Idle),
        (expired, ClaimState::Expired, EntityState::Running),
    ] {
        let ended = store.done(Done { acked_streams: vec![], ..done(&id) }).await.unwrap();
        // No accepted done has stored acks, so none of this request's are recorded.
        assert!(ended.already_ended && !ended.acks_recorded);
        assert!(ended.claim.ending.unwrap().entity_cleared);
        assert_eq!((ended.claim.state, ended.entity_state), (state, entity));
    }
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_done_counts_as_long_as_nobody_ended_the_claim() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    db.lapse(&id, secs(86_400)).await;
    let ended = store.done(done(&id)).await.unwrap();
    assert!(!ended.already_ended && ended.acks_recorded);
    assert_eq!(ended.claim.state, ClaimState::Released);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acks_are_kept_as_given() {
    let (db, store) = scene().await;
    for (number, acks) in [
        vec![],
        vec![ack("/b/main", "2"), ack("/a/main", "1"), ack("/b/main", "2")],
        vec![ack("", ""), ack("/ü/\"quoted\\\"", "0000_\u{1f980}")],
        (0..256).map(|n| ack(&format!("/in/{n}"), &"x".repeat(256))).collect(),
    ]
    .into_iter()
    .enumerate()
    {
        let id = claim_on(&store, &format!("/e{number}"), &format!("w{number}")).await.id;
        let asked = Done { acked_streams: acks.clone(), ..done(&id) };
        assert!(store.done(asked.clone()).await.unwrap().acks_recorded);
        let (stored, _) = store.get_claim(id).await.unwrap();
        assert_eq!(stored.ending.unwrap().acked_streams, Some(acks));
        assert!(store.done(asked).await.unwrap().acks_recorded);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_entity_remembers_how_its_current_claims_ended() {
    let (db, store) = scene().await;
    let key = entity_key("/a");
    let entity = async || store.get_entity(key.clone()).await.unwrap().entity;
    let first = minted(&store, mint("/a", "w1")).await.claim.id;
    let ended = store.done(failed(&first, "out of memory")).await.unwrap();
    assert_eq!(ended.claim.state, ClaimState::Failed);
    let ending = ended.claim.ending.unwrap();
    assert_eq!(
        (&ending.reason, ending.error_message.as_str()),
        (&EndReason::Failed, "out of memory")
    );
    let after = entity().await;
    assert_eq!(after.last_ended_at, Some(ending.at));
    assert_eq!(after.last_completed_at, None);
    assert_eq!(after.last_error.as_deref(), Some("out of memory"));

    let second = minted(&store, mint("/a", "w2")).await.claim.id;
    let completed_at = store.done(done(&second)).await.unwrap().claim.ending.unwrap().at;
    let after = entity().await;
    assert_eq!(after.last_completed_at, Some(completed_at));
    assert_eq!(after.last_error.as_deref(), Some("out of memory"));

    let third = minted(&store, mint("/a", "w3")).await.claim.id;
    let revoked_at = store.revoke(revoke(&third, "")).await.unwrap().claim.ending.unwrap().at;
    let after = entity().await;
    assert_eq!(after.last_ended_at, Some(revoked_at));
    assert_eq!(after.last_completed_at, Some(completed_at));
    assert_eq!(db.events_of(&key).await[1..4], ["failed:failed", "minted", "released:done"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_current_claim_stops_a_stopping_entity_and_leaves_a_paused_one() {
    let (db, store) = scene().await;
    for (url, asked, expected) in [
        ("/stopping", EntitySignal::Term, EntityState::Stopped),
        ("/paused", EntitySignal::Stop, EntityState::Paused),
    ] {
        let id = minted(&store, mint(url, "w1")).await.claim.id;
        store.signal(signal(url, asked)).await.unwrap();
        let ended = store.done(done(&id)).await.unwrap();
        assert!(ended.claim.ending.unwrap().entity_cleared);
        assert_eq!(ended.entity_state, expected);
        assert_eq!(entity_state(&db, &entity_key(url)).await, expected.as_str());
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_bears_its_operators_name_and_reason() {
    let (db, store) = scene().await;
    let given = claim_on(&store, "/given", "w1").await.id;
    let ended = store.revoke(revoke(&given, "stuck since noon")).await.unwrap();
    assert!(!ended.already_ended && ended.claim.ending.unwrap().entity_cleared);
    assert_eq!(db.events_of(&entity_key("/given")).await[1], "revoked:stuck since noon");
    assert_eq!(actors(&db, &entity_key("/given")).await, ["holder", "operator"]);
    let reason = db.claim_column(&given, "end_reason").await;
    assert_eq!(reason.as_deref(), Some("stuck since noon"));

    let old = claim_on(&store, "/none", "w2").await.id;
    minted(&store, mint("/none", "w3").epoch("sub", 2)).await;
    let ended = store.revoke(revoke(&old, "")).await.unwrap();
    assert!(!ended.claim.ending.unwrap().entity_cleared);
    assert_eq!(ended.entity_state, EntityState::Running);
    assert_eq!(db.events_of(&entity_key("/none")).await[3], "revoked:revoked");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_claim_stays_revoked() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    store.signal(kill("/a")).await.unwrap();
    let ended = store.done(done(&id)).await.unwrap();
    assert!(ended.already_ended && ended.claim.ending.unwrap().entity_cleared);
    assert_eq!(ended.entity_state, EntityState::Killed);
    assert_eq!(state_of(&db, &id).await, "revoked");
    db.check_invariants().await;
}
