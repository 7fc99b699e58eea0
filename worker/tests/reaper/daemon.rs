//! The daemon: it goes on whatever happens to its database, one pass at a time, beside others.

use crate::support::{DUE, OwnDatabase, Running, lapsed, state, states};
use claims::testing::{TestDatabase, claim_id, connect, entity_key, eventually, mint};

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_expires_what_becomes_due_and_stops_when_asked() {
    for signal in ["TERM", "INT"] {
        let db = TestDatabase::in_service().await;
        let _in_service = db.stay_in_service();
        let mut daemon = Running::daemon(db.url(), &[]);
        eventually("a pass is over", async || {
            db.number("SELECT count(*) FROM reaper_passes").await > 0
        })
        .await;
        db.store().mint(mint("/fresh", "w_fresh").mint).await.unwrap();
        db.lapse(&claim_id("w_fresh", 1), DUE).await;
        eventually("it is expired", async || {
            state(&db, &claim_id("w_fresh", 1)).await == "expired"
        })
        .await;
        assert_eq!(db.entity_column(&entity_key("/fresh"), "state").await.unwrap(), "idle");
        assert_eq!(daemon.stop(signal).await, Some(0), "{}", daemon.log());
        assert!(daemon.log().contains("expired: 1, failed: 0"), "{}", daemon.log());
        db.check_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_outlives_its_database() {
    let mut database = OwnDatabase::new().await;
    database.stop().await;
    let mut daemon = Running::daemon(&database.url, &[]);
    for round in 1..=2 {
        let failed = || daemon.log().matches("a pass of the reaper failed").count();
        let before = failed();
        eventually("it says that it fails, and goes on", async || failed() > before + 1).await;
        assert!(daemon.is_running());
        database.start().await;
        let sql = connect(&database.url).await;
        eventually("passes succeed again", async || {
            daemon.log().matches("the reaper's passes succeed again").count() == round
        })
        .await;
        let passes = sql.query_one("SELECT count(*) FROM reaper_passes", &[]).await.unwrap();
        assert!(passes.get::<_, i64>(0) > 0);
        database.stop().await;
    }
    assert_eq!(daemon.stop("TERM").await, Some(0), "the database is away, and that is no failure");
    assert!(!daemon.log().contains("panicked"), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_daemons_expire_each_claim_exactly_once() {
    const CLAIMS: i64 = 300;
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    lapsed(&db, "due", 300, DUE).await;
    // All of them died at once.
    let no_brake = [("CLAIM_BRAKE_SHARE", "1")];
    let mut daemons = [0; 2].map(|_| Running::daemon(db.url(), &no_brake));
    eventually("all are expired", async || states(&db).await == [("expired".to_owned(), CLAIMS)])
        .await;
    for daemon in &mut daemons {
        assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
        assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    }
    let events = "SELECT count(*) FROM (SELECT FROM claim_events WHERE type = 'expired'
             AND reason = 'lease_lapsed' AND actor = 'reaper'
         GROUP BY tenant_id, consumer_id, epoch HAVING count(*) = 1) AS once";
    assert_eq!(db.number(events).await, CLAIMS);
    let all = "SELECT count(*) FROM claim_events WHERE type = 'expired'";
    assert_eq!(db.number(all).await, CLAIMS);
    assert_eq!(db.number("SELECT sum(expired)::bigint FROM reaper_passes").await, CLAIMS);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_takes_longer_than_the_interval_is_not_joined_by_the_next() {
    const CLAIMS: i64 = 400;
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    lapsed(&db, "due", 400, DUE).await;
    let slow = [("CLAIM_BRAKE_SHARE", "1"), ("CLAIM_REAP_BATCH", "1")];
    let mut daemon = Running::daemon(db.url(), &slow);
    eventually("all are expired, and a later pass found nothing", async || {
        let sessions = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'claim-reaper'";
        assert!(db.number(sessions).await <= 1, "a pass has one connection");
        let later = "SELECT count(*) FROM reaper_passes WHERE scanned = 0";
        db.number(later).await > 0
    })
    .await;
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
    assert_eq!(states(&db).await, [("expired".to_owned(), CLAIMS)]);
    let slow = "SELECT count(*) FROM reaper_passes
         WHERE ended_at - started_at > 2 * interval '100 milliseconds'";
    assert!(db.number(slow).await > 0, "a pass took longer than the interval");
    let joined = "SELECT count(*) FROM (
             SELECT started_at, lag(ended_at) OVER (ORDER BY id) AS before FROM reaper_passes) AS p
         WHERE started_at < before";
    assert_eq!(db.number(joined).await, 0, "one pass at a time");
    db.check_invariants().await;
}
