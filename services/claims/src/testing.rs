//! For tests against a real Postgres: a database for each test, factories, rows aged into the
//! past, and the invariants as SQL.
//!
//! Age the row, not the clock: a test that needs a lapsed lease moves the row's times back. The
//! guards that every test database carries (a terminal claim never changes, a lease never moves
//! back) are lifted for that alone.

mod factory;
mod gate;
mod look;
mod proxy;
mod strangers;

pub use factory::{
    MintBuilder, claim_id, consumer, done, entity, entity_key, expire, fresh_token, heartbeat,
    kill, mint, revoke, signal, tenant,
};
pub use gate::{Gate, Queued, queued, unanswered};
pub use proxy::{Proxy, Rewrite, Road};
pub use strangers::{HeldLock, eventually};

use crate::cluster::{Cluster, PostgresPrograms};
use crate::domain::ClaimId;
use crate::store::{ClaimStore, Database, StoreSettings, migrations};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio_postgres::{Client, NoTls};

/// Longest wait for something that others do. Generous: a test that needs it has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Every migrated test database is a copy of this one.
const TEMPLATE: &str = "claims_template";

struct Server {
    cluster: Cluster,
}

/// One cluster for each test process; it ends with the process.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // On a thread of its own: this may be called from within a runtime.
        std::thread::spawn(|| {
            let programs = PostgresPrograms::locate().expect("Postgres programs");
            let cluster = Cluster::ephemeral(programs).expect("a cluster");
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(prepare_template(&cluster));
            Server { cluster }
        })
        .join()
        .expect("the cluster starts")
    })
}

async fn prepare_template(cluster: &Cluster) {
    prepare(cluster, TEMPLATE).await;
}

/// Makes a migrated and guarded database.
async fn prepare(cluster: &Cluster, name: &str) {
    let admin = connect(&cluster.url("postgres")).await;
    admin.batch_execute(&format!("CREATE DATABASE {name}")).await.expect("a database");
    let url = cluster.url(name);
    let database = Database::parse(&url).expect("a URL");
    migrations::migrate(&database).await.expect("migrations run");
    let prepared = connect(&url).await;
    prepared.batch_execute(include_str!("testing/guards.sql")).await.expect("guards");
}

/// A plain connection that lives as long as its client.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// Signs for a server that is up; ends when dropped.
pub struct StayInService(tokio::task::JoinHandle<()>);

impl Drop for StayInService {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A migrated database of one test's own.
pub struct TestDatabase {
    url: String,
    database: Database,
    /// A connection outside the store, for looking and for staging.
    pub sql: Client,
}

impl TestDatabase {
    /// A new one. Nothing is in it and no server has signed.
    pub async fn new() -> Self {
        Self::copy_of(TEMPLATE).await
    }

    /// A new one on which the service has been up for a long time, so that outages play no part.
    pub async fn in_service() -> Self {
        let database = Self::new().await;
        database.service_has_been_up().await;
        database
    }

    /// A new one without any table.
    pub async fn empty() -> Self {
        Self::copy_of("template0").await
    }

    /// A new one in a cluster of the test's own, which it can take away.
    pub async fn in_cluster(cluster: &Cluster) -> Self {
        const NAME: &str = "claims";
        prepare(cluster, NAME).await;
        let database = Self::at(cluster.url(NAME)).await;
        database.service_has_been_up().await;
        database
    }

    async fn copy_of(template: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let cluster = &tokio::task::spawn_blocking(server).await.expect("the cluster").cluster;
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&cluster.url("postgres")).await;
        let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
        admin.batch_execute(&create).await.expect("a database");
        Self::at(cluster.url(&name)).await
    }

    async fn at(url: String) -> Self {
        let sql = connect(&url).await;
        Self { database: Database::parse(&url).expect("a URL"), sql, url }
    }

    /// Connects again, after the database was away.
    pub async fn reconnect(&mut self) {
        self.sql = connect(&self.url).await;
    }

    /// The database's URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The database as the store takes it.
    pub fn database(&self) -> Database {
        self.database.clone()
    }

    /// A store on it, with the default settings.
    pub fn store(&self) -> ClaimStore {
        ClaimStore::start(&self.database, &StoreSettings::default())
    }

    /// A store on it whose batches of decisions pass `gate`.
    pub fn gated_store(&self, gate: &Gate, settings: &StoreSettings) -> ClaimStore {
        ClaimStore::start_paused(&self.database(), settings, gate.hook())
    }

    /// A store in which every kind of call has one lane, so that what waits becomes one batch.
    pub fn one_lane() -> StoreSettings {
        StoreSettings { decision_lanes: 1, heartbeat_lanes: 1, ..StoreSettings::default() }
    }

