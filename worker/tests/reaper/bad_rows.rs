//! R4: whatever is the matter with one row, the others go through.

use crate::support::{DUE, Pass, lapsed, once, state};
use claims::domain::ClaimId;
use claims::testing::{TestDatabase, claim_id, entity_key};
use serde_json::json;

const CLAIMS: usize = 10;

/// Ten due claims, and the one of them that will make trouble.
async fn scene() -> (TestDatabase, ClaimId) {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", CLAIMS, DUE).await;
    (db, claim_id("due_4", 1))
}

/// A pass while the service is up.
async fn next(db: &TestDatabase) -> Pass {
    db.service_has_been_up().await;
    once(db.url()).await
}

/// The line of the log that names the claim.
fn line<'l>(pass: &'l Pass, id: &ClaimId) -> &'l str {
    let mut lines = pass.log.lines().filter(|line| line.contains(&format!("claim {id} ")));
    let line = lines.next().unwrap_or_else(|| panic!("{id} is named: {}", pass.log));
    assert_eq!(lines.next(), None, "once");
    line
}

const COUNTS: [&str; 4] = ["scanned", "expired", "failed", "remaining_due"];

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_is_skipped_and_told_and_stops_nobody_else() {
    let (db, bad) = scene().await;
    db.poison("due_4").await;
    let sick = next(&db).await;
    assert_eq!((sick.code, sick.told(&COUNTS)), (2, json!([10, 9, 1, 1])), "{sick:?}");
    let told = line(&sick, &bad);
    assert!(told.contains("ERROR") && told.contains("poisoned"), "{told}");
    assert_eq!(state(&db, &bad).await, "active");
    db.cure("due_4").await;
    let cured = next(&db).await;
    assert_eq!((cured.code, cured.told(&COUNTS)), (0, json!([1, 1, 0, 0])), "{cured:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_somebody_holds_is_named_and_comes_back_in_the_next_pass() {
    let (db, held_id) = scene().await;
    let held = db.hold_claim(&held_id).await;
    let locked = next(&db).await;
    assert_eq!((locked.code, locked.told(&COUNTS)), (0, json!([10, 9, 0, 1])), "{locked:?}");
    let told = line(&locked, &held_id);
    assert!(told.contains("WARN") && told.contains("locked by somebody"), "{told}");
    assert!(!locked.log.contains("ERROR"), "{}", locked.log);
    assert_eq!(state(&db, &held_id).await, "active");
    held.release().await;
    let free = next(&db).await;
    assert_eq!((free.code, free.told(&COUNTS)), (0, json!([1, 1, 0, 0])), "{free:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_somebody_holds_is_named_and_comes_back_in_the_next_pass() {
    let (db, held_id) = scene().await;
    let held = db.hold_lease(&held_id).await;
    let locked = next(&db).await;
    assert_eq!((locked.code, locked.told(&COUNTS)), (0, json!([10, 9, 0, 1])), "{locked:?}");
    let told = line(&locked, &held_id);
    assert!(told.contains("WARN") && told.contains("locked by somebody"), "{told}");
    held.release().await;
    let free = next(&db).await;
    assert_eq!((free.code, free.told(&COUNTS)), (0, json!([1, 1, 0, 0])), "{free:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_somebody_holds_comes_back_in_the_next_pass() {
    let (db, held_id) = scene().await;
    let held = db.hold_entity(&entity_key("/due/4")).await;
    let locked = next(&db).await;
    assert_eq!((locked.code, locked.told(&COUNTS)), (0, json!([10, 9, 0, 1])), "{locked:?}");
    assert!(!locked.log.contains("one by one"), "it costs nobody a second try: {}", locked.log);
    assert_eq!(state(&db, &held_id).await, "active");
    held.release().await;
    let free = next(&db).await;
    assert_eq!((free.code, free.told(&COUNTS)), (0, json!([1, 1, 0, 0])), "{free:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_without_its_entity_stops_nobody_else_and_is_told() {
    let (db, orphan) = scene().await;
    let gone = "DELETE FROM entity_dispatch_state WHERE entity_url = '/due/4'";
    db.sql.batch_execute(gone).await.unwrap();
    // There is nothing to lock first, so it is never expired; the self-check tells.
    for (scanned, expired) in [(10, 9), (1, 0)] {
        let pass = next(&db).await;
        let counts = json!([scanned, expired, 0, 1]);
        assert_eq!((pass.code, pass.told(&COUNTS)), (2, counts), "{pass:?}");
        let told = line(&pass, &orphan);
        assert!(told.contains("ERROR") && told.contains("not the current one"), "{told}");
        assert_eq!(state(&db, &orphan).await, "active");
    }
    let expired = "SELECT count(*) FROM claim_events WHERE type = 'expired'";
    assert_eq!(db.number(expired).await, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_whose_key_is_no_identity_stops_nobody_else_and_is_told() {
    let (db, _) = scene().await;
    let damaged = "INSERT INTO claim_leases
         SELECT epoch, lease_expires_at, heard_at, last_heartbeat_at, ceiling_at, lease_ttl_ms,
             superseded, stop, tenant_id, '', token_digest, progress
         FROM claim_leases WHERE consumer_id = 'due_4'";
    db.sql.batch_execute(damaged).await.unwrap();
    let pass = next(&db).await;
    assert_eq!((pass.code, pass.told(&COUNTS)), (2, json!([11, 10, 1, 1])), "{pass:?}");
    let told = pass.log.lines().find(|line| line.contains("cannot be read; skipped"));
    let told = told.unwrap_or_else(|| panic!("it is told: {}", pass.log));
    assert!(told.contains("ERROR") && told.contains(r#"lease "default"/""/1"#), "{told}");
}
