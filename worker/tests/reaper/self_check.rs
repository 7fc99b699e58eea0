//! The self-check: rows that contradict each other are told, each by its name, and nothing is told
//! of rows that agree.

use crate::support::{Pass, Probes, Running, ended, once, running, superseded};
use claims::store::{ClaimStore, StoreError};
use claims::testing::{TestDatabase, claim_id, done, eventually, heartbeat, mint};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

/// A contradiction: how it is planted, and what the log must say of it.
struct Planted {
    sql: &'static str,
    told: &'static [&'static str],
    /// How many of these count as double holds.
    double_holds: u32,
}

/// `running_0` holds `/running/0` and so on; `/newer/0` is held by epoch 2 of `newer_0`, whose
/// epoch 1 was superseded. No rule of the schema stands in the way.
const PLANTED: &[Planted] = &[
    Planted {
        sql: "DELETE FROM claim_leases WHERE consumer_id = 'running_0';
              UPDATE consumer_claims SET state = 'expired', ended_at = now(),
                  end_reason = 'lease_lapsed', entity_cleared = true, lease_expires_at = now(),
                  error_message = ''
              WHERE consumer_id = 'running_0'",
        told: &["entity default/running/0 is running with current claim running_0/1 (I2, I3)"],
        double_holds: 1,
    },
    Planted {
        sql: "DELETE FROM claim_leases WHERE consumer_id = 'running_1';
              DELETE FROM consumer_claims WHERE consumer_id = 'running_1'",
        told: &["entity default/running/1 is running with current claim running_1/1 (I2, I3)"],
        double_holds: 1,
    },
    Planted {
        sql: "UPDATE entity_dispatch_state
              SET state = 'idle', current_consumer_id = NULL, current_epoch = NULL
              WHERE entity_url = '/running/2'",
        told: &[
            "claim default/running_2/1 is active but not the current one of default/running/2 (I2)",
        ],
        double_holds: 1,
    },
    Planted {
        sql: "UPDATE entity_dispatch_state SET current_consumer_id = NULL, current_epoch = NULL
              WHERE entity_url = '/running/3'",
        told: &[
            "entity default/running/3 is running without a current claim (I3)",
            "claim default/running_3/1 is active but not the current one of default/running/3 (I2)",
        ],
        double_holds: 2,
    },
    Planted {
        sql: "UPDATE entity_dispatch_state SET state = 'idle' WHERE entity_url = '/running/4'",
        told: &["entity default/running/4 is idle with current claim running_4/1 (I2, I3)"],
        double_holds: 1,
    },
    // The claim of another entity, which holds it too.
    Planted {
        sql: "UPDATE entity_dispatch_state SET current_consumer_id = 'running_6'
              WHERE entity_url = '/running/5'",
        told: &[
            "entity default/running/5 is running with current claim running_6/1 (I2, I3)",
            "claim default/running_5/1 is active but not the current one of default/running/5 (I2)",
        ],
        double_holds: 2,
    },
    // Two active claims of one entity.
    Planted {
        sql: "UPDATE consumer_claims SET entity_url = '/running/8', stream_path = '/running/8/main'
              WHERE consumer_id = 'running_7'",
        told: &[
            "entity default/running/7 is running with current claim running_7/1 (I2, I3)",
            "claim default/running_7/1 is active but not the current one of default/running/8 (I2)",
        ],
        double_holds: 2,
    },
    Planted {
        sql: "DELETE FROM claim_leases WHERE consumer_id = 'running_9'",
        told: &["claim default/running_9/1 is live and has no lease (I7)"],
        double_holds: 0,
    },
    Planted {
        sql: "DELETE FROM claim_leases WHERE consumer_id = 'newer_0' AND epoch = 1",
        told: &["claim default/newer_0/1 is live and has no lease (I7)"],
        double_holds: 0,
    },
    Planted {
        sql: "INSERT INTO claim_leases
              SELECT 7, lease_expires_at, heard_at, last_heartbeat_at, ceiling_at, lease_ttl_ms,
                  superseded, stop, tenant_id, 'nobody', token_digest, progress
              FROM claim_leases WHERE consumer_id = 'running_10'",
        told: &["lease default/nobody/7 has no live claim (I7)"],
        double_holds: 0,
    },
    // The lease of a claim that has ended.
    Planted {
        sql: "INSERT INTO claim_leases
              SELECT epoch, lease_expires_at, heard_at, last_heartbeat_at, ceiling_at, lease_ttl_ms,
                  superseded, stop, tenant_id, 'ended_0', token_digest, progress
              FROM claim_leases WHERE consumer_id = 'running_10'",
        told: &["lease default/ended_0/1 has no live claim (I7)"],
        double_holds: 0,
    },
    // A lease that takes its active claim for a superseded one.
    Planted {
        sql: "UPDATE claim_leases SET superseded = true WHERE consumer_id = 'running_11'",
        told: &["lease default/running_11/1 has no live claim (I7)"],
        double_holds: 0,
    },
];

/// A healthy database without the rules that forbid what is planted.
async fn scene() -> TestDatabase {
    let db = TestDatabase::in_service().await;
    running(&db, "running", 20).await;
    superseded(&db, "newer", 2, Duration::ZERO).await;
    ended(&db, "ended", 2, Duration::from_secs(60)).await;
    db.check_invariants().await;
    let unruly = "ALTER TABLE entity_dispatch_state
             DROP CONSTRAINT entity_current_matches_state,
             DROP CONSTRAINT entity_current_was_claimed;
         DROP INDEX consumer_claims_one_active;
         CREATE INDEX consumer_claims_one_active
             ON consumer_claims (tenant_id, entity_url) WHERE state = 'active'";
    db.sql.batch_execute(unruly).await.unwrap();
    db
}

