//! The server: bound first, then run until it is asked to end, then drained within bounds.

use crate::access::{Access, Reloader};
use crate::admin_service::Admin;
use crate::beat::HEARTBEAT_TIMEOUT;
use crate::calls::CallLayer;
use crate::calls::admission::{Admission, Gate};
use crate::calls::drain::Drain;
use crate::claim_service::Claims;
use crate::config::Config;
use crate::entrance::Entrance;
use crate::health::{Health, Readiness};
use crate::keep_alive::KeepAlives;
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::quota::file::QuotaFile;
use crate::quota::kind::Kind;
use crate::quota::table::QuotaTable;
use crate::transport::Transport;
use crate::transport::door::Door;
use crate::transport::reload::Reload;
use crate::watches::Watches;
use crate::{liveness, probes};
use claim_proto::v1::claim_admin_service_server::ClaimAdminServiceServer;
use claim_proto::v1::claim_service_server::ClaimServiceServer;
use claims::domain::TenantId;
use claims::program::Shutdown;
use claims::store::{ClaimStore, Weights};
use prometheus_client::registry::Registry;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::server::health_reporter;
use tonic_reflection::server::Builder as ReflectionBuilder;
use tower::Layer;

/// Most bytes of a request. A done with 256 acks of full length has less than half a MiB.
pub(crate) const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// From NOT_SERVING to the closing of connections: for watchers of our health to look elsewhere,
/// and for callers to learn the reason from us rather than from a refused connection.
const DRAIN_NOTICE: Duration = Duration::from_millis(500);
/// How long streams may take to end once the drain has begun: as long as their last heartbeat. A
/// client that does not read takes as long as it is let.
const STREAMS_END_TIMEOUT: Duration = HEARTBEAT_TIMEOUT;
/// For the last answers to reach the network. A peer that never spoke, or a health watch, would
/// keep its connection open for as long as it likes.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the server could not begin, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address could not be bound.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address of the setting.
        address: SocketAddr,
        /// What the operating system says.
        #[source]
        source: io::Error,
    },
    /// The descriptor set is not one that reflection understands.
    #[error("reflection cannot be served")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// A part of the server ended although nobody had asked for it.
    #[error("the server ended by itself")]
    Ended,
}

/// A server whose addresses are bound; it accepts connections, and answers once it runs.
#[derive(Debug)]
pub struct Server {
    config: Config,
    grpc: TcpListener,
    probes: TcpListener,
    address: SocketAddr,
    probes_address: SocketAddr,
}

impl Server {
    /// Binds the addresses of the settings.
    pub async fn bind(config: Config) -> Result<Self, ServerError> {
        let (grpc, address) = bind(config.listen).await?;
        let (probes, probes_address) = bind(config.metrics_listen).await?;
        Ok(Self { config, grpc, probes, address, probes_address })
    }

