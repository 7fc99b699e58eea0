//! Reads that decide nothing: claims, entities, listings.
//!
//! Each runs in a task of its own on a pooled connection, so that a caller who leaves does not
//! hand the next user a connection that is still busy.

use super::batch::load::{ClockRow, id_arrays};
use super::connect::{Database, round_trip};
use super::error::{Damaged, StoreError, TransactionError};
use super::metrics::{ReadPool, StoreMetrics};
use super::migrations::versions;
use super::outage::Outage;
use super::reap::{ReaperStatus, read_status};
use super::rows::{ClaimRow, EntityRow, Time};
use super::statement::Statement;
use super::statements::{
    CountLiveClaims, ListClaimsOfEntity, ListClaimsOfRunner, ListClaimsOfTenant, ListLapsedClaims,
    ReadBookkeeping, ReadClaims, ReadClock, ReadEntity, ReadSchema,
};
use super::trace;
use crate::chain;
use crate::domain::{
    Claim, ClaimId, ClaimState, ConsumerId, Entity, EntityKey, EntityUrl, Epoch, Refusal, RunnerId,
    TenantId, Timestamp,
};
use deadpool::Runtime;
use deadpool::managed::Object;
use diesel_async::pooled_connection::deadpool::Pool;
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tracing::Instrument;

/// Connections for reads.
const POOL_SIZE: usize = 4;
/// Reads that may wait for a connection; beyond that callers are refused.
const WAITING_MAX: usize = 256;
/// How long a read waits for a connection.
const POOL_WAIT: Duration = Duration::from_secs(2);

/// Which claims to list.
#[derive(Clone, Debug)]
pub struct ClaimQuery {
    /// Of this tenant.
    pub tenant: TenantId,
    /// Of this entity only.
    pub entity: Option<EntityUrl>,
    /// Of this runner only.
    pub runner: Option<RunnerId>,
    /// In one of these states only; empty means any.
    pub states: Vec<ClaimState>,
    /// Live ones whose lease has lapsed only.
    pub lapsed_only: bool,
    /// How many at most.
    pub page_size: usize,
    /// From behind this position.
    pub after: Option<ClaimCursor>,
}

/// A position in a listing: that of the last claim of the page before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimCursor {
    /// When that claim was minted.
    pub claimed_at: Timestamp,
    /// Who held it.
    pub consumer: ConsumerId,
    /// Its epoch.
    pub epoch: Epoch,
}

/// A page of a listing: of an entity or runner oldest first, of a tenant in order of identity.
#[derive(Clone, Debug)]
pub struct ClaimPage {
    /// The claims.
    pub claims: Vec<Claim>,
    /// Where the next page begins; none at the end.
    pub next: Option<ClaimCursor>,
    /// The database time of the read.
    pub now: Timestamp,
}

/// An entity as it is shown.
#[derive(Clone, Debug)]
pub struct EntityView {
    /// Its row.
    pub entity: Entity,
    /// Its current claim.
    pub current: Option<Claim>,
    /// The database time of the read.
    pub now: Timestamp,
}

/// The pool behind the reads.
#[derive(Clone)]
pub(super) struct Reads {
    pool: Arc<Connections>,
    /// One connection for the probe alone: slow reads must not make a healthy server look ill.
    probe: Arc<Connections>,
    /// Every migration of this program was seen. They do not go away while it runs.
    is_migrated: Arc<AtomicBool>,
}

/// What a probe finds of a database that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It can be worked with.
    Ready,
    /// It lacks migrations of this program.
    SchemaBehind,
}

/// Some connections, and whether those who read on them have failed.
struct Connections {
    pool: ReadPool,
    outage: Arc<Outage>,
    metrics: StoreMetrics,
}

impl Reads {
    pub(super) fn new(database: &Database, program: &str, metrics: &StoreMetrics) -> Self {
        Self {
            pool: Arc::new(pool(database, format!("{program}/read"), POOL_SIZE, metrics)),
            probe: Arc::new(pool(database, format!("{program}/probe"), 1, metrics)),
            is_migrated: Arc::default(),
        }
    }

