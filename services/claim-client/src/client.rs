//! The client: what a process has one of.

use crate::calls::{Calls, Wire};
use crate::done::Done;
use crate::error::Error;
use crate::guard::ClaimGuard;
use crate::heartbeats::{Keeper, Order};
use crate::io_thread::IoThread;
use crate::mint::MintRequest;
use crate::servers::{Picked, Servers};
use crate::settings::ClientBuilder;
use crate::token::WriteToken;
use crate::watch::{self, EventWatch};
use claim_proto::v1;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tonic::{Request, Response, Status, Streaming};

/// A client of the claim service. Make one for a process and clone it: all its claims are
/// heartbeaten over one stream, by a thread of its own.
///
/// Its calls may be awaited on any runtime. Each is repeated, at every server in turn, until it is
/// answered or its deadline passes; a future that is dropped leaves its call to run to that end.
#[derive(Clone, Debug)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    io: IoThread,
    servers: Arc<Servers>,
    calls: Calls,
    orders: mpsc::UnboundedSender<Order>,
    write_margin_percent: u32,
    holds: AtomicU64,
}

/// The identity of a claim: enough to end it, from any process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimId {
    /// Isolation unit; empty is `default`.
    pub tenant_id: String,
    /// Who holds it.
    pub consumer_id: String,
    /// Its generation number.
    pub epoch: i64,
}

impl Client {
    /// A client of the servers at these addresses, `http://host:port` or, with TLS, `https://…`.
    /// Any of them can take any call; one is asked at a time, beginning with one at random.
    pub fn builder(addresses: impl IntoIterator<Item = impl Into<String>>) -> ClientBuilder {
        ClientBuilder::new(addresses)
    }

    pub(crate) fn start(
        io: IoThread,
        servers: Arc<Servers>,
        calls: Calls,
        write_margin_percent: u32,
    ) -> Self {
        let (orders, keeper_orders) = mpsc::unbounded_channel();
        let keeper = io.runtime().spawn(Keeper::new(Arc::clone(&servers), keeper_orders).run());
        io.runtime().spawn(async move {
            if keeper.await.is_err_and(|error| error.is_panic()) {
                tracing::error!(
                    "heartbeats have ended by a fault of this client; no claim is kept"
                );
            }
        });
        let holds = AtomicU64::new(0);
        Self { inner: Arc::new(Inner { io, servers, calls, orders, write_margin_percent, holds }) }
    }

    /// Mints a claim and takes it into care: it is heartbeaten until the guard is done or dropped.
    /// The claim's time counts from when the accepted attempt was sent.
    ///
    /// # Errors
    /// A [`Refusal`](crate::Refusal) says that the claim was not granted; `AlreadyClaimed` when to
    /// come back. After [`Error::Unavailable`] it may have been granted: the same `request_id`
    /// gets it, or it lapses.
    pub async fn mint(&self, mint: MintRequest) -> Result<ClaimGuard, Error> {
        let mint = mint.named()?;
        let client = self.clone();
        // Made on the other thread: if the caller has gone, the guard is dropped there and says so.
        self.on_io(async move {
            let call = |mut wire: Wire, ask| async move { wire.mint(ask).await };
            let minted = client.inner.calls.call(mint.wire.clone(), call).await?;
            let id = client.inner.holds.fetch_add(1, Ordering::Relaxed);
            ClaimGuard::of(&client, id, &mint, minted, client.inner.write_margin_percent)
        })
        .await
    }

    /// Ends a claim by its identity, for a process that lost its guard, say by a restart.
    ///
    /// # Errors
    /// As for [`ClaimGuard::done`].
    pub async fn done(&self, claim: &ClaimId, done: Done) -> Result<v1::DoneResponse, Error> {
        self.report_done(claim, None, done).await
    }

    pub(crate) async fn report_done(
        &self,
        claim: &ClaimId,
        write_token: Option<&WriteToken>,
        done: Done,
    ) -> Result<v1::DoneResponse, Error> {
        let ask = v1::DoneRequest {
            tenant_id: claim.tenant_id.clone(),
            consumer_id: claim.consumer_id.clone(),
            epoch: claim.epoch,
            write_token: write_token.map(|token| token.reveal().to_owned()).unwrap_or_default(),
            acked_streams: done.acked_streams,
            outcome: done.outcome.into(),
            error_message: done.error_message,
        };
        self.ask(ask, |mut wire, ask| async move { wire.done(ask).await }).await
    }

