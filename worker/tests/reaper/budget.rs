//! A budget ends a pass between two steps; the next pass goes on.

use crate::support::{DUE, expired, lapsed, pass};
use claims::testing::TestDatabase;

/// So many that one by one they take longer than the budget.
const CLAIMS: usize = 3_000;
/// All of them died at once.
const NO_BRAKE: [(&str, &str); 1] = [("CLAIM_BRAKE_SHARE", "1")];

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_ends_with_its_budget_and_the_next_one_finishes() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", CLAIMS, DUE).await;
    db.service_has_been_up().await;
    let cut = pass(db.url(), &["--batch=1", "--budget=1s"], &NO_BRAKE).await;
    assert_eq!(cut.code, 0, "{cut:?}");
    let (done, left) = (cut.count("expired"), cut.count("remaining_due"));
    assert!(done > 0 && left > 0, "{cut:?}");
    assert_eq!(done + left, 3_000, "{cut:?}");
    assert_eq!(expired(&db).await, done);
    let took = cut.count("duration_ms");
    assert!((1_000..5_000).contains(&took), "{took} ms");
    // The oldest that is left is recorded for whoever asks.
    let recorded = "SELECT count(*) FROM reaper_passes
         WHERE remaining_due > 0 AND oldest_remaining_due_at IS NOT NULL";
    assert_eq!(db.number(recorded).await, 1);
    db.check_invariants().await;

    db.service_has_been_up().await;
    let rest = pass(db.url(), &["--budget=50s"], &NO_BRAKE).await;
    assert_eq!((rest.code, rest.count("expired")), (0, left), "{rest:?}");
    assert_eq!(rest.count("remaining_due"), 0, "{rest:?}");
    assert_eq!(expired(&db).await, 3_000);
    db.check_invariants().await;
}
