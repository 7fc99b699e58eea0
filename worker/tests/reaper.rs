//! The reaper as a program: what it expires, what it leaves alone, and how it ends.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use claims::domain::ClaimId;
use claims::testing::{
    TestDatabase, claim_id, connect, done, entity_key, eventually, heartbeat, mint,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use support::{Daemon, OwnDatabase, lapsed, once, run};

/// Nobody listens on port 1.
const AWAY: &str = "postgres://nobody@127.0.0.1:1/none";
/// Due: lapsed for longer than the reap grace of 5 s.
const DUE: Duration = Duration::from_secs(6);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

async fn states(db: &TestDatabase) -> Vec<(String, i64)> {
    let query = "SELECT state, count(*) FROM consumer_claims GROUP BY state ORDER BY state";
    let rows = db.sql.query(query, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// What a summary says under these keys.
fn told(summary: &Value, keys: &[&str]) -> Value {
    keys.iter().map(|key| summary[key].clone()).collect()
}

async fn state(db: &TestDatabase, id: &ClaimId) -> String {
    db.claim_column(id, "state").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_tells_what_it_did_in_exactly_the_documented_keys() {
    let db = TestDatabase::in_service().await;
    let (code, summary) = once(db.url()).await;
    let keys: BTreeSet<&str> = summary.as_object().unwrap().keys().map(String::as_str).collect();
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
    assert_eq!(code, 0, "nothing to do is fine");
    for count in ["scanned", "expired", "failed", "held_back", "remaining_due", "pruned"] {
        assert_eq!(summary[count], 0, "{count}");
    }
    assert!(summary["hold_reason"].is_null() && summary["oldest_due_age_ms"].is_null());
    assert_eq!(summary["dry_run"], false);
    assert!(summary["duration_ms"].is_u64());
    let started_at = summary["started_at"].as_str().unwrap();
    assert!(started_at.ends_with('Z') && started_at.contains('T'), "{started_at}");

    lapsed(&db, 3, DUE).await;
    db.store().mint(mint("/fresh", "w_fresh").mint).await.unwrap();
    db.service_has_been_up().await;
    let (code, summary) = once(db.url()).await;
    assert_eq!((code, told(&summary, &["scanned", "expired"])), (0, json!([4, 3])));
    let age = summary["oldest_due_age_ms"].as_u64().unwrap();
    assert!((1_000..20_000).contains(&age), "due for 1 s and a bit: {age} ms");
    assert_eq!(states(&db).await, [("active".into(), 1), ("expired".into(), 3)]);
    assert_eq!(state(&db, &claim_id("w_fresh", 1)).await, "active");
    for number in 0..3 {
        let events = db.events_of(&entity_key(&format!("/due/{number}"))).await;
        assert_eq!(events, ["minted", "expired:lease_lapsed"]);
    }
    assert_eq!(once(db.url()).await.1["expired"], 0, "each once");
    let recorded = "SELECT sum(expired)::bigint * 10 + count(*) FROM reaper_passes";
    assert_eq!(db.number(recorded).await, 33, "3 expired in 3 passes");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_without_json_prints_nothing_but_its_log() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, 1, DUE).await;
    db.service_has_been_up().await;
    let environment = [("DATABASE_URL", db.url()), ("CLAIM_LOG_FORMAT", "text")];
    let ended = run(&["--once"], &environment).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""));
    assert!(ended.log.contains("expired 1 claims"), "{}", ended.log);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_left_alone_until_it_has_been_takeable_for_the_reap_grace() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, 1, Duration::from_secs(3)).await;
    assert_eq!(once(db.url()).await.1["expired"], 0);
    db.service_has_been_up().await;
    let environment = [("DATABASE_URL", db.url()), ("CLAIM_REAP_GRACE", "2s")];
    let ended = run(&["--once", "--json"], &environment).await;
    assert!(ended.stdout.contains(r#""expired":1"#), "{ended:?}");
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

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_row_is_skipped_and_told_and_stops_nobody_else() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, 10, DUE).await;
    db.poison("w_4").await;
    db.service_has_been_up().await;
    let (code, summary) = once(db.url()).await;
    assert_eq!(code, 2, "{summary}");
    assert_eq!(told(&summary, &["expired", "failed", "remaining_due"]), json!([9, 1, 1]));
    assert_eq!(state(&db, &claim_id("w_4", 1)).await, "active");
    db.cure("w_4").await;
    db.service_has_been_up().await;
    let (code, summary) = once(db.url()).await;
    assert_eq!((code, told(&summary, &["expired", "failed"])), (0, json!([1, 0])));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_somebody_holds_comes_back_in_the_next_pass() {
    let db = TestDatabase::in_service().await;
    lapsed(&db, 3, DUE).await;
    let held = db.hold_entity(&entity_key("/due/1")).await;
    db.service_has_been_up().await;
    let (code, summary) = once(db.url()).await;
    let counts = told(&summary, &["expired", "failed", "remaining_due"]);
    assert_eq!((code, counts), (0, json!([2, 0, 1])));
    held.release().await;
    db.service_has_been_up().await;
    assert_eq!(once(db.url()).await.1["expired"], 1);
    db.check_invariants().await;
}

/// What the line must name, the arguments, and the environment.
type Case = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

#[tokio::test]
async fn a_wrong_setting_ends_the_program_with_64_and_one_line_that_names_it() {
    const URL: (&str, &str) = ("DATABASE_URL", AWAY);
    let cases: &[Case] = &[
        ("DATABASE_URL", &[], &[]),
        ("DATABASE_URL", &["--once"], &[("DATABASE_URL", "")]),
        ("DATABASE_URL", &["--once"], &[("DATABASE_URL", "not a url")]),
        ("DATABASE_URL", &["--once"], &[("DATABASE_URL", "postgres:///no_host")]),
        ("DATABASE_URL_FILE", &["--once"], &[("DATABASE_URL_FILE", "/nowhere/at/all")]),
        ("DATABASE_URL_FILE", &["--once"], &[URL, ("DATABASE_URL_FILE", "/dev/null")]),
        ("CLAIM_REAPER_INTERVAL", &[], &[URL, ("CLAIM_REAPER_INTERVAL", "soon")]),
        ("CLAIM_REAPER_INTERVAL", &[], &[URL, ("CLAIM_REAPER_INTERVAL", "99ms")]),
        ("CLAIM_REAPER_INTERVAL", &["--interval=5"], &[URL]),
        ("CLAIM_REAPER_INTERVAL", &["--interval=2h"], &[URL]),
        ("CLAIM_REAP_GRACE", &["--once"], &[URL, ("CLAIM_REAP_GRACE", "")]),
        ("CLAIM_REAP_GRACE", &["--once", "--reap-grace=-5s"], &[URL]),
        ("CLAIM_REAP_GRACE", &["--once", "--reap-grace=2h"], &[URL]),
        ("CLAIM_REAP_BATCH", &["--once"], &[URL, ("CLAIM_REAP_BATCH", "0")]),
        ("CLAIM_REAP_BATCH", &["--once"], &[URL, ("CLAIM_REAP_BATCH", "many")]),
        ("CLAIM_REAP_BATCH", &["--once", "--batch=5001"], &[URL]),
        ("CLAIM_LOG_FORMAT", &["--once"], &[URL, ("CLAIM_LOG_FORMAT", "xml")]),
        ("RUST_LOG", &["--once"], &[URL, ("RUST_LOG", "claims=loud")]),
        ("--json", &["--json"], &[URL]),
        ("--steal", &["--steal"], &[URL]),
        ("DATABASE_URL", &["DATABASE_URL"], &[URL]),
    ];
    for (name, arguments, environment) in cases {
        let ended = run(arguments, environment).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{name}: {ended:?}");
        assert!(ended.log.contains(name), "{name}: {}", ended.log);
        assert_eq!(ended.log.lines().count(), 1, "{name}: {}", ended.log);
    }
}

#[tokio::test]
async fn no_password_is_repeated_when_its_url_is_wrong() {
    for url in ["postgres://u:p4ssw0rd@[/x", "postgres://u:p4ssw0rd@h:port/x", "p4ssw0rd"] {
        let ended = run(&["--once"], &[("DATABASE_URL", url)]).await;
        assert_eq!(ended.code, 64, "{ended:?}");
        assert!(!ended.log.contains("p4ssw0rd"), "{}", ended.log);
    }
}

#[tokio::test]
async fn help_and_version_are_complete() {
    let version = run(&["--version"], &[]).await;
    let expected = format!("claim-reaper {} (", env!("CARGO_PKG_VERSION"));
    assert!(version.code == 0 && version.stdout.starts_with(&expected), "{version:?}");
    let help = run(&["--help"], &[]).await;
    assert_eq!((help.code, help.log.as_str()), (0, ""));
    for word in [
        "--once",
        "--json",
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "RUST_LOG",
        "CLAIM_LOG_FORMAT",
        "CLAIM_REAPER_INTERVAL",
        "CLAIM_REAP_GRACE",
        "CLAIM_REAP_BATCH",
        "5s",
        "500",
        "64",
    ] {
        assert!(help.stdout.contains(word), "{word}: {}", help.stdout);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_expires_what_becomes_due_and_stops_when_asked() {
    for signal in ["TERM", "INT"] {
        let db = TestDatabase::in_service().await;
        let _in_service = db.stay_in_service();
        let mut daemon = Daemon::start(db.url());
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
        assert!(daemon.log().contains("expired 1 claims"), "{}", daemon.log());
        db.check_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_outlives_its_database() {
    let mut database = OwnDatabase::new().await;
    database.stop().await;
    let mut daemon = Daemon::start(&database.url);
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
    const CLAIMS: usize = 300;
    let db = TestDatabase::in_service().await;
    lapsed(&db, CLAIMS, DUE).await;
    db.service_has_been_up().await;
    let _in_service = db.stay_in_service();
    let mut daemons = [Daemon::start(db.url()), Daemon::start(db.url())];
    eventually("all are expired", async || {
        states(&db).await == [("expired".to_owned(), i64::try_from(CLAIMS).unwrap())]
    })
    .await;
    for daemon in &mut daemons {
        assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
        assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());
    }
    let events = "SELECT count(*) FROM (SELECT FROM claim_events WHERE type = 'expired'
             AND reason = 'lease_lapsed' AND actor = 'reaper'
         GROUP BY tenant_id, consumer_id, epoch HAVING count(*) = 1) AS once";
    assert_eq!(db.number(events).await, i64::try_from(CLAIMS).unwrap());
    let all = "SELECT count(*) FROM claim_events WHERE type = 'expired'";
    assert_eq!(db.number(all).await, i64::try_from(CLAIMS).unwrap());
    assert_eq!(db.number("SELECT sum(expired)::bigint FROM reaper_passes").await, 300);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_expired_while_no_server_is_known_to_hear_heartbeats() {
    let db = TestDatabase::new().await;
    lapsed(&db, 2, Duration::from_secs(3600)).await;
    let held = async |what: &str| {
        let (code, summary) = once(db.url()).await;
        assert_eq!(code, 0, "{what}: {summary}");
        // What is protected is not due.
        let keys = ["expired", "held_back", "hold_reason", "remaining_due"];
        assert_eq!(told(&summary, &keys), json!([0, 2, "outage_grace", 0]), "{what}");
    };
    held("no server ever signed").await;
    let (grace, minute) = (Duration::from_secs(30), Duration::from_secs(60));
    db.set_liveness(Duration::from_secs(6), YEAR, grace).await;
    held("the last signature is stale").await;
    let ahead = "UPDATE service_liveness
         SET last_signed_at = clock_timestamp() + interval '1 hour'";
    db.sql.batch_execute(ahead).await.unwrap();
    held("the last signature is far ahead").await;
    db.set_liveness(Duration::ZERO, Duration::from_secs(29), grace).await;
    held("the service is back for less than the outage grace").await;
    db.set_liveness(Duration::ZERO, minute, minute * 2).await;
    held("the servers have a longer outage grace").await;
    assert_eq!(states(&db).await, [("active".into(), 2)]);
    assert_eq!(db.number("SELECT count(*) FROM claim_events WHERE type = 'expired'").await, 0);

    // Takeable from the end of the outage grace, and due after the reap grace.
    db.set_liveness(Duration::ZERO, Duration::from_secs(33), grace).await;
    assert_eq!(once(db.url()).await.1["expired"], 0);
    db.set_liveness(Duration::ZERO, Duration::from_secs(36), grace).await;
    let (code, summary) = once(db.url()).await;
    let counts = told(&summary, &["expired", "held_back", "hold_reason"]);
    assert_eq!((code, counts), (0, json!([2, 0, null])));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_heard_of_since_the_outage_is_expired_as_ever_and_others_are_not() {
    let db = TestDatabase::new().await;
    lapsed(&db, 1, Duration::from_secs(3600)).await;
    let store = db.store();
    // Heard of 10 s ago, and lapsed for 6 s: its lease was 4 s long.
    store.mint(mint("/heard", "w_heard").lengths(Some(4), None).mint).await.unwrap();
    store.heartbeat(heartbeat(&claim_id("w_heard", 1))).await.unwrap();
    db.age(&claim_id("w_heard", 1), Duration::from_secs(10)).await;
    // It ended by itself, long ago: nobody's business.
    store.mint(mint("/ended", "w_ended").mint).await.unwrap();
    store.done(done(&claim_id("w_ended", 1))).await.unwrap();

    db.set_liveness(Duration::ZERO, Duration::from_secs(15), Duration::from_secs(30)).await;
    let (code, summary) = once(db.url()).await;
    let counts = told(&summary, &["expired", "held_back", "hold_reason"]);
    assert_eq!((code, counts), (0, json!([1, 1, "outage_grace"])));
    assert_eq!(state(&db, &claim_id("w_heard", 1)).await, "expired");
    assert_eq!(state(&db, &claim_id("w_0", 1)).await, "active");
    assert_eq!(state(&db, &claim_id("w_ended", 1)).await, "released");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_outage_grace_a_lapsed_claim_is_due_whoever_signs() {
    let db = TestDatabase::new().await;
    lapsed(&db, 1, DUE).await;
    db.set_liveness(Duration::from_secs(3600), YEAR, Duration::ZERO).await;
    assert_eq!(once(db.url()).await.1["expired"], 1);
    db.check_invariants().await;
}
