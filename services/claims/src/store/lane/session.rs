//! The connection of a lane.

use super::Service;
use crate::chain;
use crate::store::connect::{ConnectError, Database, round_trip};
use crate::store::error::StoreError;
use crate::store::metrics::{LaneMetrics, Place, StoreMetrics};
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// From a failed attempt to connect to the next.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(100);

/// How old plans get at most on a connection that is used.
const PLAN_AGE_MAX: Duration = Duration::from_secs(10);

/// The one connection of a lane: opened when needed, dropped when it failed.
pub(crate) struct Session {
    database: Database,
    application_name: String,
    /// Where the lanes of this kind are counted that have a connection.
    connected: Arc<AtomicUsize>,
    metrics: StoreMetrics,
    open: Option<Open>,
    failed_at: Option<Instant>,
    /// The connection was opened for the batch in hand.
    fresh: bool,
}

/// A connection, counted for as long as it is there.
struct Open {
    connection: AsyncPgConnection,
    /// How often it was asked for.
    uses: u64,
    planned_at: Instant,
    connected: Arc<AtomicUsize>,
    place: Place,
}

impl Open {
    fn new(connection: AsyncPgConnection, connected: &Arc<AtomicUsize>, place: Place) -> Self {
        connected.fetch_add(1, Ordering::AcqRel);
        let (uses, planned_at, connected) = (0, Instant::now(), connected.clone());
        Self { connection, uses, planned_at, connected, place }
    }

    /// A plan is kept for as long as its connection, and one that was made on empty tables may
    /// choose the wrong index: all of them look alike there. ANALYZE would have it made anew, but
    /// comes a minute late or not at all. So plans are made anew by ourselves while the tables may
    /// have grown: at the first use, at every power of two, and when they are old. All of them take
    /// some milliseconds.
    async fn plan_anew(&mut self) {
        self.uses += 1;
        if self.uses.is_power_of_two() || self.planned_at.elapsed() >= PLAN_AGE_MAX {
            self.planned_at = Instant::now();
            // If the connection has failed, its next user finds out.
            let _ = round_trip(false, self.connection.batch_execute("DISCARD PLANS")).await;
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.connected.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Session {
    /// Not connected yet; counted in `connected` when it is.
    pub(super) fn new(
        database: Database,
        application_name: String,
        connected: Arc<AtomicUsize>,
        metrics: &LaneMetrics,
    ) -> Self {
        let metrics = metrics.store.clone();
        let (open, failed_at, fresh) = (None, None, false);
        Self { database, application_name, connected, metrics, open, failed_at, fresh }
    }

    /// Where its work is counted.
    pub(crate) fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    pub(super) fn is_connected(&self) -> bool {
        self.open.is_some()
    }

    /// Opens and warms a connection, unless that failed only just now.
    pub(super) async fn connect<S: Service>(&mut self, service: &S) -> Result<(), StoreError> {
        if self.failed_at.is_some_and(|at| at.elapsed() < RECONNECT_PAUSE) {
            return Err(StoreError::Unavailable);
        }
        match self.try_connect(service).await {
            Ok(connection) => {
                if self.failed_at.take().is_some() {
                    tracing::info!(lane = S::KIND, "{} lane is connected again", S::KIND);
                }
                self.open = Some(Open::new(connection, &self.connected, self.metrics.place()));
                Ok(())
            }
            Err(error) => {
                self.metrics.not_connected();
                if self.failed_at.replace(Instant::now()).is_none() {
                    tracing::error!(lane = S::KIND, error = %chain(&error), "{} lane cannot connect", S::KIND);
                }
                Err(StoreError::Unavailable)
            }
        }
    }

    async fn try_connect<S: Service>(
        &self,
        service: &S,
    ) -> Result<AsyncPgConnection, ConnectError> {
        let connection = self.database.connect(&self.application_name).await?;
        service.warm(&connection).await?;
        Ok(connection)
    }

    /// The connection, for one batch; opened and warmed if it was discarded in the middle of it.
    pub(crate) async fn get<S: Service>(
        &mut self,
        service: &S,
    ) -> Result<&AsyncPgConnection, StoreError> {
        if self.open.is_none() {
            self.connect(service).await?;
            self.fresh = true;
        }
        let open = self.open.as_mut().ok_or(StoreError::Unavailable)?;
        open.place.is_used(true);
        open.plan_anew().await;
        Ok(&open.connection)
    }

    /// Nobody works on the connection any more.
    pub(super) fn rest(&mut self) {
        if let Some(open) = &mut self.open {
            open.place.is_used(false);
        }
    }

    /// Drops a connection that failed.
    pub(crate) fn discard(&mut self) {
        self.open = None;
    }

    /// Whether the connection was opened for the batch in hand and has served nothing yet; tells a
    /// database that is away from a connection that went stale while idle. Asking marks it as used.
    pub(crate) fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }
}
