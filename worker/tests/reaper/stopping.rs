//! A reaper that is asked to stop ends with the batch it is at.

use crate::support::{DUE, Probes, Running, expired, lapsed, pass};
use claims::testing::{StayInService, TestDatabase, eventually};
use std::time::{Duration, Instant};

/// So many that one by one they take seconds.
const CLAIMS: usize = 2_000;
/// All of them died at once, and every batch is one claim.
const SMALL_BATCHES: [(&str, &str); 2] = [("CLAIM_BRAKE_SHARE", "1"), ("CLAIM_REAP_BATCH", "1")];
/// A batch of one, a record of the pass, and a machine with other things to do.
const SOON: Duration = Duration::from_secs(3);

async fn scene() -> (TestDatabase, StayInService) {
    let db = TestDatabase::in_service().await;
    lapsed(&db, "due", CLAIMS, DUE).await;
    let in_service = db.stay_in_service();
    (db, in_service)
}

async fn until_some_are_expired(db: &TestDatabase) {
    eventually("some are expired", async || expired(db).await >= 5).await;
}

/// Some are expired and some are not, and nothing is half done.
async fn check_stopped_in_the_middle(db: &TestDatabase) -> i64 {
    let done = expired(db).await;
    assert!((5..2_000).contains(&done), "in the middle: {done}");
    let events = "SELECT count(*) FROM claim_events WHERE type = 'expired'";
    assert_eq!(db.number(events).await, done);
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 2_000 - done);
    db.check_invariants().await;
    done
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_is_asked_to_stop_ends_with_its_batch_and_tells_what_is_left() {
    for signal in ["TERM", "INT"] {
        let (db, _in_service) = scene().await;
        let reaper = Running::once(db.url(), &[], &SMALL_BATCHES);
        until_some_are_expired(&db).await;
        let asked = Instant::now();
        reaper.signal(signal);
        let stopped = reaper.passed().await;
        assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
        assert_eq!(stopped.code, 0, "{stopped:?}");
        assert!(!stopped.log.contains("ERROR"), "{}", stopped.log);
        let done = check_stopped_in_the_middle(&db).await;
        assert_eq!(stopped.count("expired"), done, "{stopped:?}");
        assert_eq!(stopped.count("remaining_due"), 2_000 - done, "{stopped:?}");
        let recorded = "SELECT sum(expired)::bigint FROM reaper_passes";
        assert_eq!(db.number(recorded).await, done);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_asked_to_stop_in_the_middle_of_a_pass_ends_with_its_batch() {
    let (db, _in_service) = scene().await;
    let mut daemon = Running::daemon(db.url(), &SMALL_BATCHES);
    until_some_are_expired(&db).await;
    let asked = Instant::now();
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
    assert!(asked.elapsed() < SOON, "{:?}", asked.elapsed());
    let log = daemon.end().await.log;
    assert!(!log.contains("ERROR") && !log.contains("cut off"), "{log}");
    let done = check_stopped_in_the_middle(&db).await;
    // Whoever comes next finishes.
    let rest = pass(db.url(), &[], &[("CLAIM_BRAKE_SHARE", "1")]).await;
    assert_eq!((rest.code, rest.count("expired")), (0, 2_000 - done), "{rest:?}");
    db.check_invariants().await;
}

/// A daemon in the midst of an expiry that takes a second and a half.
async fn dawdling(db: &TestDatabase, settings: &[(&str, &str)]) -> Running {
    let slow = "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN PERFORM pg_sleep(1.5); RETURN new; END';
         CREATE TRIGGER dawdle BEFORE UPDATE ON entity_dispatch_state
             FOR EACH ROW EXECUTE FUNCTION dawdle()";
    db.sql.batch_execute(slow).await.unwrap();
    let daemon = Running::daemon(db.url(), &[&SMALL_BATCHES[..], settings].concat());
    eventually("an expiry is under way", async || db.number(ASLEEP).await > 0).await;
    daemon
}

const ASLEEP: &str = "SELECT count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND wait_event = 'PgSleep'";

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_asked_to_stop_finishes_its_batch_and_is_not_ready_meanwhile() {
    let (db, _in_service) = scene().await;
    let daemon = dawdling(&db, &[]).await;
    let probes = Probes::of(&daemon).await;
    daemon.signal("TERM");
    eventually("it says that it stops", async || {
        probes.get("/readyz").await == (503, "stopping".to_owned())
    })
    .await;
    assert_eq!(probes.status("/livez").await, 200);
    let ended = daemon.end().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.log.contains("cut off"), "{}", ended.log);
    assert_eq!(expired(&db).await, 1, "the batch under way, and no other");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_does_not_end_in_time_is_cut_off_with_nothing_half_done() {
    let (db, _in_service) = scene().await;
    let daemon = dawdling(&db, &[("CLAIM_SHUTDOWN_GRACE", "100ms")]).await;
    daemon.signal("TERM");
    let ended = daemon.end().await;
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.log.contains("the pass was cut off"), "{}", ended.log);
    eventually("its session is gone", async || db.number(ASLEEP).await == 0).await;
    db.check_invariants().await;
}