    /// Runs a read on the next free connection, in a task of its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> Reading<'c, T> + Send + 'static,
    ) -> Result<T, StoreError> {
        if self.pool.pool.status().waiting >= WAITING_MAX {
            return Err(StoreError::Overloaded);
        }
        run(Arc::clone(&self.pool), read).await
    }

    pub(super) async fn claim(&self, id: ClaimId) -> Result<(Claim, Timestamp), StoreError> {
        let (mut claims, now) = self.claims(vec![id.clone()]).await?;
        let claim = claims.remove(&id).ok_or(Refusal::ClaimNotFound)?;
        Ok((claim, now))
    }

    pub(super) async fn claims(
        &self,
        ids: Vec<ClaimId>,
    ) -> Result<(BTreeMap<ClaimId, Claim>, Timestamp), StoreError> {
        let read = async move |c: &AsyncPgConnection| {
            let ids: Vec<&ClaimId> = ids.iter().collect();
            within(read_claims(c, &ids)).await
        };
        self.run(move |c| async move { read(c).await }.boxed()).await
    }

    pub(super) async fn entity(&self, key: EntityKey) -> Result<EntityView, StoreError> {
        let view = self.run(move |c| within(read_entity(c, key)).boxed()).await?;
        Ok(view.ok_or(Refusal::EntityNotFound)?)
    }

    pub(super) async fn list(&self, query: ClaimQuery) -> Result<ClaimPage, StoreError> {
        self.run(move |c| within(list_claims(c, query)).boxed()).await
    }

    pub(super) async fn count_live_claims(
        &self,
        tenant: TenantId,
        most: u32,
    ) -> Result<u32, StoreError> {
        self.run(move |c| within(count_live_claims(c, tenant, most)).boxed()).await
    }

    pub(super) async fn reaper_status(&self) -> Result<ReaperStatus, StoreError> {
        self.run(|c| async move { within(read_status(c)).await }.boxed()).await
    }

    /// One cheap query, to see whether the database answers; and until that has been so once, whether
    /// it has this program's schema.
    pub(super) async fn probe(&self) -> Result<Probe, StoreError> {
        // By its type, since the statements' trait has a `load` for everything.
        if !AtomicBool::load(&self.is_migrated, Ordering::Relaxed) {
            let is_migrated = run(Arc::clone(&self.probe), |c| {
                async move { within(read_is_migrated(c)).await }.boxed()
            });
            if !is_migrated.await? {
                return Ok(Probe::SchemaBehind);
            }
            self.is_migrated.store(true, Ordering::Relaxed);
        }
        run(Arc::clone(&self.probe), |c| {
            async move { within(read_clock(c)).await.map(|_| Probe::Ready) }.boxed()
        })
        .await
    }
}

/// Runs a read in a task of its own.
async fn run<T: Send + 'static>(
    connections: Arc<Connections>,
    read: impl for<'c> FnOnce(&'c mut AsyncPgConnection) -> Reading<'c, T> + Send + 'static,
) -> Result<T, StoreError> {
    let read = async move {
        let Connections { pool, outage, metrics } = &*connections;
        let mut connection = pool.get().await.map_err(|_| StoreError::Unavailable)?;
        match read(&mut connection).await {
            Ok(value) => {
                outage.is_over();
                Ok(value)
            }
            Err(error) => {
                // Whatever state it is in, nobody else shall have it.
                drop(Object::take(connection));
                metrics.failed(&error);
                if matches!(error, TransactionError::Damaged(_)) {
                    tracing::error!(error = %chain(&error), "a read met a damaged row");
                    return Err(StoreError::Internal);
                }
                outage.goes_on(&error, "a read failed");
                Err(StoreError::Unavailable)
            }
        }
    };
    let task = tokio::spawn(read.instrument(trace::reading()));
    task.await.unwrap_or(Err(StoreError::Internal))
}

