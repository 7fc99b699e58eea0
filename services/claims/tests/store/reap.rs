//! R1 … R5, through the store's reaper.

use super::support::{REAP_GRACE, actors, claim_on, entity_state, minted, scene, secs, state_of};
use claims::domain::HoldReason;
use claims::domain::{ClaimId, EntitySignal};
use claims::store::{PassRecord, Reaped, Reaper};
use claims::testing::{TestDatabase, claim_id, done, entity_key, heartbeat, mint, signal};
use std::time::Duration;

fn reaper(db: &TestDatabase) -> Reaper {
    Reaper::new(db.database(), "reaper")
}

async fn reap(reaper: &mut Reaper, ids: &[&ClaimId]) -> Vec<Reaped> {
    let ids: Vec<ClaimId> = ids.iter().copied().cloned().collect();
    reaper.expire(&ids, REAP_GRACE).await.expect("a pass")
}

fn is_expired(reaped: &Reaped) -> bool {
    matches!(reaped, Reaped::Expired { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_those_that_lapsed_before_the_reap_grace_longest_due_first() {
    let (db, store) = scene().await;
    let mut ids = Vec::new();
    for (number, lapsed) in [7, 60, 30, 3].into_iter().enumerate() {
        let id = claim_on(&store, &format!("/e{number}"), &format!("w{number}")).await.id;
        db.lapse(&id, secs(lapsed)).await;
        ids.push(id);
    }
    claim_on(&store, "/fresh", "w9").await;
    let scan = reaper(&db).scan(REAP_GRACE).await.unwrap();
    assert_eq!(scan.live, 5);
    let found: Vec<&ClaimId> = scan.candidates.iter().map(|candidate| &candidate.id).collect();
    assert_eq!(found, [&ids[1], &ids[2], &ids[0]]);
    for (candidate, overdue) in scan.candidates.iter().zip([55, 25, 2]) {
        let age = scan.now.since(candidate.due_at);
        assert!(age >= secs(overdue) && age < secs(overdue + 5), "{age:?}");
    }
    assert_eq!(scan.unreadable, 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_left_alone_for_the_reap_grace_and_expired_after_it() {
    let (db, store) = scene().await;
    let early = claim_on(&store, "/early", "w1").await.id;
    let due = claim_on(&store, "/due", "w2").await.id;
    // Within the grace for some seconds to come; beyond it by a millisecond.
    db.lapse(&early, Duration::from_millis(1)).await;
    db.lapse(&due, REAP_GRACE + Duration::from_millis(1)).await;
    let running = claim_on(&store, "/running", "w3").await.id;
    let reaped = reap(&mut reaper(&db), &[&early, &due, &running]).await;
    assert_eq!(reaped[0], Reaped::NotDue);
    assert!(is_expired(&reaped[1]));
    assert_eq!(reaped[2], Reaped::NotDue);
    assert_eq!(state_of(&db, &early).await, "active");
    assert_eq!(db.events_of(&entity_key("/due")).await, ["minted", "expired:lease_lapsed"]);
    assert_eq!(actors(&db, &entity_key("/due")).await, ["holder", "reaper"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_renewed_after_the_scan_is_not_expired() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    db.lapse(&id, secs(60)).await;
    let mut reaper = reaper(&db);
    assert_eq!(reaper.scan(REAP_GRACE).await.unwrap().candidates.len(), 1);
    store.heartbeat(heartbeat(&id)).await.unwrap();
    assert_eq!(reap(&mut reaper, &[&id]).await, [Reaped::NotDue]);
    assert!(reaper.scan(REAP_GRACE).await.unwrap().candidates.is_empty());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_clears_the_entity_as_a_done_does_but_completes_nothing() {
    let (db, store) = scene().await;
    let completed = claim_on(&store, "/a", "w1").await.id;
    store.done(done(&completed)).await.unwrap();
    let before = store.get_entity(entity_key("/a")).await.unwrap().entity;
    let id = minted(&store, mint("/a", "w2")).await.claim.id;
    db.lapse(&id, secs(60)).await;
    assert!(is_expired(&reap(&mut reaper(&db), &[&id]).await[0]));
    let after = store.get_entity(entity_key("/a")).await.unwrap().entity;
    assert_eq!(after.state, claims::domain::EntityState::Idle);
    assert_eq!(after.last_completed_at, before.last_completed_at);
    let (ended, _) = store.get_claim(id).await.unwrap();
    assert_eq!(after.last_ended_at, Some(ended.ending.as_ref().unwrap().at));
    assert!(ended.ending.unwrap().entity_cleared);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_stops_a_stopping_entity_and_leaves_a_paused_one() {
    let (db, store) = scene().await;
    let mut ids = Vec::new();
    for (url, asked) in [("/paused", EntitySignal::Stop), ("/stopping", EntitySignal::Term)] {
        let id = minted(&store, mint(url, "w1")).await.claim.id;
        store.signal(signal(url, asked)).await.unwrap();
        db.lapse(&id, secs(60)).await;
        ids.push(id);
    }
    let reaped = reap(&mut reaper(&db), &ids.iter().collect::<Vec<_>>()).await;
    assert!(reaped.iter().all(is_expired), "{reaped:?}");
    assert_eq!(entity_state(&db, &entity_key("/paused")).await, "paused");
    assert_eq!(entity_state(&db, &entity_key("/stopping")).await, "stopped");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expiry_of_a_superseded_claim_leaves_the_newer_one_alone() {
    let (db, store) = scene().await;
    let old = claim_on(&store, "/a", "w1").await.id;
    let newer = minted(&store, mint("/a", "w2").epoch("sub", 2)).await.claim;
    db.lapse(&old, secs(60)).await;
    assert!(is_expired(&reap(&mut reaper(&db), &[&old]).await[0]));
    let view = store.get_entity(entity_key("/a")).await.unwrap();
    assert_eq!(view.current, Some(newer));
    assert_eq!(view.entity.last_ended_at, None);
    assert_eq!(db.claim_column(&old, "entity_cleared").await.as_deref(), Some("false"));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_lapsed_at_its_ceiling_says_so() {
    let (db, store) = scene().await;
    let id = minted(&store, mint("/a", "w1").lengths(Some(10), Some(10))).await.claim.id;
    db.lapse(&id, secs(60)).await;
    assert!(is_expired(&reap(&mut reaper(&db), &[&id]).await[0]));
    assert_eq!(db.claim_column(&id, "end_reason").await.as_deref(), Some("ceiling_reached"));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_expired_once_however_often_it_is_reaped() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    db.lapse(&id, secs(60)).await;
    let mut reaper = reaper(&db);
    // Named twice in one pass, again in the next, and one that never was.
    let reaped = reap(&mut reaper, &[&id, &id, &claim_id("nobody", 1)]).await;
    assert!(is_expired(&reaped[0]));
    assert_eq!(reaped[1..], [Reaped::AlreadyEnded, Reaped::AlreadyEnded]);
    assert_eq!(reap(&mut reaper, &[&id]).await, [Reaped::AlreadyEnded]);
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "expired:lease_lapsed"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_does_not_stop_the_sweep() {
    let (db, store) = scene().await;
    let mut ids = Vec::new();
    for consumer in ["w1", "bad", "w2", "w3"] {
        let id = claim_on(&store, &format!("/{consumer}"), consumer).await.id;
        db.lapse(&id, secs(60)).await;
        ids.push(id);
    }
    db.poison("bad").await;
    let mut reaper = reaper(&db);
    let ids: Vec<&ClaimId> = ids.iter().collect();
    let reaped = reap(&mut reaper, &ids).await;
    assert_eq!(reaped[1], Reaped::Failed);
    assert_eq!(reaped.iter().filter(|reaped| is_expired(reaped)).count(), 3);
    assert_eq!(state_of(&db, ids[1]).await, "active");
    db.check_invariants().await;
    // It comes back in the next pass.
    db.cure("bad").await;
    let scan = reaper.scan(REAP_GRACE).await.unwrap();
    assert_eq!(scan.candidates.iter().map(|found| &found.id).collect::<Vec<_>>(), [ids[1]]);
    assert!(is_expired(&reap(&mut reaper, &ids[1..2]).await[0]));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_is_expired_in_one_transaction() {
    const CLAIMS: usize = 500;
    let (db, store) = scene().await;
    let mints = (0..CLAIMS).map(|number| {
        let asked = mint(&format!("/e{number}"), &format!("w{number}"));
        async { minted(&store, asked).await.claim.id }
    });
    let ids = futures_util::future::join_all(mints).await;
    db.sql
        .batch_execute(
            "SET session_replication_role = replica;
             UPDATE claim_leases SET lease_expires_at = lease_expires_at - interval '5 minutes',
                 heard_at = heard_at - interval '5 minutes';
             SET session_replication_role = DEFAULT",
        )
        .await
        .unwrap();
    let reaped = reap(&mut reaper(&db), &ids.iter().collect::<Vec<_>>()).await;
    assert!(reaped.iter().all(is_expired));
    let times = "SELECT count(DISTINCT ended_at) FROM consumer_claims WHERE state = 'expired'";
    assert_eq!(db.number(times).await, 1, "at one database time");
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passes_are_recorded_and_the_newest_thousand_are_kept() {
    let (db, _) = scene().await;
    let mut reaper = reaper(&db);
    let scan = reaper.scan(REAP_GRACE).await.unwrap();
    let pass = PassRecord {
        started_at: scan.now,
        scanned: 10,
        expired: 3,
        expired_fresh: 2,
        failed: 1,
        held_back: 2,
        hold_reason: Some(HoldReason::Brake),
        remaining_due: 4,
        oldest_remaining_due_at: Some(scan.now),
        oldest_due_age: Some(secs(61)),
        pruned: 5,
    };
    reaper.record(&pass).await.unwrap();
    let stored = "SELECT count(*) FROM reaper_passes
         WHERE (scanned, expired, failed, held_back, hold_reason, remaining_due, oldest_due_age_ms,
                pruned) = (10, 3, 1, 2, 'brake', 4, 61000, 5) AND started_at <= ended_at
             AND expired_fresh = 2 AND oldest_remaining_due_at = started_at";
    assert_eq!(db.number(stored).await, 1);
    db.sql
        .batch_execute(
            "INSERT INTO reaper_passes (started_at, ended_at, scanned, expired, failed, held_back,
                 remaining_due, pruned)
             SELECT now(), now(), 0, 0, 0, 0, 0, 0 FROM generate_series(1, 1500)",
        )
        .await
        .unwrap();
    reaper.record(&pass).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM reaper_passes").await, 1_000);
    let newest = "SELECT scanned FROM reaper_passes ORDER BY id DESC LIMIT 1";
    assert_eq!(db.number(newest).await, 10);
}
