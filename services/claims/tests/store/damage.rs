//! Rows that only a hand in the tables can have made: whoever meets one is told, nobody else suffers.

use super::support::{claim_on, entity_state, minted, scene, secs};
use claims::domain::{ClaimState, EndReason};
use claims::store::{Reaped, Reaper, StoreError};
use claims::testing::{TestDatabase, done, entity_key, heartbeat, mint, tenant};

/// Changes rows behind the store's back.
async fn damage(db: &TestDatabase, statement: &str) {
    let statement = format!(
        "SET session_replication_role = replica; {statement}; SET session_replication_role = DEFAULT"
    );
    db.sql.batch_execute(&statement).await.expect("damage");
}

#[tokio::test]
async fn a_row_that_does_not_parse_harms_nobody_else_in_its_batch() {
    let (db, store) = scene().await;
    let bad = claim_on(&store, "/bad", "w1").await.id;
    let good = claim_on(&store, "/good", "w2").await.id;
    damage(&db, "UPDATE consumer_claims SET runner_id = E'a\\nb' WHERE consumer_id = 'w1'").await;
    let (ended_bad, ended_good) = tokio::join!(store.done(done(&bad)), store.done(done(&good)));
    assert!(matches!(ended_bad, Err(StoreError::Internal)), "{ended_bad:?}");
    assert!(!ended_good.unwrap().already_ended);
    assert!(matches!(store.get_claim(bad.clone()).await, Err(StoreError::Internal)));
    // Nor does it stop the reaper.
    let other = claim_on(&store, "/other", "w3").await.id;
    for id in [&bad, &other] {
        db.lapse(id, secs(60)).await;
    }
    let mut reaper = Reaper::new(db.database(), "reaper");
    let reaped = reaper.expire(&[bad, other], secs(5)).await.unwrap();
    assert_eq!(reaped[0], Reaped::Failed);
    assert!(matches!(reaped[1], Reaped::Expired { .. }), "{reaped:?}");
    db.check_invariants().await;
}

/// A lease whose consumer id no code of ours would have written.
const UNREADABLE_LEASE: &str = "INSERT INTO claim_leases (tenant_id, consumer_id, epoch,
    lease_expires_at, heard_at, lease_ttl_ms, superseded, stop, token_digest)
    SELECT tenant_id, E'a\\nb', epoch, lease_expires_at, heard_at, lease_ttl_ms, superseded, stop,
        token_digest FROM claim_leases WHERE consumer_id = 'w1'";

#[tokio::test]
async fn a_lease_that_cannot_be_read_does_not_stop_the_scan() {
    let (db, store) = scene().await;
    let good = claim_on(&store, "/good", "w1").await.id;
    db.lapse(&good, secs(60)).await;
    damage(&db, UNREADABLE_LEASE).await;
    let mut reaper = Reaper::new(db.database(), "reaper");
    let scan = reaper.scan(secs(5)).await.unwrap();
    assert_eq!((scan.live, scan.unreadable, scan.candidates.len()), (2, 1, 1));
    assert_eq!(scan.candidates[0].id, good);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_of_a_damaged_claim_harms_nobody_else_in_its_batch() {
    let (db, store) = scene().await;
    let bad = claim_on(&store, "/bad", "w1").await.id;
    let ended = claim_on(&store, "/ended", "w2").await.id;
    let good = claim_on(&store, "/good", "w3").await.id;
    store.done(done(&ended)).await.unwrap();
    damage(
        &db,
        "UPDATE consumer_claims SET runner_id = E'a\\nb' WHERE consumer_id = 'w1';
         DELETE FROM claim_leases WHERE consumer_id = 'w1'",
    )
    .await;
    for _ in 0..20 {
        let (of_bad, of_ended, of_good) = tokio::join!(
            store.heartbeat(heartbeat(&bad)),
            store.heartbeat(heartbeat(&ended)),
            store.heartbeat(heartbeat(&good))
        );
        assert!(matches!(of_bad, Err(StoreError::Internal)), "{of_bad:?}");
        assert!(matches!(of_ended, Err(StoreError::Refused(_))), "{of_ended:?}");
        of_good.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_meets_a_damaged_row_harms_no_other_write() {
    let (db, store) = scene().await;
    let bad = minted(&store, mint("/bad", "w1")).await.claim;
    let asked = mint("/good", "w2");
    let token = asked.token.digest();
    let good = minted(&store, asked).await.claim;
    damage(
        &db,
        "UPDATE consumer_claims SET consumer_id = E'a\\nb' WHERE consumer_id = 'w1';
         UPDATE claim_leases SET consumer_id = E'a\\nb' WHERE consumer_id = 'w1';
         UPDATE entity_dispatch_state SET current_consumer_id = E'a\\nb'
         WHERE current_consumer_id = 'w1'",
    )
    .await;
    for _ in 0..20 {
        let (of_bad, of_good) = tokio::join!(
            store.authorize(tenant(), bad.stream.clone(), token),
            store.authorize(tenant(), good.stream.clone(), token)
        );
        assert!(matches!(of_bad, Err(StoreError::Internal)), "{of_bad:?}");
        assert_eq!(of_good.unwrap().id, good.id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_claim_that_lost_its_lease_can_be_finished_and_taken_over() {
    let (db, store) = scene().await;
    let finished = claim_on(&store, "/finished", "w1").await.id;
    let taken = claim_on(&store, "/taken", "w2").await.id;
    damage(&db, "DELETE FROM claim_leases").await;
    let ended = store.done(done(&finished)).await.unwrap();
    assert_eq!(ended.claim.state, ClaimState::Released);
    let newer = minted(&store, mint("/taken", "w3")).await;
    let predecessor = newer.ended_predecessor.unwrap();
    assert_eq!((predecessor.id, predecessor.state), (taken, ClaimState::Expired));
    assert_eq!(predecessor.ending.unwrap().reason, EndReason::LeaseLapsed);
    assert_eq!(entity_state(&db, &entity_key("/finished")).await, "idle");
    db.check_invariants().await;
}