fn pool(database: &Database, name: String, size: usize, metrics: &StoreMetrics) -> Connections {
    let (database, failing) = (database.clone(), metrics.clone());
    let outage = Arc::<Outage>::default();
    let connecting = Arc::clone(&outage);
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(move |_| {
        let (database, name) = (database.clone(), name.clone());
        let (outage, metrics) = (Arc::clone(&connecting), failing.clone());
        async move {
            database.connect(&name).await.map_err(|error| {
                metrics.not_connected();
                outage.goes_on(&error, "a read cannot connect");
                diesel::ConnectionError::BadConnection("no connection".to_owned())
            })
        }
        .boxed()
    });
    let manager =
        AsyncDieselConnectionManager::<AsyncPgConnection>::new_with_config(String::new(), config);
    let pool = Pool::builder(manager)
        .max_size(size)
        .wait_timeout(Some(POOL_WAIT))
        .runtime(Runtime::Tokio1)
        .build();
    #[expect(clippy::expect_used, reason = "fails only where a runtime is missing")]
    let pool = pool.expect("the pool has a runtime");
    metrics.count_pool(pool.clone());
    Connections { pool, outage, metrics: metrics.clone() }
}

/// What a read is on a connection.
pub(super) type Reading<'c, T> = BoxFuture<'c, Result<T, TransactionError>>;

async fn within<T>(
    read: impl Future<Output = Result<T, TransactionError>>,
) -> Result<T, TransactionError> {
    round_trip(false, read).await?
}

fn failed(error: diesel::result::Error) -> TransactionError {
    TransactionError::RolledBack(error)
}

async fn read_clock(mut connection: &AsyncPgConnection) -> Result<Timestamp, TransactionError> {
    let clock = ReadClock::default();
    let read = trace::statement(ReadClock::FILE, clock.get_result(&mut connection));
    let row: ClockRow = read.await.map_err(failed)?;
    Ok(row.0.0)
}

/// Whether every migration of this program has been made.
async fn read_is_migrated(mut connection: &AsyncPgConnection) -> Result<bool, TransactionError> {
    let c = &mut connection;
    if !ReadBookkeeping::default().get_result::<bool>(c).await.map_err(failed)? {
        return Ok(false);
    }
    let versions = versions().map_err(|error| Damaged::new(format!("migrations: {error}")))?;
    let wanted = i64::try_from(versions.len()).unwrap_or(i64::MAX);
    let statement = ReadSchema { versions, ..Default::default() };
    let found: i64 = statement.get_result(c).await.map_err(failed)?;
    Ok(found == wanted)
}

fn into_claims(rows: Vec<ClaimRow>) -> Result<Vec<Claim>, Damaged> {
    rows.into_iter().map(|row| row.into_domain(None)).collect()
}

/// Claims by identity, with the database time after they were read.
pub(super) async fn read_claims(
    mut connection: &AsyncPgConnection,
    ids: &[&ClaimId],
) -> Result<(BTreeMap<ClaimId, Claim>, Timestamp), TransactionError> {
    let (tenants, consumers, epochs) = id_arrays(ids.iter().copied());
    let statement = ReadClaims { tenants, consumers, epochs, ..Default::default() };
    let read = trace::statement(ReadClaims::FILE, statement.load(&mut connection));
    let rows: Vec<ClaimRow> = read.await.map_err(failed)?;
    let claims = into_claims(rows)?;
    let now = read_clock(connection).await?;
    Ok((claims.into_iter().map(|claim| (claim.id.clone(), claim)).collect(), now))
}

