//! T1: what ended or happened longer ago than the retention goes, in bounded steps; T2 and E3: what
//! must outlive it stays, and how far it went is recorded.

use crate::support::{DUE, Pass, age, ended, expired, lapsed, pass, running, states};
use claims::testing::TestDatabase;
use serde_json::json;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// A pass while the service is up.
async fn next(db: &TestDatabase, arguments: &[&str], settings: &[(&str, &str)]) -> Pass {
    db.service_has_been_up().await;
    pass(db.url(), arguments, settings).await
}

/// How many claims and events of a group there are.
async fn kept(db: &TestDatabase, group: &str) -> (i64, i64) {
    let count = async |table: &str| {
        let of = format!("SELECT count(*) FROM {table} WHERE starts_with(consumer_id, '{group}_')");
        db.number(&of).await
    };
    (count("consumer_claims").await, count("claim_events").await)
}

async fn highest_pruned(db: &TestDatabase) -> i64 {
    db.number("SELECT highest_sequence FROM claim_events_pruned").await
}

async fn highest_of(db: &TestDatabase, group: &str) -> i64 {
    let highest = "SELECT max(sequence) FROM claim_events WHERE starts_with(consumer_id,";
    db.number(&format!("{highest} '{group}_')")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_retention_goes_and_everything_else_stays() {
    let db = TestDatabase::in_service().await;
    ended(&db, "old", 30, DAY * 7 + DUE).await;
    // Live, however old, and heard of just now; its event is as old as the claim.
    running(&db, "endless", 1).await;
    let old = "SET session_replication_role = replica;
         UPDATE consumer_claims SET claimed_at = claimed_at - interval '1 year'
         WHERE consumer_id = 'endless_0';
         UPDATE claim_events SET occurred_at = occurred_at - interval '1 year'
         WHERE consumer_id = 'endless_0'";
    db.stranger().await.batch_execute(old).await.unwrap();
    let gone = highest_of(&db, "endless").await;
    ended(&db, "young", 20, DAY * 7 - DUE * 10).await;
    let entities = "SELECT md5(string_agg(e::text, ';' ORDER BY entity_url))
         FROM entity_dispatch_state AS e";
    let marks = "SELECT md5(string_agg(m::text, ';' ORDER BY entity_url)) FROM entity_epochs AS m";
    let lasting = async || {
        let entities: String = db.sql.query_one(entities, &[]).await.unwrap().get(0);
        let marks: String = db.sql.query_one(marks, &[]).await.unwrap().get(0);
        (entities, marks)
    };
    let before = lasting().await;

    let first = next(&db, &[], &[]).await;
    // 30 claims with two events each, and the mint of the endless one.
    assert_eq!((first.code, first.count("pruned")), (0, 91), "{first:?}");
    assert_eq!(kept(&db, "old").await, (0, 0));
    assert_eq!(kept(&db, "endless").await, (1, 0));
    assert_eq!(kept(&db, "young").await, (20, 40));
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 1);
    assert_eq!(lasting().await, before, "entities, fences and marks outlive their claims");
    assert_eq!(highest_pruned(&db).await, gone);
    assert_eq!(db.number("SELECT sum(pruned)::bigint FROM reaper_passes").await, 91);

    let second = next(&db, &[], &[]).await;
    assert_eq!((second.code, second.count("pruned")), (0, 0), "{second:?}");
    assert_eq!(highest_pruned(&db).await, gone, "it never falls");

    let shorter = next(&db, &[], &[("CLAIM_RETENTION", "6d")]).await;
    assert_eq!(shorter.count("pruned"), 60, "{shorter:?}");
    assert_eq!(kept(&db, "young").await, (0, 0));
    assert_eq!(lasting().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_sequence_that_went_is_recorded_whatever_lies_below_it() {
    let db = TestDatabase::in_service().await;
    for (group, ago) in [("first", YEAR), ("young", DUE), ("last", YEAR)] {
        ended(&db, group, 3, ago).await;
    }
    let highest = highest_of(&db, "last").await;
    let pass = next(&db, &[], &[]).await;
    assert_eq!((pass.code, pass.count("pruned")), (0, 18), "{pass:?}");
    assert_eq!(kept(&db, "young").await, (3, 6));
    // Whoever resumes from one of the young ones is refused, and misses nothing unawares.
    assert_eq!(highest_pruned(&db).await, highest);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_step_is_removed_in_one_pass() {
    let db = TestDatabase::in_service().await;
    ended(&db, "old", 2_500, YEAR).await;
    ended(&db, "young", 10, DUE).await;
    let gone = highest_of(&db, "old").await;
    let pass = next(&db, &[], &[]).await;
    assert_eq!((pass.code, pass.count("pruned")), (0, 7_500), "{pass:?}");
    assert_eq!(kept(&db, "old").await, (0, 0));
    assert_eq!(kept(&db, "young").await, (10, 20));
    assert_eq!(highest_pruned(&db).await, gone);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_pruning_nothing_is_removed() {
    let db = TestDatabase::in_service().await;
    ended(&db, "old", 10, YEAR).await;
    lapsed(&db, "due", 2, DUE).await;
    let pass = next(&db, &["--no-prune"], &[]).await;
    assert_eq!((pass.code, pass.told(&["expired", "pruned"])), (0, json!([2, 0])), "{pass:?}");
    assert_eq!(kept(&db, "old").await, (10, 20));
    assert_eq!(highest_pruned(&db).await, 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_only_prunes_expires_nothing() {
    let db = TestDatabase::in_service().await;
    ended(&db, "old", 10, YEAR).await;
    lapsed(&db, "due", 2, DUE).await;
    age(&db, "due", DAY).await;
    let pass = next(&db, &["--only-prune"], &[]).await;
    let told = pass.told(&["expired", "remaining_due", "pruned", "dry_run"]);
    assert_eq!((pass.code, told), (0, json!([0, 2, 30, false])), "{pass:?}");
    assert_eq!(expired(&db).await, 0);
    assert_eq!(states(&db).await, [("active".to_owned(), 2)]);
    assert_eq!(db.number("SELECT sum(pruned)::bigint FROM reaper_passes").await, 30);
    db.check_invariants().await;
}
