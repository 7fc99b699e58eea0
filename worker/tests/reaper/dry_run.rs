//! A dry run looks and tells, and changes nothing.

use crate::support::{DUE, Pass, ended, lapsed, pass, running};
use claims::testing::TestDatabase;
use serde_json::json;
use std::time::Duration;

const YEAR: Duration = Duration::from_secs(365 * 86_400);
const COUNTS: [&str; 5] = ["expired", "held_back", "hold_reason", "remaining_due", "pruned"];

/// A dry run in which not one row of any table changes.
async fn dry_run(db: &TestDatabase) -> Pass {
    db.service_has_been_up().await;
    let before = db.all_rows().await;
    let pass = pass(db.url(), &["--dry-run"], &[]).await;
    assert!(db.all_rows().await == before, "nothing has changed");
    assert_eq!(pass.summary["dry_run"], true);
    pass
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_changes_nothing_and_names_what_a_pass_would_expire() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", 3, DUE).await;
    running(&db, "well", 2).await;
    // A pass would remove these.
    ended(&db, "ended", 2, YEAR).await;
    let dry = dry_run(&db).await;
    assert_eq!((dry.code, dry.told(&COUNTS)), (0, json!([0, 0, null, 3, 0])), "{dry:?}");
    assert!((1_000..20_000).contains(&dry.count("oldest_due_age_ms")), "{dry:?}");
    for number in 0..3 {
        let named = format!("claim default/due_{number}/1 would be expired");
        assert_eq!(dry.log.matches(&named).count(), 1, "{}", dry.log);
    }
    assert_eq!(dry.log.matches("would be expired").count(), 3, "{}", dry.log);
    // And so it does.
    let wet = pass(db.url(), &[], &[]).await;
    assert_eq!((wet.code, wet.told(&COUNTS)), (0, json!([3, 0, null, 0, 6])), "{wet:?}");
    assert_eq!(wet.summary["dry_run"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_a_hundred_and_counts_the_others() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", 105, Duration::from_secs(70)).await;
    let dry = dry_run(&db).await;
    assert_eq!((dry.code, dry.told(&COUNTS)), (0, json!([0, 0, null, 105, 0])), "{dry:?}");
    assert_eq!(dry.log.matches("/1 would be expired").count(), 100, "{}", dry.log);
    assert!(dry.log.contains("5 more would be expired"), "{}", dry.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tells_that_the_brake_would_hold() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "fresh", 30, DUE).await;
    lapsed(&db, "stale", 2, Duration::from_secs(70)).await;
    let dry = dry_run(&db).await;
    assert_eq!((dry.code, dry.told(&COUNTS)), (3, json!([0, 30, "brake", 32, 0])), "{dry:?}");
    assert!(dry.log.contains("the brake holds back claims: 30"), "{}", dry.log);
    assert_eq!(dry.log.matches("would be expired").count(), 2, "{}", dry.log);
    assert!(dry.log.contains("claim default/stale_0/1 would be expired"), "{}", dry.log);
}