async fn plant(db: &TestDatabase, sql: &str) {
    let stranger = db.stranger().await;
    // The guards of a test database do not concern its own staging.
    stranger.batch_execute("SET session_replication_role = replica").await.unwrap();
    stranger.batch_execute(sql).await.unwrap();
}

/// What the self-check found, each told as an error.
fn findings(log: &str) -> BTreeSet<String> {
    let finding = |line: &str| {
        let (before, finding) = line.split_once("self-check: ")?;
        assert!(before.contains("ERROR"), "{line}");
        Some(finding.to_owned())
    };
    log.lines().filter_map(finding).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_contradict_each_other_are_told_by_name_and_end_a_pass_with_2() {
    let db = scene().await;
    let healthy = once(db.url()).await;
    assert_eq!((healthy.code, findings(&healthy.log)), (0, BTreeSet::new()), "{healthy:?}");
    let mut expected = BTreeSet::new();
    for Planted { sql, told, .. } in PLANTED {
        plant(&db, sql).await;
        expected.extend(told.iter().map(|told| (*told).to_owned()));
        db.service_has_been_up().await;
        let sick = once(db.url()).await;
        assert_eq!(findings(&sick.log), expected, "{sql}");
        assert_eq!((sick.code, sick.count("failed")), (2, 0), "{sql}: {sick:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_two_holders_or_none_where_one_is_told_count_as_double_holds() {
    for kind in [true, false] {
        let db = scene().await;
        let chosen = || PLANTED.iter().filter(|planted| (planted.double_holds > 0) == kind);
        for planted in chosen() {
            plant(&db, planted.sql).await;
        }
        let _in_service = db.stay_in_service();
        let mut daemon = Running::daemon(db.url(), &[]);
        let probes = Probes::of(&daemon).await;
        let told: usize = chosen().map(|planted| planted.told.len()).sum();
        eventually("all is found", async || findings(&daemon.log()).len() == told).await;
        eventually("the pass is over", async || probes.status("/readyz").await == 200).await;
        let double_holds: u32 = chosen().map(|planted| planted.double_holds).sum();
        let counted = probes.metrics().await.value("claim_double_holds_total");
        assert_eq!(counted, f64::from(double_holds), "{}", daemon.log());
        assert_eq!(daemon.stop("TERM").await, Some(0));
        assert_eq!(findings(&daemon.log()).len(), told, "once in its interval: {}", daemon.log());
    }
}

/// Pages and steps of the check are some thousand rows.
const MANY: usize = 12_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_healthy_database_gives_no_finding_and_a_sick_row_far_down_gives_one() {
    let db = TestDatabase::in_service().await;
    running(&db, "running", MANY).await;
    ended(&db, "ended", 2_000, Duration::from_secs(60)).await;
    db.service_has_been_up().await;
    let healthy = once(db.url()).await;
    assert_eq!((healthy.code, findings(&healthy.log)), (0, BTreeSet::new()), "{healthy:?}");
    // The last rows in the order of storage and of keys; each kind is looked for in its own way.
    let last = MANY - 1;
    plant(&db, &format!("DELETE FROM claim_leases WHERE consumer_id = 'running_{last}'")).await;
    plant(&db, "DELETE FROM consumer_claims WHERE consumer_id = 'running_9999'").await;
    db.service_has_been_up().await;
    let sick = once(db.url()).await;
    let expected = [
        format!("claim default/running_{last}/1 is live and has no lease (I7)"),
        "entity default/running/9999 is running with current claim running_9999/1 (I2, I3)".into(),
        "lease default/running_9999/1 has no live claim (I7)".into(),
    ];
    assert_eq!((sick.code, findings(&sick.log)), (2, BTreeSet::from(expected)), "{sick:?}");
}

/// Mints, supersedes, heartbeats, mints over it again and says done, until told to stop.
async fn work(store: ClaimStore, worker: usize, stop: Arc<AtomicBool>) -> Result<u64, StoreError> {
    let mut rounds = 0;
    while !stop.load(Ordering::Relaxed) {
        let (url, consumer) =
            (format!("/e/{}", rounds % 5 + worker as u64 * 5), format!("w{worker}"));
        let epoch = i64::try_from(rounds * 2 + 1).expect("an epoch");
        for epoch in [epoch, epoch + 1] {
            store.mint(mint(&url, &consumer).epoch("sub", epoch).supersede().mint).await?;
        }
        store.heartbeat(heartbeat(&claim_id(&consumer, epoch + 1))).await?;
        // The superseded one at times after the newer one, at times never.
        store.done(done(&claim_id(&consumer, epoch + 1))).await?;
        if rounds % 3 > 0 {
            store.done(done(&claim_id(&consumer, epoch))).await?;
        }
        rounds += 1;
    }
    Ok(rounds)
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_under_way_give_no_finding() {
    const CHECKS: usize = 8;
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    running(&db, "running", 3_000).await;
    let (store, stop) = (db.store(), Arc::new(AtomicBool::new(false)));
    let mut workers = JoinSet::new();
    for worker in 0..6 {
        workers.spawn(work(store.clone(), worker, stop.clone()));
    }
    let mut passes: Vec<Pass> = Vec::new();
    for _ in 0..CHECKS {
        passes.push(once(db.url()).await);
    }
    stop.store(true, Ordering::Relaxed);
    let mut rounds = 0;
    while let Some(worked) = workers.join_next().await {
        rounds += worked.expect("no panic").expect("every call is accepted");
    }
    println!("{rounds} rounds during {CHECKS} checks");
    assert!(rounds > 20, "there was something under way");
    for pass in passes {
        assert_eq!((pass.code, findings(&pass.log)), (0, BTreeSet::new()), "{pass:?}");
    }
    db.check_invariants().await;
}
