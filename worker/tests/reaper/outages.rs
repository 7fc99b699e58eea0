//! R6: an outage of the service costs nobody a claim whose holder had no chance to be heard.

use crate::support::{DUE, lapsed, once, state, states};
use claims::testing::{TestDatabase, claim_id, done, heartbeat, mint};
use serde_json::json;
use std::time::Duration;

const YEAR: Duration = Duration::from_secs(365 * 86_400);

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_expired_while_no_server_is_known_to_hear_heartbeats() {
    let db = TestDatabase::new().await;
    lapsed(&db, "due", 2, Duration::from_secs(3600)).await;
    let held = async |what: &str| {
        let pass = once(db.url()).await;
        assert_eq!(pass.code, 0, "{what}: {pass:?}");
        // What is protected is not due.
        let told = pass.told(&["expired", "held_back", "hold_reason", "remaining_due"]);
        assert_eq!(told, json!([0, 2, "outage_grace", 0]), "{what}");
    };
    held("no server ever signed").await;
    let (grace, minute) = (Duration::from_secs(30), Duration::from_secs(60));
    db.set_liveness(Duration::from_secs(6), YEAR, grace).await;
    held("the last signature is stale").await;
    let ahead = "UPDATE service_liveness
         SET last_signed_at = clock_timestamp() + interval '1 hour'";
    db.sql.batch_execute(ahead).await.unwrap();
    held("the last signature is far ahead").await;
    db.set_liveness(Duration::ZERO, Duration::from_secs(29), grace).await;
    held("the service is back for less than the outage grace").await;
    db.set_liveness(Duration::ZERO, minute, minute * 2).await;
    held("the servers have a longer outage grace").await;
    assert_eq!(states(&db).await, [("active".into(), 2)]);
    assert_eq!(db.number("SELECT count(*) FROM claim_events WHERE type = 'expired'").await, 0);

    // Takeable from the end of the outage grace, and due after the reap grace.
    db.set_liveness(Duration::ZERO, Duration::from_secs(33), grace).await;
    assert_eq!(once(db.url()).await.count("expired"), 0);
    db.set_liveness(Duration::ZERO, Duration::from_secs(36), grace).await;
    let pass = once(db.url()).await;
    let counts = pass.told(&["expired", "held_back", "hold_reason"]);
    assert_eq!((pass.code, counts), (0, json!([2, 0, null])));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_heard_of_since_the_outage_is_expired_as_ever_and_others_are_not() {
    let db = TestDatabase::new().await;
    lapsed(&db, "unheard", 1, Duration::from_secs(3600)).await;
    let store = db.store();
    // Heard of 10 s ago, and lapsed for 6 s: its lease was 4 s long.
    store.mint(mint("/heard", "w_heard").lengths(Some(4), None).mint).await.unwrap();
    store.heartbeat(heartbeat(&claim_id("w_heard", 1))).await.unwrap();
    db.age(&claim_id("w_heard", 1), Duration::from_secs(10)).await;
    // It ended by itself, long ago: nobody's business.
    store.mint(mint("/ended", "w_ended").mint).await.unwrap();
    store.done(done(&claim_id("w_ended", 1))).await.unwrap();

    db.set_liveness(Duration::ZERO, Duration::from_secs(15), Duration::from_secs(30)).await;
    let pass = once(db.url()).await;
    let counts = pass.told(&["expired", "held_back", "hold_reason"]);
    assert_eq!((pass.code, counts), (0, json!([1, 1, "outage_grace"])));
    assert_eq!(state(&db, &claim_id("w_heard", 1)).await, "expired");
    assert_eq!(state(&db, &claim_id("unheard_0", 1)).await, "active");
    assert_eq!(state(&db, &claim_id("w_ended", 1)).await, "released");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_outage_grace_a_lapsed_claim_is_due_whoever_signs() {
    let db = TestDatabase::new().await;
    lapsed(&db, "due", 1, DUE).await;
    db.set_liveness(Duration::from_secs(3600), YEAR, Duration::ZERO).await;
    assert_eq!(once(db.url()).await.count("expired"), 1);
    db.check_invariants().await;
}
