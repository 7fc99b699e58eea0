//! R6: what an outage means to the reaper, and how servers sign.

use super::support::{OUTAGE_GRACE, REAP_GRACE, YEAR, claim_on, refusal, scene, secs};
use claims::domain::{ClaimId, Refusal};
use claims::store::{ClaimStore, Reaped, Reaper, StoreError};
use claims::testing::{TestDatabase, entity_key, mint};
use std::time::Duration;

const NOW: Duration = Duration::ZERO;

/// A claim whose lease lapsed a minute ago and which was last heard of half a minute before that.
async fn due_claim(db: &TestDatabase, store: &ClaimStore) -> ClaimId {
    let id = claim_on(store, "/a", "w1").await.id;
    db.lapse(&id, secs(60)).await;
    id
}

async fn reaped(db: &TestDatabase, id: &ClaimId) -> Reaped {
    let mut reaper = Reaper::new(db.database(), "reaper");
    let mut reaped = reaper.expire(std::slice::from_ref(id), REAP_GRACE).await.expect("a pass");
    reaped.pop().expect("one answer")
}

/// Moves the last signature into the future.
async fn sign_ahead(db: &TestDatabase, by: &str) {
    let set =
        format!("UPDATE service_liveness SET last_signed_at = clock_timestamp() + interval '{by}'");
    db.sql.batch_execute(&set).await.expect("a signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_expired_while_no_server_signs() {
    let db = TestDatabase::new().await;
    let store = db.store();
    let id = due_claim(&db, &store).await;
    // No server ever signed.
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    let scan = Reaper::new(db.database(), "reaper").scan(REAP_GRACE).await.unwrap();
    assert!(scan.candidates[0].due_at > scan.now, "a candidate that is not due");
    // The last signature is stale.
    db.set_liveness(secs(6), YEAR, OUTAGE_GRACE).await;
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    // Or in the future.
    sign_ahead(&db, "7 seconds").await;
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    // A little of either is nothing.
    sign_ahead(&db, "3 seconds").await;
    assert!(matches!(reaped(&db, &id).await, Reaped::Expired { .. }));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_an_outage_those_not_heard_of_since_have_the_outage_grace() {
    let (db, store) = scene().await;
    let id = due_claim(&db, &store).await;
    db.set_liveness(NOW, OUTAGE_GRACE - secs(5), OUTAGE_GRACE).await;
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    // Takeable after the outage grace, due after the reap grace.
    db.set_liveness(NOW, OUTAGE_GRACE + Duration::from_millis(1), OUTAGE_GRACE).await;
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    db.set_liveness(NOW, OUTAGE_GRACE + REAP_GRACE, OUTAGE_GRACE).await;
    assert!(matches!(reaped(&db, &id).await, Reaped::Expired { .. }));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_does_not_protect_who_was_heard_of_since() {
    let (db, store) = scene().await;
    let id = due_claim(&db, &store).await;
    // Resumed two minutes ago, heard of a minute and a half ago; the grace would last for an hour.
    db.set_liveness(NOW, secs(120), secs(3_600)).await;
    assert!(matches!(reaped(&db, &id).await, Reaped::Expired { .. }));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_an_outage_grace_of_zero_outages_play_no_part() {
    let (db, store) = scene().await;
    let id = due_claim(&db, &store).await;
    db.set_liveness(secs(600), secs(700), Duration::ZERO).await;
    assert!(matches!(reaped(&db, &id).await, Reaped::Expired { .. }));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mint_and_reaper_use_the_same_outage_grace() {
    let (db, store) = scene().await;
    let id = due_claim(&db, &store).await;
    db.set_liveness(NOW, secs(60), secs(200)).await;
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    let Refusal::AlreadyClaimed { takeable_in, .. } =
        refusal(store.mint(mint("/a", "w2").mint).await)
    else {
        panic!("the claim is protected");
    };
    assert!(takeable_in > secs(130) && takeable_in <= secs(140), "{takeable_in:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signature_ends_an_outage_and_the_next_ones_do_not() {
    let db = TestDatabase::new().await;
    let store = db.store();
    let first = store.sign(OUTAGE_GRACE).await.unwrap();
    assert!(first.resumed && first.found_outage_grace.is_none());
    let resumed = resumed_at(&db).await;
    for _ in 0..3 {
        let next = store.sign(OUTAGE_GRACE).await.unwrap();
        assert!(!next.resumed);
        assert_eq!(next.found_outage_grace, Some(OUTAGE_GRACE));
    }
    assert_eq!(resumed_at(&db).await, resumed);
    assert!(signed_ago(&db).await < 5_000);
    // Another server's setting is told.
    assert_eq!(store.sign(secs(7)).await.unwrap().found_outage_grace, Some(OUTAGE_GRACE));
    assert_eq!(store.sign(secs(7)).await.unwrap().found_outage_grace, Some(secs(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_that_finds_the_last_one_stale_resumes() {
    let (db, store) = scene().await;
    for (ago, resumes) in [(3, false), (6, true), (3_600, true), (-3, false), (-7, true)] {
        db.set_liveness(NOW, YEAR, OUTAGE_GRACE).await;
        sign_ahead(&db, &format!("{} seconds", -ago)).await;
        let before = resumed_at(&db).await;
        assert_eq!(store.sign(OUTAGE_GRACE).await.unwrap().resumed, resumes, "{ago} s ago");
        assert_eq!(resumed_at(&db).await != before, resumes);
        assert!(signed_ago(&db).await < 5_000);
    }
    // One that is a little ahead is not taken back.
    db.set_liveness(NOW, YEAR, OUTAGE_GRACE).await;
    sign_ahead(&db, "4 seconds").await;
    store.sign(OUTAGE_GRACE).await.unwrap();
    assert!(signed_ago(&db).await < 0);
}

/// Nobody can heartbeat then, and a server without a heartbeat to serve must not say otherwise.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_signs_while_a_stranger_has_the_leases_for_himself() {
    let (db, store) = scene().await;
    // Its lane is connected.
    store.sign(OUTAGE_GRACE).await.expect("a signature");
    let stranger = db.stranger().await;
    stranger
        .batch_execute("BEGIN; LOCK claim_leases IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("a lock");
    assert!(matches!(store.sign(OUTAGE_GRACE).await, Err(StoreError::Unavailable)));
    stranger.batch_execute("ROLLBACK").await.expect("an end");
    store.sign(OUTAGE_GRACE).await.expect("a signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_service_lets_its_holders_be_heard_before_it_reaps() {
    let db = TestDatabase::new().await;
    let store = db.store();
    let id = due_claim(&db, &store).await;
    assert!(store.sign(OUTAGE_GRACE).await.unwrap().resumed);
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    let renewal = store.heartbeat(claims::testing::heartbeat(&id)).await.unwrap();
    assert!(renewal.had_lapsed);
    assert_eq!(reaped(&db, &id).await, Reaped::NotDue);
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted"]);
    db.check_invariants().await;
}

async fn resumed_at(db: &TestDatabase) -> i64 {
    db.number("SELECT (extract(epoch FROM resumed_at) * 1000000)::bigint FROM service_liveness")
        .await
}

/// Milliseconds.
async fn signed_ago(db: &TestDatabase) -> i64 {
    let ago = "SELECT (extract(epoch FROM clock_timestamp() - last_signed_at) * 1000)::bigint
         FROM service_liveness";
    db.number(ago).await
}
