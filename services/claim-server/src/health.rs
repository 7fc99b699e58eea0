//! Whether this server can serve: it does while the database answers and nobody asked it to end.
//!
//! One task asks the database, at most once a second, and looks whether this server's signatures get
//! through (R6), which go over the path that serves heartbeats: that can be closed while the database
//! answers. It publishes what it found to the gRPC health service and to [`Readiness`]. Probes read
//! what was published, so that however many there
//! are, they cannot load the database.

use crate::liveness::UnsignedSince;
use claim_proto::v1::claim_admin_service_server::SERVICE_NAME as CLAIM_ADMIN_SERVICE;
use claim_proto::v1::claim_service_server::SERVICE_NAME as CLAIM_SERVICE;
use claims::program::Shutdown;
use claims::store::{ClaimStore, Probe};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// From one question to the next.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// A database that takes longer to answer one cheap question does not serve anybody.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// For how long the database may fail until streams are told to look for another server.
const AWAY_AFTER: Duration = Duration::from_secs(2);
/// What the health service answers for: the server as a whole, and each service.
const SERVICES: [&str; 3] = ["", CLAIM_SERVICE, CLAIM_ADMIN_SERVICE];

/// What was last found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// Nothing yet.
    Starting,
    /// The database answers.
    Ready,
    /// The database does not answer.
    DatabaseUnavailable,
    /// The database answers, and lacks migrations that this server needs.
    SchemaBehind,
    /// The server is about to end.
    Draining,
}

impl Readiness {
    /// The state in words, for whoever asks over HTTP.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::DatabaseUnavailable => "the database is unavailable",
            Self::SchemaBehind => "the database's schema is behind: claim-server migrate",
            Self::Draining => "draining",
        }
    }

    const fn serving_status(self) -> ServingStatus {
        match self {
            Self::Ready => ServingStatus::Serving,
            Self::Starting | Self::DatabaseUnavailable | Self::SchemaBehind | Self::Draining => {
                ServingStatus::NotServing
            }
        }
    }
}

/// Publishes what is found out.
pub(crate) struct Health {
    reporter: HealthReporter,
    readiness: watch::Sender<Readiness>,
    database_away: watch::Sender<bool>,
}

impl Health {
    /// Nothing is served until something was found out.
    pub(crate) async fn new(reporter: HealthReporter) -> Self {
        let readiness = watch::Sender::new(Readiness::Starting);
        let health = Self { reporter, readiness, database_away: watch::Sender::new(false) };
        health.publish(Readiness::Starting).await;
        health
    }

    /// What was last found out, now and later.
    pub(crate) fn readiness(&self) -> watch::Receiver<Readiness> {
        self.readiness.subscribe()
    }

    /// Whether the database has failed for too long to wait for it here: for 2 s at the last look.
    pub(crate) fn database_away(&self) -> watch::Receiver<bool> {
        self.database_away.subscribe()
    }

    /// Asks the database until `shutdown`; when this returns, all know that the server drains.
    pub(crate) async fn keep(
        self,
        store: ClaimStore,
        unsigned: watch::Receiver<UnsignedSince>,
        shutdown: Shutdown,
    ) {
        let mut ticks = interval(PROBE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let probing = async {
            let mut failing_since = None;
            loop {
                ticks.tick().await;
                let asked = Instant::now();
                let mut found = probe(&store).await;
                let unsigned = *unsigned.borrow();
                let is_unsigned = unsigned.is_some_and(|since| since.elapsed() >= AWAY_AFTER);
                if is_unsigned && found == Readiness::Ready {
                    found = Readiness::DatabaseUnavailable;
                }
                failing_since = match found {
                    // Nobody is served either way.
                    Readiness::DatabaseUnavailable | Readiness::SchemaBehind => {
                        let since = unsigned.map_or(asked, |since| since.min(asked));
                        failing_since.or(Some(since))
                    }
                    Readiness::Starting | Readiness::Ready | Readiness::Draining => None,
                };
                let is_away = failing_since.is_some_and(|since| since.elapsed() >= AWAY_AFTER);
                self.database_away
                    .send_if_modified(|was_away| std::mem::replace(was_away, is_away) != is_away);
                self.publish(found).await;
            }
        };
        tokio::select! {
            () = shutdown.asked() => {}
            () = probing => {}
        }
        self.publish(Readiness::Draining).await;
    }

    async fn publish(&self, found: Readiness) {
        let before = self.readiness.send_replace(found);
        if before == found && found != Readiness::Starting {
            return;
        }
        for service in SERVICES {
            self.reporter.set_service_status(service, found.serving_status()).await;
        }
        match found {
            Readiness::Ready => tracing::info!("the database answers; serving"),
            Readiness::DatabaseUnavailable => {
                tracing::warn!("the database does not answer; not serving until it does");
            }
            Readiness::SchemaBehind => {
                tracing::warn!(
                    "the database lacks migrations of this program; not serving until \
                     `claim-server migrate` has made them"
                );
            }
            Readiness::Starting | Readiness::Draining => {}
        }
    }
}

async fn probe(store: &ClaimStore) -> Readiness {
    match timeout(PROBE_TIMEOUT, store.probe()).await {
        Ok(Ok(Probe::Ready)) => Readiness::Ready,
        Ok(Ok(Probe::SchemaBehind)) => Readiness::SchemaBehind,
        Ok(Err(_)) | Err(_) => Readiness::DatabaseUnavailable,
    }
}
