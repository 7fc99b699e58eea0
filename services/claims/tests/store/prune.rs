//! T1, T2 and E3, through the store's reaper.

use super::support::{claim_on, scene, secs};
use claims::domain::ClaimId;
use claims::store::{Pruned, Reaper};
use claims::testing::{TestDatabase, claim_id, done, entity_key, mint, signal};
use std::time::Duration;

const RETENTION: Duration = secs(7 * 86_400);

fn reaper(db: &TestDatabase) -> Reaper {
    Reaper::new(db.database(), "reaper")
}

/// All steps until nothing is left to do.
async fn prune(db: &TestDatabase) -> Pruned {
    let mut all = Pruned::default();
    loop {
        let step = reaper(db).prune_step(RETENTION).await.expect("a step");
        if step.rows() == 0 {
            return all;
        }
        all.claims += step.claims;
        all.events += step.events;
    }
}

/// Moves the ends of claims and all events that exist so far into the past.
async fn age_history(db: &TestDatabase, by: Duration) {
    let seconds = by.as_secs_f64();
    let sql = db.stranger().await;
    let age = format!(
        "SET session_replication_role = replica;
         UPDATE consumer_claims SET claimed_at = claimed_at - {seconds} * interval '1 second',
             ended_at = ended_at - {seconds} * interval '1 second',
             lease_expires_at = lease_expires_at - {seconds} * interval '1 second';
         UPDATE claim_events SET occurred_at = occurred_at - {seconds} * interval '1 second'"
    );
    sql.batch_execute(&age).await.expect("an older history");
}

async fn highest_pruned(db: &TestDatabase) -> i64 {
    db.number("SELECT highest_sequence FROM claim_events_pruned").await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_longer_ago_than_the_retention_is_removed_and_nothing_else() {
    let (db, store) = scene().await;
    let old = claim_on(&store, "/old", "w1").await.id;
    store.done(done(&old)).await.unwrap();
    let running = claim_on(&store, "/running", "w2").await.id;
    age_history(&db, RETENTION).await;
    let young = claim_on(&store, "/young", "w3").await.id;
    store.done(done(&young)).await.unwrap();

    assert_eq!(prune(&db).await, Pruned { claims: 1, events: 3 });
    let kept = "SELECT count(*) FROM consumer_claims WHERE consumer_id IN ('w2', 'w3')";
    assert_eq!(db.number(kept).await, 2, "a live claim stays however old, and {running} is live");
    assert_eq!(db.number("SELECT count(*) FROM consumer_claims").await, 2);
    assert_eq!(db.events_of(&entity_key("/old")).await, Vec::<String>::new());
    assert_eq!(db.events_of(&entity_key("/young")).await, ["minted", "released:done"]);
    assert_eq!(prune(&db).await, Pruned::default(), "nothing is left to do");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_moment_before_the_retention_is_over_nothing_is_removed() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    store.done(done(&id)).await.unwrap();
    age_history(&db, RETENTION - secs(60)).await;
    assert_eq!(prune(&db).await, Pruned::default());
    age_history(&db, secs(60)).await;
    assert_eq!(prune(&db).await, Pruned { claims: 1, events: 2 });
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entities_fences_and_high_water_marks_outlive_the_claims() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    store.done(done(&id)).await.unwrap();
    age_history(&db, RETENTION).await;
    prune(&db).await;
    assert_eq!(db.entity_column(&entity_key("/a"), "fence").await.unwrap(), "1");
    let again = store.mint(mint("/a", "w1").epoch("sub", 1).mint).await;
    assert!(again.is_err(), "epoch 1 stays used up (M3)");
    let next = store.mint(mint("/a", "w1").epoch("sub", 2).mint).await.unwrap();
    assert_eq!(next.claim.fence.get(), 2);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_removed_sequence_is_recorded_and_never_falls() {
    let (db, store) = scene().await;
    assert_eq!(highest_pruned(&db).await, 0);
    store.signal(signal("/a", claims::domain::EntitySignal::Stop)).await.unwrap();
    let id = claim_on(&store, "/b", "w1").await.id;
    age_history(&db, RETENTION).await;
    let highest = db.number("SELECT max(sequence) FROM claim_events").await;
    prune(&db).await;
    assert_eq!(highest_pruned(&db).await, highest);
    store.done(done(&id)).await.unwrap();
    prune(&db).await;
    assert_eq!(highest_pruned(&db).await, highest, "nothing was removed");
    let first = db.number("SELECT min(sequence) FROM claim_events").await;
    assert!(first > highest);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_step_removes_no_more_than_a_thousand_of_each() {
    let (db, _) = scene().await;
    db.sql.batch_execute(include_str!("prune.sql")).await.unwrap();
    let mut reaper = reaper(&db);
    let mut steps = Vec::new();
    loop {
        let step = reaper.prune_step(RETENTION).await.unwrap();
        if step.rows() == 0 {
            break;
        }
        steps.push((step.claims, step.events));
    }
    assert_eq!(steps, [(1_000, 1_000), (1_000, 1_000), (500, 1_000), (0, 1_000), (0, 1_000)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_somebody_holds_waits_for_the_next_step_and_stops_no_other() {
    let (db, store) = scene().await;
    for number in 0..3 {
        let id = claim_on(&store, &format!("/e{number}"), &format!("w{number}")).await.id;
        store.done(done(&id)).await.unwrap();
    }
    age_history(&db, RETENTION).await;
    let stranger = db.stranger().await;
    let hold = "BEGIN; SELECT FROM consumer_claims WHERE consumer_id = 'w1' FOR UPDATE";
    stranger.batch_execute(hold).await.unwrap();
    assert_eq!(prune(&db).await.claims, 2);
    stranger.batch_execute("COMMIT").await.unwrap();
    assert_eq!(prune(&db).await.claims, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_reapers_prune_each_row_once() {
    let (db, _) = scene().await;
    db.sql.batch_execute(include_str!("prune.sql")).await.unwrap();
    let counts = futures_util::future::join_all((0..4).map(|_| prune(&db))).await;
    let claims: u64 = counts.iter().map(|pruned| pruned.claims).sum();
    let events: u64 = counts.iter().map(|pruned| pruned.events).sum();
    let rest = prune(&db).await;
    assert_eq!((claims + rest.claims, events + rest.events), (2_500, 5_000), "{counts:?}");
    assert_eq!(db.number("SELECT count(*) FROM consumer_claims").await, 0);
    assert_eq!(highest_pruned(&db).await, 5_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_of_a_pruned_claim_finds_none() {
    let (db, store) = scene().await;
    let id: ClaimId = claim_id("w1", 1);
    claim_on(&store, "/a", "w1").await;
    store.done(done(&id)).await.unwrap();
    age_history(&db, RETENTION).await;
    prune(&db).await;
    let refused = super::support::refusal(store.done(done(&id)).await);
    assert_eq!(refused, claims::domain::Refusal::ClaimNotFound);
    db.check_invariants().await;
}
