//! Looking at a test database: rows, events, the server's log, the invariants.

use super::{TestDatabase, server};
use crate::domain::{ClaimId, EntityKey};
use std::collections::BTreeMap;

impl TestDatabase {
    /// One column of one row of a claim, as text; none if it is null.
    pub async fn claim_column(&self, id: &ClaimId, column: &str) -> Option<String> {
        self.column("consumer_claims", id, column).await
    }

    /// One column of one row of a claim's lease, as text.
    pub async fn lease_column(&self, id: &ClaimId, column: &str) -> Option<String> {
        self.column("claim_leases", id, column).await
    }

    async fn column(&self, table: &str, id: &ClaimId, column: &str) -> Option<String> {
        let query = format!(
            "SELECT ({column})::text FROM {table}
             WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3"
        );
        let key: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&id.tenant.as_str(), &id.consumer.as_str(), &id.epoch.get()];
        self.sql.query_opt(&query, &key).await.expect("a query").and_then(|row| row.get(0))
    }

    /// One column of an entity's row, as text.
    pub async fn entity_column(&self, key: &EntityKey, column: &str) -> Option<String> {
        let query = format!(
            "SELECT ({column})::text FROM entity_dispatch_state
             WHERE tenant_id = $1 AND entity_url = $2"
        );
        let row = self.sql.query_opt(&query, &[&key.tenant.as_str(), &key.url.as_str()]).await;
        row.expect("a query").and_then(|row| row.get(0))
    }

    /// Types and reasons of an entity's events, in order: `minted`, `expired:lease_lapsed` ….
    pub async fn events_of(&self, key: &EntityKey) -> Vec<String> {
        let query = "SELECT type || CASE WHEN reason = '' THEN '' ELSE ':' || reason END
             FROM claim_events WHERE tenant_id = $1 AND entity_url = $2 ORDER BY sequence";
        let rows = self.sql.query(query, &[&key.tenant.as_str(), &key.url.as_str()]).await;
        rows.expect("a query").iter().map(|row| row.get(0)).collect()
    }

    /// A number from a query of one row and one bigint column.
    pub async fn number(&self, query: &str) -> i64 {
        self.sql.query_one(query, &[]).await.expect("a query").get(0)
    }

    /// Every row of every table as text, table by table: the whole database, to compare.
    pub async fn all_rows(&self) -> BTreeMap<String, Vec<String>> {
        let tables = "SELECT relname::text FROM pg_stat_user_tables
             WHERE schemaname = 'public' AND relname <> '__diesel_schema_migrations'";
        let mut all = BTreeMap::new();
        for table in self.sql.query(tables, &[]).await.expect("the tables") {
            let table: String = table.get(0);
            let rows = format!("SELECT t::text FROM {table} AS t ORDER BY 1");
            let rows = self.sql.query(&rows, &[]).await.expect("the rows");
            all.insert(table, rows.iter().map(|row| row.get(0)).collect());
        }
        all
    }

    /// What the database's server has logged, for all databases of this process.
    pub fn server_log(&self) -> String {
        std::fs::read_to_string(server().cluster.log()).expect("a log")
    }

    /// Panics if a transaction was ever ended without having begun, or begun twice: a pipeline was
    /// sent out of order. And if two ever waited for each other: locks were taken out of order.
    pub fn check_transactions(&self) {
        const BAD: [&str; 3] = [
            "there is no transaction in progress",
            "there is already a transaction in progress",
            "deadlock detected",
        ];
        let log = self.server_log();
        for bad in BAD {
            assert!(!log.contains(bad), "the server's log says: {bad}");
        }
    }

    /// Panics with every invariant that does not hold, and the rows that break it.
    pub async fn check_invariants(&self) {
        let broken = self.broken_invariants().await;
        assert!(broken.is_empty(), "invariants are broken:\n{}", broken.join("\n"));
    }

    /// Every invariant that does not hold, each with a row that breaks it.
    pub async fn broken_invariants(&self) -> Vec<String> {
        let broken = self
            .sql
            .query(include_str!("invariants.sql"), &[])
            .await
            .expect("the invariants can be asked");
        broken
            .iter()
            .map(|row| format!("{}: {}", row.get::<_, &str>(0), row.get::<_, &str>(1)))
            .collect()
    }
}
