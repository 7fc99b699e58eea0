//! What a pass tells of itself, and the grace that it leaves (R1).

use crate::support::{AWAY, DUE, lapsed, once, pass, run, running, state, states};
use claims::testing::{TestDatabase, claim_id, entity_key};
use serde_json::json;
use std::collections::BTreeSet;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_tells_what_it_did_in_exactly_the_documented_keys() {
    let db = TestDatabase::in_service().await;
    let idle = once(db.url()).await;
    let keys: BTreeSet<&str> =
        idle.summary.as_object().unwrap().keys().map(String::as_str).collect();
    let documented = [
        "started_at",
        "duration_ms",
        "scanned",
        "expired",
        "failed",
        "held_back",
        "hold_reason",
        "remaining_due",
        "oldest_due_age_ms",
        "pruned",
        "dry_run",
    ];
    assert_eq!(keys, BTreeSet::from(documented));
    assert_eq!(idle.code, 0, "nothing to do is fine");
    for count in ["scanned", "expired", "failed", "held_back", "remaining_due", "pruned"] {
        assert_eq!(idle.summary[count], 0, "{count}");
    }
    assert!(idle.summary["hold_reason"].is_null() && idle.summary["oldest_due_age_ms"].is_null());
    assert_eq!(idle.summary["dry_run"], false);
    assert!(idle.summary["duration_ms"].is_u64());
    let started_at = idle.summary["started_at"].as_str().unwrap();
    assert!(started_at.ends_with('Z') && started_at.contains('T'), "{started_at}");

    lapsed(&db, "due", 3, DUE).await;
    running(&db, "fresh", 1).await;
    db.service_has_been_up().await;
    let busy = once(db.url()).await;
    assert_eq!((busy.code, busy.told(&["scanned", "expired"])), (0, json!([4, 3])));
    let age = busy.count("oldest_due_age_ms");
    assert!((1_000..20_000).contains(&age), "due for 1 s and a bit: {age} ms");
    assert_eq!(states(&db).await, [("active".into(), 1), ("expired".into(), 3)]);
    assert_eq!(state(&db, &claim_id("fresh_0", 1)).await, "active");
    for number in 0..3 {
        let events = db.events_of(&entity_key(&format!("/due/{number}"))).await;
        assert_eq!(events, ["minted", "expired:lease_lapsed"]);
    }
    assert_eq!(once(db.url()).await.count("expired"), 0, "each once");
    let recorded = "SELECT sum(expired)::bigint * 10 + count(*) FROM reaper_passes";
    assert_eq!(db.number(recorded).await, 33, "3 expired in 3 passes");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_without_json_prints_nothing_but_its_log() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", 1, DUE).await;
    let environment = [("DATABASE_URL", db.url()), ("CLAIM_LOG_FORMAT", "text")];
    let ended = run(&["--once"], &environment).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert!(ended.log.contains("expired: 1, failed: 0, held back: 0"), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_left_alone_until_it_has_been_takeable_for_the_reap_grace() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", 1, Duration::from_secs(3)).await;
    assert_eq!(once(db.url()).await.count("expired"), 0);
    db.service_has_been_up().await;
    let shorter = pass(db.url(), &[], &[("CLAIM_REAP_GRACE", "2s")]).await;
    assert_eq!(shorter.count("expired"), 1, "{shorter:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_without_a_database_fails_and_says_so() {
    let nowhere = TestDatabase::empty().await;
    for url in [AWAY, nowhere.url()] {
        let ended = run(&["--once", "--json"], &[("DATABASE_URL", url)]).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
        assert!(ended.log.contains("the pass failed"), "{}", ended.log);
    }
}