    /// Where the gRPC services are.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether connections to it are encrypted.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.config.transport.is_encrypted()
    }

    /// The address as a URL, which tells whether it is encrypted.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.config.transport.scheme(), self.address)
    }

    /// Where `/livez`, `/readyz` and `/metrics` are.
    #[must_use]
    pub fn probes_address(&self) -> SocketAddr {
        self.probes_address
    }

    /// Serves until `shutdown` is asked, then drains for at most the shutdown grace. The database
    /// may be away, then and later; until it is back, calls are told so.
    pub async fn run(self, shutdown: Shutdown) -> Result<(), ServerError> {
        let Self { config, grpc, probes, address, probes_address } = self;
        let settings = config.lanes.of_store("claim-server".to_owned());
        let store = ClaimStore::start(&config.database, &settings);
        let (reporter, health_service) = health_reporter();
        let health = Health::new(reporter).await;
        let metrics = Metrics::default();
        let registry = metrics.registry(store.metrics());
        let probes = tokio::spawn(serve_probes(probes, health.readiness(), registry));

        let access = Access::new(&config.access);
        if !config.access.asks() {
            tracing::warn!(
                %address,
                "callers are asked for no credentials: whoever reaches {address} may do everything; \
                 CLAIM_POLICY_FILE says who may do what"
            );
        }
        let mut reloader = Reloader::new(access.clone(), &config.access);
        reloader.begin().await;
        let reloader = tokio::spawn(reloader.run());

        let (quotas, quota_file) = quotas(config.quota, store.weights());
        let drain = Drain::default();
        let close = CancellationToken::new();
        let away = health.database_away();
        let keep_alives = KeepAlives::new(store.clone(), drain.clone(), away, &metrics);
        let herald = tokio::spawn(keep_alives.herald());
        let watches = Watches::new(store.events().clone(), drain.clone(), &metrics);
        let routes = routes(&store, &quotas, keep_alives, watches, metrics.clone())?;
        let routes = routes.add_service(health_service).prepare();
        config.transport.caution(address);
        let (door, reload) = door(config.transport);
        let calls = CallLayer::new(drain.clone(), access, metrics.clone()).layer(routes);
        let limits = Limits { store: store.clone(), quotas };
        let admission = Admission::new(limits, drain.clone(), metrics);
        let entrance = Entrance::new(door, config.connections, admission, calls);
        let grpc = tokio::spawn(entrance.serve(grpc, close.clone()));
        tracing::info!(%address, "gRPC is served on {address}, probes on {probes_address}");

        let unsigned = watch::Sender::new(None);
        let health = health.keep(store.clone(), unsigned.subscribe(), shutdown.clone());
        let health = tokio::spawn(health);
        let signer = liveness::sign(store, config.outage_grace, unsigned, shutdown);
        let signer = tokio::spawn(signer);
        let ended = until_drained(grpc, health, &drain, &close, config.shutdown_grace).await;
        signer.abort();
        herald.abort();
        reloader.abort();
        quota_file.abort();
        probes.abort();
        reload.abort();
        ended
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let failed = |source| ServerError::Bind { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// The services of the contract, and reflection on them for clients without proto files.
fn routes(
    store: &ClaimStore,
    quotas: &Quotas,
    keep_alives: KeepAlives,
    watches: Watches,
    metrics: Metrics,
) -> Result<Routes, ServerError> {
    let claims = Claims::new(store.clone(), quotas.clone(), keep_alives, watches, metrics);
    let claims = ClaimServiceServer::new(claims).max_decoding_message_size(REQUEST_BYTES_MAX);
    let admin = ClaimAdminServiceServer::new(Admin::new(store.clone()))
        .max_decoding_message_size(REQUEST_BYTES_MAX);
    let reflection = || {
        ReflectionBuilder::configure()
            .register_encoded_file_descriptor_set(claim_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // The details of a refusal, so that a command-line client can print them.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(claims)
        .add_service(admin)
        .add_service(reflection().build_v1().map_err(ServerError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(ServerError::Reflection)?))
}

/// The way in for connections, and the task that keeps its certificates new.
fn door(transport: Transport) -> (Door, JoinHandle<()>) {
    let Transport(Some(encrypted)) = transport else {
        return (Door::Open, tokio::spawn(async {}));
    };
    let reload = Reload::new(encrypted);
    (Door::guarded(reload.current()), tokio::spawn(reload.run()))
}

/// The quotas of a file, and the task that follows it.
fn quotas(file: Option<QuotaFile>, weights: &Weights) -> (Quotas, JoinHandle<()>) {
    let table = file.as_ref().map_or_else(QuotaTable::default, |file| file.table().clone());
    let quotas = Quotas::new(table, weights);
    let following = quotas.clone();
    let follow = async move {
        if let Some(file) = file {
            file.follow(following).await;
        }
    };
    (quotas, tokio::spawn(follow))
}

/// What is refused now, by tenant.
struct Limits {
    store: ClaimStore,
    quotas: Quotas,
}

impl Gate for Limits {
    fn refuses_mints_of(&self, tenant: &TenantId) -> bool {
        self.store.refuses_mints_of(tenant)
    }

    fn exceeds(&self, tenant: &TenantId, kind: Kind) -> Option<Duration> {
        self.quotas.exceeds(tenant, kind)
    }
}

async fn serve_probes(
    listener: TcpListener,
    readiness: watch::Receiver<Readiness>,
    registry: Registry,
) {
    if let Err(error) = axum::serve(listener, probes::routes(readiness, registry)).await {
        tracing::error!(%error, "probes over HTTP are no longer served");
    }
}

/// Waits for the end that was asked for, then: NOT_SERVING, no new calls, a moment for others to
/// notice, no new connections, the answers of calls in flight. All of it in the shutdown grace.
async fn until_drained(
    mut grpc: JoinHandle<()>,
    health: JoinHandle<()>,
    drain: &Drain,
    close: &CancellationToken,
    shutdown_grace: Duration,
) -> Result<(), ServerError> {
    tokio::select! {
        // It ends when the end was asked for and all have been told.
        told = health => told.map_err(|_| ServerError::Ended)?,
        _ = &mut grpc => return Err(ServerError::Ended),
    }
    let deadline = Instant::now() + shutdown_grace;
    let streams_deadline = deadline.min(Instant::now() + STREAMS_END_TIMEOUT);
    drain.begin();
    let (calls, streams) = (drain.in_flight(), drain.streams());
    tracing::info!("draining; {calls} calls are in flight, {streams} streams are told to end");
    sleep(DRAIN_NOTICE.min(shutdown_grace)).await;
    close.cancel();
    if timeout_at(deadline, drain.finished()).await.is_err() {
        tracing::warn!("{} calls were cut off by the end of the drain", drain.in_flight());
    }
    if timeout_at(streams_deadline, drain.streams_ended()).await.is_err() {
        tracing::warn!("{} streams did not end in time and were cut off", drain.streams());
    }
    let close_deadline = deadline.min(Instant::now() + CLOSE_TIMEOUT);
    if timeout_at(close_deadline, &mut grpc).await.is_err() {
        grpc.abort();
    }
    tracing::info!("drained");
    Ok(())
}
