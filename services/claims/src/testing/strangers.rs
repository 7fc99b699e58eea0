//! Sessions that are none of the store's: they hold locks, end other sessions, and watch who waits.

use super::{PATIENCE, TestDatabase};
use crate::domain::{ClaimId, EntityKey};
use std::time::Duration;
use tokio_postgres::Client;

/// Between two looks at a condition.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// Waits until a condition holds that only others can bring about.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    });
    assert!(waited.await.is_ok(), "waited for too long until {what}");
}

/// A row that a stranger's open transaction has locked.
pub struct HeldLock {
    session: Client,
}

impl HeldLock {
    async fn of(
        session: Client,
        lock: &str,
        key: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Self {
        session.batch_execute("BEGIN").await.expect("a transaction");
        let rows = session.query(lock, key).await.expect("a lock");
        assert_eq!(rows.len(), 1, "there is a row to lock");
        Self { session }
    }

    /// Gives the row back, unchanged.
    pub async fn release(self) {
        self.session.batch_execute("ROLLBACK").await.expect("an end");
    }
}

impl TestDatabase {
    /// Locks an entity's row as a decision would.
    pub async fn hold_entity(&self, key: &EntityKey) -> HeldLock {
        let lock = "SELECT FROM entity_dispatch_state WHERE tenant_id = $1 AND entity_url = $2
             FOR NO KEY UPDATE";
        HeldLock::of(self.stranger().await, lock, &[&key.tenant.as_str(), &key.url.as_str()]).await
    }

    /// Locks a lease's row as a heartbeat would.
    pub async fn hold_lease(&self, id: &ClaimId) -> HeldLock {
        self.hold_row_of("claim_leases", id).await
    }

    /// Locks a claim's row, but not its lease.
    pub async fn hold_claim(&self, id: &ClaimId) -> HeldLock {
        self.hold_row_of("consumer_claims", id).await
    }

    async fn hold_row_of(&self, table: &str, id: &ClaimId) -> HeldLock {
        let lock = format!(
            "SELECT FROM {table} WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3
             FOR NO KEY UPDATE"
        );
        let key: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&id.tenant.as_str(), &id.consumer.as_str(), &id.epoch.get()];
        HeldLock::of(self.stranger().await, &lock, &key).await
    }

    /// Whether a session of that application name waits for a lock.
    pub async fn is_blocked(&self, application: &str) -> bool {
        let query = "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = $1
                 AND wait_event_type = 'Lock'";
        let row = self.sql.query_one(query, &[&application]).await.expect("a query");
        row.get::<_, i64>(0) > 0
    }

    /// Waits until a session of that application name waits for a lock.
    pub async fn until_blocked(&self, application: &str) {
        eventually(&format!("{application} waits for a lock"), async || {
            self.is_blocked(application).await
        })
        .await;
    }

    /// Waits until there is no session whose application name begins with one of these.
    pub async fn until_gone(&self, applications: &[&str]) {
        let query = "SELECT count(*) FROM pg_stat_activity, unnest($1::text[]) AS gone (name)
             WHERE datname = current_database() AND starts_with(application_name, gone.name)";
        eventually("the sessions are gone", async || {
            let row = self.sql.query_one(query, &[&applications]).await.expect("a query");
            row.get::<_, i64>(0) == 0
        })
        .await;
    }

    /// Ends the sessions whose application name begins so, as an operator would, and waits until
    /// they are gone, though others may have taken their place; returns how many there were.
    pub async fn end_sessions(&self, application: &str) -> usize {
        let end = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND starts_with(application_name, $1)";
        let ended = self.sql.query(end, &[&application]).await.expect("a query");
        let pids: Vec<i32> = ended.iter().map(|row| row.get(0)).collect();
        let left = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY ($1)";
        eventually("the sessions are gone", async || {
            let left = self.sql.query_one(left, &[&pids]).await.expect("a query");
            left.get::<_, i64>(0) == 0
        })
        .await;
        pids.len()
    }
}
