//! R1: a reaper that stood still between its scan and its batch expires nobody whose holder had no
//! chance to be heard since.

use crate::support::{DUE, Running, expired, lapsed, once};
use claims::testing::{TestDatabase, claim_id, eventually, heartbeat};
use std::time::Duration;

/// So many that one by one they take seconds.
const CLAIMS: i64 = 1_000;
/// All of them died at once, and every batch is one claim.
const SMALL_BATCHES: [(&str, &str); 2] = [("CLAIM_BRAKE_SHARE", "1"), ("CLAIM_REAP_BATCH", "1")];

/// What the reaper's session does, as the database sees it.
async fn session(db: &TestDatabase) -> Option<String> {
    let query = "SELECT state FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'claim-reaper'";
    let row = db.sql.query_opt(query, &[]).await.expect("one session or none");
    row.and_then(|row| row.get(0))
}

/// A reaper that is stopped in the middle of its pass, between two transactions or within one.
async fn frozen(db: &TestDatabase, state: &str) -> Running {
    lapsed(db, "due", 1_000, DUE).await;
    let reaper = Running::once(db.url(), &[], &SMALL_BATCHES);
    eventually("some are expired", async || expired(db).await >= 5).await;
    eventually("it stands where it is wanted", async || {
        reaper.freeze().await;
        // The database finishes what it was sent.
        eventually("the session is still", async || {
            session(db).await.is_none_or(|state| state != "active")
        })
        .await;
        let stands = session(db).await.is_some_and(|found| found == state);
        if !stands {
            reaper.signal("CONT");
        }
        stands
    })
    .await;
    reaper
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_that_slept_through_an_outage_expires_nobody_afterwards() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    let reaper = frozen(&db, "idle").await;
    let before = expired(&db).await;
    assert!((5..CLAIMS).contains(&before), "in the middle: {before}");
    // The service was away, and came back just now.
    db.set_liveness(Duration::ZERO, Duration::ZERO, Duration::from_secs(30)).await;
    reaper.signal("CONT");
    let woken = reaper.passed().await;
    assert_eq!(expired(&db).await, before, "nobody since");
    assert_eq!((woken.code, woken.count("expired")), (0, before), "{woken:?}");
    assert!(!woken.log.contains("ERROR"), "{}", woken.log);
    // Nor does the next pass, which sees the outage in its scan.
    let next = once(db.url()).await;
    assert_eq!((next.code, next.count("held_back")), (0, CLAIMS - before), "{next:?}");
    assert_eq!(expired(&db).await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_that_slept_while_holders_came_back_expires_none_of_them() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    let reaper = frozen(&db, "idle").await;
    let store = db.store();
    let mut back = Vec::new();
    let live = "SELECT consumer_id FROM claim_leases ORDER BY random() LIMIT 100";
    for row in db.sql.query(live, &[]).await.unwrap() {
        let id = claim_id(row.get(0), 1);
        let renewal = store.heartbeat(heartbeat(&id)).await.expect("nobody has ended it");
        assert!(renewal.had_lapsed);
        back.push(id);
    }
    reaper.signal("CONT");
    let woken = reaper.passed().await;
    assert_eq!((woken.code, woken.count("remaining_due")), (0, 0), "{woken:?}");
    for id in &back {
        assert_eq!(db.claim_column(id, "state").await.as_deref(), Some("active"), "{id}");
    }
    assert_eq!(expired(&db).await, CLAIMS - 100);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_frozen_within_a_transaction_loses_it_and_what_it_had_locked() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    let reaper = frozen(&db, "idle in transaction").await;
    let before = expired(&db).await;
    // Postgres ends a session that sits in a transaction, so that nobody waits for it for ever.
    eventually("its session is gone", async || session(&db).await.is_none()).await;
    let locked = db.sql.query("SELECT FROM claim_leases FOR UPDATE NOWAIT", &[]).await;
    let free = locked.expect("every lease is free").len();
    assert_eq!(i64::try_from(free).unwrap(), CLAIMS - before);
    reaper.signal("CONT");
    let woken = reaper.end().await;
    assert_eq!((woken.code, woken.stdout.as_str()), (1, ""), "{woken:?}");
    assert!(woken.log.contains("the pass failed"), "{}", woken.log);
    assert_eq!(expired(&db).await, before);
    db.check_invariants().await;
}