    /// Whether a write to `stream_path` with that token may go through now: for the stores that
    /// runners write to. The answer's fence tells a stale holder: refuse what is lower than the
    /// highest seen.
    ///
    /// # Errors
    /// `LeaseLapsed`: the holder may come back with a heartbeat. `WriteTokenInvalid`: it will not.
    pub async fn authorize_write(
        &self,
        tenant_id: impl Into<String>,
        stream_path: impl Into<String>,
        write_token: impl Into<String>,
    ) -> Result<v1::AuthorizeWriteResponse, Error> {
        let ask = v1::AuthorizeWriteRequest {
            tenant_id: tenant_id.into(),
            stream_path: stream_path.into(),
            write_token: write_token.into(),
        };
        self.ask(ask, |mut wire, ask| async move { wire.authorize_write(ask).await }).await
    }

    /// Reads a claim.
    ///
    /// # Errors
    /// `ClaimNotFound`, or no answer.
    pub async fn get_claim(&self, claim: &ClaimId) -> Result<v1::Claim, Error> {
        let ask = v1::GetClaimRequest {
            tenant_id: claim.tenant_id.clone(),
            consumer_id: claim.consumer_id.clone(),
            epoch: claim.epoch,
        };
        let answer = self.ask(ask, |mut wire, ask| async move { wire.get_claim(ask).await }).await;
        answer?.claim.ok_or(Error::Incomplete("claim"))
    }

    /// Reads a page of claims.
    ///
    /// # Errors
    /// `InvalidField`, or no answer.
    pub async fn list_claims(
        &self,
        ask: v1::ListClaimsRequest,
    ) -> Result<v1::ListClaimsResponse, Error> {
        self.ask(ask, |mut wire, ask| async move { wire.list_claims(ask).await }).await
    }

    /// Reads a page of events, oldest first: who held an entity at any time, and why it changed
    /// hands.
    ///
    /// # Errors
    /// `InvalidField`, `EventsPruned`, or no answer.
    pub async fn list_claim_events(
        &self,
        ask: v1::ListClaimEventsRequest,
    ) -> Result<v1::ListClaimEventsResponse, Error> {
        self.ask(ask, |mut wire, ask| async move { wire.list_claim_events(ask).await }).await
    }

    /// Follows the events of a tenant, an entity or a consumer, from `after_sequence` on, however
    /// often the line is cut.
    #[must_use]
    pub fn watch_claim_events(&self, ask: v1::WatchClaimEventsRequest) -> EventWatch {
        EventWatch::new(self.clone(), ask)
    }

    pub(crate) async fn open_watch(
        &self,
        ask: v1::WatchClaimEventsRequest,
    ) -> Result<(Picked, Result<Streaming<v1::WatchClaimEventsResponse>, Status>), Error> {
        let client = self.clone();
        self.on_io(async move { Ok(watch::open(client.servers().pick(), ask).await) }).await
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.inner.servers
    }

    /// Reads an entity of a tenant.
    ///
    /// # Errors
    /// `EntityNotFound`, or no answer.
    pub async fn get_entity(
        &self,
        tenant_id: impl Into<String>,
        entity_url: impl Into<String>,
    ) -> Result<v1::Entity, Error> {
        let ask =
            v1::GetEntityRequest { tenant_id: tenant_id.into(), entity_url: entity_url.into() };
        let answer = self.ask(ask, |mut wire, ask| async move { wire.get_entity(ask).await }).await;
        answer?.entity.ok_or(Error::Incomplete("entity"))
    }

    /// Tells the thread that keeps the claims; false if it has ended, and nothing is kept any more.
    pub(crate) fn order(&self, order: Order) -> bool {
        self.inner.orders.send(order).is_ok()
    }

    async fn ask<Ask, Answer, Called>(
        &self,
        ask: Ask,
        call: impl Fn(Wire, Request<Ask>) -> Called + Send + 'static,
    ) -> Result<Answer, Error>
    where
        Ask: Clone + Send + Sync + 'static,
        Answer: Send + 'static,
        Called: Future<Output = Result<Response<Answer>, Status>> + Send,
    {
        let calls = self.inner.calls.clone();
        self.on_io(async move { calls.call(ask, call).await.map(|answered| answered.answer) }).await
    }

    async fn on_io<Answer: Send + 'static>(
        &self,
        work: impl Future<Output = Result<Answer, Error>> + Send + 'static,
    ) -> Result<Answer, Error> {
        self.inner.io.runtime().spawn(work).await.unwrap_or(Err(Error::Ended))
    }
}
