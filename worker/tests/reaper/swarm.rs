//! R5: however many reapers set out at once, and whatever becomes of them, each due claim is
//! expired exactly once, with exactly one event.

use crate::support::{DUE, Pass, Running, expired, lapsed, pass, states};
use claims::testing::{StayInService, TestDatabase, eventually};
use std::time::Instant;

/// All of them died at once.
const NO_BRAKE: [(&str, &str); 1] = [("CLAIM_BRAKE_SHARE", "1")];

/// The default.
const BATCH: usize = 500;

/// That many due claims, and a service that is up.
async fn scene(claims: usize) -> (TestDatabase, StayInService) {
    let db = TestDatabase::in_service().await;
    let began = Instant::now();
    lapsed(&db, "due", claims, DUE).await;
    println!("{claims} claims staged in {:?}", began.elapsed());
    let in_service = db.stay_in_service();
    (db, in_service)
}

/// Starts that many reapers at once.
fn set_out(db: &TestDatabase, reapers: usize, batch: usize) -> Vec<Running> {
    let batch = format!("--batch={batch}");
    (0..reapers).map(|_| Running::once(db.url(), &[&batch], &NO_BRAKE)).collect()
}

async fn all(reapers: Vec<Running>) -> Vec<Pass> {
    let mut passes = Vec::new();
    for reaper in reapers {
        passes.push(reaper.passed().await);
    }
    passes
}

/// None of them met anything but locked rows.
fn check_quiet(passes: &[Pass]) {
    for pass in passes {
        assert_eq!((pass.code, pass.count("failed")), (0, 0), "{pass:?}");
        let log = pass.log.to_ascii_lowercase();
        assert!(!log.contains("deadlock") && !log.contains("error"), "{}", pass.log);
    }
}

/// Every claim is expired, and by one event.
async fn check_expired_once(db: &TestDatabase, claims: usize) {
    let claims = i64::try_from(claims).expect("a count");
    assert_eq!(states(db).await, [("expired".to_owned(), claims)]);
    let events = "SELECT count(*) FROM claim_events WHERE type = 'expired'";
    assert_eq!(db.number(events).await, claims);
    let named = "SELECT count(DISTINCT (tenant_id, consumer_id, epoch)) FROM claim_events
         WHERE type = 'expired' AND actor = 'reaper' AND reason = 'lease_lapsed'";
    assert_eq!(db.number(named).await, claims);
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 0);
    db.check_invariants().await;
    db.check_transactions();
}

/// Several reapers set out at once on the same claims.
async fn swarm(reapers: usize, claims: usize) {
    let (db, _in_service) = scene(claims).await;
    let began = Instant::now();
    let passes = all(set_out(&db, reapers, BATCH)).await;
    let shares: Vec<i64> = passes.iter().map(|pass| pass.count("expired")).collect();
    println!("{reapers} reapers expired {shares:?} in {:?}", began.elapsed());
    check_quiet(&passes);
    let sum: i64 = shares.iter().sum();
    assert_eq!(sum, i64::try_from(claims).expect("a count"));
    assert_eq!(db.number("SELECT sum(expired)::bigint FROM reaper_passes").await, sum);
    let recorded = i64::try_from(reapers).expect("a count");
    assert_eq!(db.number("SELECT count(*) FROM reaper_passes").await, recorded);
    check_expired_once(&db, claims).await;
}

/// One of five is killed in the middle; the others finish, or the next pass does.
async fn swarm_with_a_death(claims: usize) {
    let (db, _in_service) = scene(claims).await;
    // Every one of them has several batches to go.
    let mut reapers = set_out(&db, 5, claims / 40);
    let all_of_them = i64::try_from(claims).expect("a count");
    let mut seen = 0;
    eventually("some are expired", async || {
        seen = expired(&db).await;
        seen > all_of_them / 10
    })
    .await;
    let victim = reapers.swap_remove(2);
    victim.kill().await;
    let after = expired(&db).await;
    println!("killed when {seen} to {after} of {claims} were expired");
    assert!(after < all_of_them, "in the middle");
    // Nothing is half done, with the others in the midst of it.
    db.check_invariants().await;

    let passes = all(reapers).await;
    check_quiet(&passes);
    let left = all_of_them - expired(&db).await;
    println!("left for the next pass: {left}");
    let next = pass(db.url(), &[], &NO_BRAKE).await;
    assert_eq!((next.code, next.count("expired")), (0, left), "{next:?}");
    assert_eq!(next.count("remaining_due"), 0, "{next:?}");
    check_expired_once(&db, claims).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reapers_that_set_out_together_expire_each_claim_exactly_once() {
    swarm(2, 2_000).await;
    swarm(5, 2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_that_is_killed_in_the_middle_leaves_nothing_half_done() {
    swarm_with_a_death(2_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: scripts/test-reaper"]
async fn two_reapers_expire_twenty_thousand_claims_exactly_once() {
    swarm(2, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: scripts/test-reaper"]
async fn five_reapers_expire_twenty_thousand_claims_exactly_once() {
    swarm(5, 20_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: scripts/test-reaper"]
async fn a_reaper_that_is_killed_among_twenty_thousand_claims_leaves_nothing_half_done() {
    swarm_with_a_death(20_000).await;
}