    /// Keeps the liveness record fresh for as long as the returned task lives.
    pub fn stay_in_service(&self) -> StayInService {
        let url = self.url.clone();
        StayInService(tokio::spawn(async move {
            let client = connect(&url).await;
            let mut tick = tokio::time::interval(Duration::from_secs(1));
            loop {
                tick.tick().await;
                let sign = "UPDATE service_liveness SET last_signed_at = clock_timestamp()";
                client.batch_execute(sign).await.expect("a signature");
            }
        }))
    }

    /// From now on the database refuses every write to the row of a consumer's claims.
    pub async fn poison(&self, consumer: &str) {
        let trigger = format!(
            "CREATE OR REPLACE FUNCTION poison() RETURNS trigger LANGUAGE plpgsql AS
                 'BEGIN RAISE EXCEPTION ''poisoned''; END';
             CREATE TRIGGER \"poison {consumer}\" BEFORE INSERT OR UPDATE ON consumer_claims
                 FOR EACH ROW WHEN (new.consumer_id = '{consumer}') EXECUTE FUNCTION poison()"
        );
        self.sql.batch_execute(&trigger).await.expect("a trigger");
    }

    /// Takes the poison out again.
    pub async fn cure(&self, consumer: &str) {
        let cure = format!("DROP TRIGGER \"poison {consumer}\" ON consumer_claims");
        self.sql.batch_execute(&cure).await.expect("a trigger gone");
    }

    /// Another plain connection, to hold locks with.
    pub async fn stranger(&self) -> Client {
        connect(&self.url).await
    }

    /// The liveness record as of a service that signed just now and resumed a year ago. It stays
    /// fresh for five seconds; a test that takes longer calls it again.
    pub async fn service_has_been_up(&self) {
        self.set_liveness(
            Duration::ZERO,
            Duration::from_secs(365 * 86_400),
            Duration::from_secs(30),
        )
        .await;
    }

    /// Writes the liveness record: how long ago the last signature and the resumption were.
    pub async fn set_liveness(&self, signed_ago: Duration, resumed_ago: Duration, grace: Duration) {
        let statement = "INSERT INTO service_liveness (last_signed_at, resumed_at, outage_grace_ms)
             VALUES (clock_timestamp() - $1 * interval '1 second',
                     clock_timestamp() - $2 * interval '1 second', $3)
             ON CONFLICT (only_row) DO UPDATE SET last_signed_at = excluded.last_signed_at,
                 resumed_at = excluded.resumed_at, outage_grace_ms = excluded.outage_grace_ms";
        let grace_ms = i64::try_from(grace.as_millis()).expect("a grace");
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 3] =
            [&signed_ago.as_secs_f64(), &resumed_ago.as_secs_f64(), &grace_ms];
        self.sql.execute(statement, &values).await.expect("a liveness record");
    }

    /// Moves all times of a live claim and its lease into the past.
    pub async fn age(&self, id: &ClaimId, by: Duration) {
        let aged = self.age_where(id, by).await;
        assert_eq!(aged, 1, "{id} is a live claim");
    }

    async fn age_where(&self, id: &ClaimId, by: Duration) -> u64 {
        let secs = by.as_secs_f64();
        let (tenant, consumer, epoch) = (id.tenant.as_str(), id.consumer.as_str(), id.epoch.get());
        let client = self.stranger().await;
        // Guards and the rules behind them do not concern a test's own staging.
        client.batch_execute("SET session_replication_role = replica").await.expect("a superuser");
        client
            .execute(
                "UPDATE consumer_claims SET claimed_at = claimed_at - $4 * interval '1 second',
                     ceiling_at = ceiling_at - $4 * interval '1 second'
                 WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3",
                &[&tenant, &consumer, &epoch, &secs],
            )
            .await
            .expect("an aged claim");
        client
            .execute(
                "UPDATE claim_leases SET
                     lease_expires_at = lease_expires_at - $4 * interval '1 second',
                     heard_at = heard_at - $4 * interval '1 second',
                     last_heartbeat_at = last_heartbeat_at - $4 * interval '1 second',
                     ceiling_at = ceiling_at - $4 * interval '1 second'
                 WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3",
                &[&tenant, &consumer, &epoch, &secs],
            )
            .await
            .expect("an aged lease")
    }

    /// Ages a claim so that its lease lapsed that long ago.
    pub async fn lapse(&self, id: &ClaimId, ago: Duration) {
        let (tenant, consumer, epoch) = (id.tenant.as_str(), id.consumer.as_str(), id.epoch.get());
        let row = self
            .sql
            .query_one(
                "SELECT extract(epoch FROM lease_expires_at - clock_timestamp())::float8
                 FROM claim_leases WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3",
                &[&tenant, &consumer, &epoch],
            )
            .await
            .expect("a lease");
        let remaining: f64 = row.get(0);
        self.age(id, Duration::from_secs_f64((remaining + ago.as_secs_f64()).max(0.0))).await;
    }
}