/// An entity and its current claim in one snapshot.
async fn read_entity(
    connection: &mut AsyncPgConnection,
    key: EntityKey,
) -> Result<Option<EntityView>, TransactionError> {
    let mut read = connection.build_transaction().read_only().repeatable_read();
    read.run(async move |c| {
        let statement =
            ReadEntity { tenant: key.tenant.as_str(), url: key.url.as_str(), ..Default::default() };
        let rows: Vec<EntityRow> = trace::statement(ReadEntity::FILE, statement.load(c)).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let (key, entity) = row.into_domain().map_err(TransactionError::from)?;
        let ids: Vec<ClaimId> = entity.current_id(&key.tenant).into_iter().collect();
        let ids: Vec<&ClaimId> = ids.iter().collect();
        let (claims, now) = read_claims(c, &ids).await?;
        Ok(Some(EntityView { entity, current: claims.into_values().next(), now }))
    })
    .await
}

async fn count_live_claims(
    connection: &mut AsyncPgConnection,
    tenant: TenantId,
    most: u32,
) -> Result<u32, TransactionError> {
    let limit = i64::from(most);
    let statement = CountLiveClaims { tenant: tenant.as_str(), limit, ..Default::default() };
    let read = trace::statement(CountLiveClaims::FILE, statement.get_result(connection));
    let count: i64 = read.await.map_err(failed)?;
    // No more are counted than were asked for.
    Ok(u32::try_from(count).unwrap_or(most))
}

/// One more than asked for is read, to know whether there is a next page.
async fn list_claims(
    connection: &mut AsyncPgConnection,
    query: ClaimQuery,
) -> Result<ClaimPage, TransactionError> {
    let rows = load_page(connection, &query).await.map_err(failed)?;
    let mut claims = into_claims(rows)?;
    let more = claims.len() > query.page_size;
    claims.truncate(query.page_size);
    let next = claims.as_slice().last().filter(|_| more).map(|claim| ClaimCursor {
        claimed_at: claim.claimed_at,
        consumer: claim.id.consumer.clone(),
        epoch: claim.id.epoch,
    });
    Ok(ClaimPage { claims, next, now: read_clock(connection).await? })
}

/// The one listing whose index serves the query.
async fn load_page(
    mut connection: &AsyncPgConnection,
    query: &ClaimQuery,
) -> Result<Vec<ClaimRow>, diesel::result::Error> {
    let c = &mut connection;
    let tenant = query.tenant.as_str();
    let states = query.states.iter().map(|state| state.as_str()).collect();
    let limit = i64::try_from(query.page_size).unwrap_or(i64::MAX).saturating_add(1);
    let after = query.after.as_ref();
    let after_claimed_at =
        Time(after.map_or(Timestamp::BEFORE_ALL, |position| position.claimed_at));
    let after_consumer = after.map_or("", |position| position.consumer.as_str());
    let after_epoch = after.map_or(0, |position| position.epoch.get());
    let lapsed_only = query.lapsed_only;
    let runner = query.runner.as_ref().map(RunnerId::as_str).filter(|name| !name.is_empty());

    if let Some(entity) = &query.entity {
        let (entity, runner) = (entity.as_str(), runner.unwrap_or(""));
        let page = ListClaimsOfEntity {
            tenant,
            entity,
            runner,
            states,
            lapsed_only,
            after_claimed_at,
            after_consumer,
            after_epoch,
            limit,
            ..Default::default()
        };
        return trace::statement(ListClaimsOfEntity::FILE, page.load(c)).await;
    }
    if let Some(runner) = runner {
        let page = ListClaimsOfRunner {
            tenant,
            runner,
            states,
            lapsed_only,
            after_claimed_at,
            after_consumer,
            after_epoch,
            limit,
            ..Default::default()
        };
        return trace::statement(ListClaimsOfRunner::FILE, page.load(c)).await;
    }
    if lapsed_only {
        let page = ListLapsedClaims {
            tenant,
            states,
            after_consumer,
            after_epoch,
            limit,
            ..Default::default()
        };
        return trace::statement(ListLapsedClaims::FILE, page.load(c)).await;
    }
    let page = ListClaimsOfTenant {
        tenant,
        states,
        after_consumer,
        after_epoch,
        limit,
        ..Default::default()
    };
    trace::statement(ListClaimsOfTenant::FILE, page.load(c)).await
}
