//! Claims by the thousand, in the states that a test begins with. One statement makes each group,
//! and the rows agree with each other as if the service had written them.

use claims::domain::ClaimId;
use claims::testing::{TestDatabase, mint};
use std::time::Duration;

/// Lapsed for longer than the reap grace of 5 s: due, for a second.
pub(crate) const DUE: Duration = Duration::from_secs(6);

/// Makes that many active claims of a group, `due_0` on `/due/0` and so on, which lapsed `ago`.
pub(crate) async fn lapsed(db: &TestDatabase, group: &str, count: usize, ago: Duration) {
    const LEASE_SECONDS: f64 = 30.0;
    active(db, group, count, -ago.as_secs_f64(), LEASE_SECONDS).await;
}

/// Makes that many active claims of a group, minted just now with the longest lease.
pub(crate) async fn running(db: &TestDatabase, group: &str, count: usize) {
    const LEASE_SECONDS: f64 = 600.0;
    active(db, group, count, LEASE_SECONDS, LEASE_SECONDS).await;
}

async fn active(db: &TestDatabase, group: &str, count: usize, remaining: f64, lease: f64) {
    let statement = include_str!("active.sql");
    let made = db.sql.execute(statement, &[&group, &signed(count), &remaining, &lease]).await;
    assert_eq!(made.expect("a group of claims"), u64::try_from(count).expect("a count"));
}

/// Makes that many claims of a group that were done `ago`, one to an entity, which is idle.
pub(crate) async fn ended(db: &TestDatabase, group: &str, count: usize, ago: Duration) {
    let statement = include_str!("ended.sql");
    let made = db.sql.execute(statement, &[&group, &signed(count), &ago.as_secs_f64()]).await;
    assert_eq!(made.expect("a group of claims"), u64::try_from(count).expect("a count"));
}

/// Makes that many superseded claims of a group, epoch 1, which lapsed `ago`; the newer ones, epoch
/// 2 of the same consumers, have just begun.
pub(crate) async fn superseded(db: &TestDatabase, group: &str, count: usize, ago: Duration) {
    let store = db.store();
    for number in 0..count {
        for epoch in 1..=2 {
            let asked = mint(&format!("/{group}/{number}"), &format!("{group}_{number}"));
            store.mint(asked.epoch("sub", epoch).mint).await.expect("a claim");
        }
    }
    let lease = Duration::from_secs(30);
    move_back(db, &format!("superseded AND starts_with(consumer_id, '{group}_')"), ago + lease)
        .await;
}

/// Moves all times of a group's live claims into the past.
pub(crate) async fn age(db: &TestDatabase, group: &str, by: Duration) {
    move_back(db, &format!("starts_with(consumer_id, '{group}_')"), by).await;
}

async fn move_back(db: &TestDatabase, which: &str, by: Duration) {
    let by = format!("{} * interval '1 second'", by.as_secs_f64());
    let sql = db.stranger().await;
    // Guards and the rules behind them do not concern a test's own staging.
    let moved = format!(
        "SET session_replication_role = replica;
         UPDATE consumer_claims SET claimed_at = claimed_at - {by}
         WHERE (tenant_id, consumer_id, epoch) IN (
             SELECT tenant_id, consumer_id, epoch FROM claim_leases WHERE {which});
         UPDATE claim_leases SET heard_at = heard_at - {by},
             lease_expires_at = lease_expires_at - {by},
             last_heartbeat_at = last_heartbeat_at - {by}
         WHERE {which}"
    );
    sql.batch_execute(&moved).await.expect("aged rows");
}

/// How many claims there are in each state.
pub(crate) async fn states(db: &TestDatabase) -> Vec<(String, i64)> {
    let query = "SELECT state, count(*) FROM consumer_claims GROUP BY state ORDER BY state";
    let rows = db.sql.query(query, &[]).await.expect("the states");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// How many claims are expired.
pub(crate) async fn expired(db: &TestDatabase) -> i64 {
    db.number("SELECT count(*) FROM consumer_claims WHERE state = 'expired'").await
}

/// The state of one claim.
pub(crate) async fn state(db: &TestDatabase, id: &ClaimId) -> String {
    db.claim_column(id, "state").await.expect("a claim")
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("a count")
}
