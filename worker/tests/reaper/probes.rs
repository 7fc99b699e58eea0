//! What the daemon says of itself over HTTP, for orchestrators, dashboards and alerts.

use crate::support::{OwnDatabase, Probes, Running, ended, lapsed, running, superseded};
use claims::testing::{TestDatabase, eventually};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_ready_while_its_passes_come_to_their_end_and_alive_all_the_time() {
    let mut database = OwnDatabase::new().await;
    database.stop().await;
    let mut daemon = Running::daemon(&database.url, &[]);
    let probes = Probes::of(&daemon).await;
    let alive = async || assert_eq!(probes.get("/livez").await, (200, "alive".to_owned()));
    alive().await;
    eventually("a pass has failed", async || daemon.log().contains("a pass of the reaper failed"))
        .await;
    let no_pass = (503, "no pass has come to its end yet".to_owned());
    assert_eq!(probes.get("/readyz").await, no_pass);
    for _ in 0..2 {
        database.start().await;
        eventually("it is ready", async || probes.status("/readyz").await == 200).await;
        alive().await;
        database.stop().await;
        eventually("it is not ready", async || probes.status("/readyz").await == 503).await;
        let (_, why) = probes.get("/readyz").await;
        assert_eq!(why, "the last good pass is older than three intervals");
        alive().await;
    }
    assert_eq!(probes.status("/nothing").await, 404);
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_database_has_been_away_for_less_than_three_intervals_is_ready() {
    let mut database = OwnDatabase::new().await;
    let mut daemon = Running::daemon(&database.url, &[("CLAIM_REAPER_INTERVAL", "3s")]);
    let probes = Probes::of(&daemon).await;
    eventually("it is ready", async || probes.status("/readyz").await == 200).await;
    database.stop().await;
    let failed = || daemon.log().contains("a pass of the reaper failed");
    eventually("a pass has failed", async || failed()).await;
    assert_eq!(probes.status("/readyz").await, 200, "{}", daemon.log());
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
}

/// What dashboards and alerts know the reaper by.
const SAMPLES: [&str; 13] = [
    "claim_double_holds_total",
    "claim_expired_total",
    "claim_lapsed",
    "claim_live",
    "claim_oldest_lapsed_age_seconds",
    "claim_reaper_held_back",
    "claim_reaper_last_success_timestamp_seconds",
    "claim_reaper_lateness_seconds_bucket",
    "claim_reaper_lateness_seconds_count",
    "claim_reaper_lateness_seconds_sum",
    "claim_reaper_pass_duration_seconds_bucket",
    "claim_reaper_pass_duration_seconds_count",
    "claim_reaper_pass_duration_seconds_sum",
];

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

/// How many values of a histogram lie above one bound and at or below another.
fn between(buckets: &[(f64, f64)], above: f64, to: f64) -> f64 {
    let below = |bound: f64| {
        let found = buckets.iter().find(|(le, _)| (le - bound).abs() < f64::EPSILON);
        found.expect("a bound of the histogram").1
    };
    below(to) - below(above)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_their_documented_names_and_true_values() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    // With a reap grace of 20 s: due for 45 s, which is longer than the brake's span.
    lapsed(&db, "late", 15, Duration::from_secs(65)).await;
    // Due for two minutes.
    lapsed(&db, "later", 4, Duration::from_secs(140)).await;
    // Due for 5 s, and held by the brake.
    lapsed(&db, "fresh", 40, Duration::from_secs(25)).await;
    // Lapsed, and within the reap grace.
    lapsed(&db, "grace", 3, Duration::ZERO).await;
    running(&db, "well", 30).await;
    superseded(&db, "old", 2, Duration::ZERO).await;
    ended(&db, "ended", 5, Duration::from_secs(60)).await;
    let settings = [
        ("CLAIM_REAPER_INTERVAL", "6s"),
        ("CLAIM_REAP_GRACE", "20s"),
        ("CLAIM_BRAKE_SPAN", "30s"),
        ("CLAIM_BRAKE_SHARE", "0.4"),
    ];
    let mut daemon = Running::daemon(db.url(), &settings);
    let probes = Probes::of(&daemon).await;
    let idle = probes.metrics().await;
    assert_eq!(idle.names().collect::<BTreeSet<_>>(), BTreeSet::from(SAMPLES));
    assert_eq!(idle.value("claim_reaper_last_success_timestamp_seconds"), 0.0);

    eventually("a pass is over", async || probes.status("/readyz").await == 200).await;
    let metrics = probes.metrics().await;
    // As the scan found them with which the pass began: superseded ones too.
    assert_eq!(metrics.value("claim_live"), 96.0, "{metrics:#?}");
    assert_eq!(metrics.value("claim_lapsed"), 64.0, "{metrics:#?}");
    let oldest = metrics.value("claim_oldest_lapsed_age_seconds");
    assert!((140.0..170.0).contains(&oldest), "{oldest}");
    assert_eq!(metrics.value("claim_reaper_held_back"), 40.0, "{metrics:#?}");
    assert_eq!(metrics.value("claim_expired_total"), 19.0, "{metrics:#?}");
    assert_eq!(metrics.value("claim_double_holds_total"), 0.0);
    let age = unix_now() - metrics.value("claim_reaper_last_success_timestamp_seconds");
    assert!((0.0..30.0).contains(&age), "{age}");

    assert_eq!(metrics.value("claim_reaper_pass_duration_seconds_count"), 1.0);
    let took = metrics.value("claim_reaper_pass_duration_seconds_sum");
    assert!(took > 0.0 && took < 10.0, "{took}");
    metrics.buckets("claim_reaper_pass_duration_seconds");
    let lateness = metrics.buckets("claim_reaper_lateness_seconds");
    assert_eq!(metrics.value("claim_reaper_lateness_seconds_count"), 19.0);
    assert_eq!(between(&lateness, 30.0, 60.0), 15.0, "due 45 s ago: {lateness:?}");
    assert_eq!(between(&lateness, 60.0, 300.0), 4.0, "due 120 s ago: {lateness:?}");
    let sum = metrics.value("claim_reaper_lateness_seconds_sum");
    let least = 15.0 * 45.0 + 4.0 * 120.0;
    assert!((least..least + 19.0 * 30.0).contains(&sum), "{sum}");
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_of_what_has_gone_go_back() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    let mut daemon = Running::daemon(db.url(), &[("CLAIM_BRAKE_SPAN", "2s")]);
    let probes = Probes::of(&daemon).await;
    eventually("a pass is over", async || probes.status("/readyz").await == 200).await;
    // Due in a moment, before the eyes of the daemon.
    lapsed(&db, "dead", 30, Duration::from_millis(4_800)).await;
    let value = async |name: &str| probes.metrics().await.value(name);
    eventually("they are held", async || value("claim_reaper_held_back").await == 30.0).await;
    assert_eq!(value("claim_live").await, 30.0);
    eventually("they are gone", async || value("claim_live").await == 0.0).await;
    for name in ["claim_lapsed", "claim_oldest_lapsed_age_seconds", "claim_reaper_held_back"] {
        assert_eq!(value(name).await, 0.0, "{name}");
    }
    assert_eq!(value("claim_expired_total").await, 30.0);
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
}
