//! `claim.v1.ClaimService`: each call is converted, put to the store, and its answer converted
//! back. What may happen to a claim is decided elsewhere.

use crate::access::Call;
use crate::beat::{Beats, HEARTBEAT_TIMEOUT};
use crate::calls::deadline::Deadline;
use crate::calls::method::Method;
use crate::keep_alive::{self, KeepAlives};
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::quota::kind::Counted;
use crate::status;
use crate::subject::{self, Subject, checked, checked_part};
use crate::watches::{self, Watches};
use crate::wire::InvalidFields;
use crate::wire::{answer, events, request, stream};
use claim_proto::v1;
use claim_proto::v1::claim_service_server::ClaimService;
use claims::store::{ClaimStore, fresh_write_token};
use http::Extensions;
use tonic::{Request, Response, Status, Streaming};

/// The calls of runners, of the stores they write to, and of those who look on.
pub(crate) struct Claims {
    store: ClaimStore,
    quotas: Quotas,
    keep_alives: KeepAlives,
    watches: Watches,
    metrics: Metrics,
}

impl Claims {
    /// Serves from that store, within those quotas.
    pub(crate) fn new(
        store: ClaimStore,
        quotas: Quotas,
        keep_alives: KeepAlives,
        watches: Watches,
        metrics: Metrics,
    ) -> Self {
        Self { store, quotas, keep_alives, watches, metrics }
    }

    /// A converted request that its caller may make, and for which quotas have room; or why not.
    fn admitted<R: Subject + Counted>(
        &self,
        extensions: &Extensions,
        converted: Result<R, InvalidFields>,
    ) -> Result<R, Status> {
        let call = Call::of(extensions)?;
        let request = checked(&call, converted)?;
        self.quotas.of(call.caller().actor(), extensions).charge(&request)?;
        Ok(request)
    }
}

#[tonic::async_trait]
impl ClaimService for Claims {
    type KeepAliveStream = keep_alive::Answers;
    type WatchClaimEventsStream = watches::Items;

    async fn mint(
        &self,
        request: Request<v1::MintRequest>,
    ) -> Result<Response<v1::MintResponse>, Status> {
        let token = fresh_write_token().map_err(status::of)?;
        let call = Call::of(request.extensions())?;
        let quota = self.quotas.of(call.caller().actor(), request.extensions());
        let mint = checked(&call, request::mint(request.get_ref(), token.digest()))?;
        quota.charge(&mint)?;
        let minted = quota.minted(&self.store, mint).await?;
        Ok(Response::new(answer::minted(&minted, &token)))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let heartbeat =
            self.admitted(request.extensions(), request::heartbeat(request.get_ref()))?;
        let renewal = self.store.heartbeat(heartbeat).await.map_err(status::of)?;
        Ok(Response::new(answer::renewed(&renewal)))
    }

    async fn heartbeat_batch(
        &self,
        request: Request<v1::HeartbeatBatchRequest>,
    ) -> Result<Response<v1::HeartbeatBatchResponse>, Status> {
        let until = Deadline::of_parts(request.extensions(), HEARTBEAT_TIMEOUT);
        let batch = stream::heartbeats(request.get_ref()).map_err(|no| status::invalid(&no))?;
        subject::note_batch(&batch);
        let call = Call::of(request.extensions())?;
        let quota = self.quotas.of(call.caller().actor(), request.extensions());
        let beats = batch.into_iter();
        let batch = beats.map(|beat| quota.charged(checked_part(&call, beat))).collect();
        let beats = Beats { method: Method::HeartbeatBatch, metrics: &self.metrics };
        let outcomes = beats.all(&self.store, batch, until).await;
        Ok(Response::new(stream::batch_answered(outcomes)))
    }

    async fn keep_alive(
        &self,
        request: Request<Streaming<v1::KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let deadline = Deadline::of_stream(request.extensions());
        let call = Call::of(request.extensions())?;
        let quota = self.quotas.of(call.caller().actor(), request.extensions());
        Ok(Response::new(self.keep_alives.open(request.into_inner(), call, quota, deadline)?))
    }

    async fn done(
        &self,
        request: Request<v1::DoneRequest>,
    ) -> Result<Response<v1::DoneResponse>, Status> {
        let (_, extensions, asked) = request.into_parts();
        let done = self.admitted(&extensions, request::done(asked))?;
        let ended = self.store.done(done).await.map_err(status::of)?;
        Ok(Response::new(answer::ended(&ended)))
    }

    async fn authorize_write(
        &self,
        request: Request<v1::AuthorizeWriteRequest>,
    ) -> Result<Response<v1::AuthorizeWriteResponse>, Status> {
        let write =
            self.admitted(request.extensions(), request::authorize_write(request.get_ref()))?;
        let authorizing = self.store.authorize(write.tenant, write.stream, write.token);
        Ok(Response::new(answer::authorized(&authorizing.await.map_err(status::of)?)))
    }

    async fn get_claim(
        &self,
        request: Request<v1::GetClaimRequest>,
    ) -> Result<Response<v1::GetClaimResponse>, Status> {
        let id = self.admitted(request.extensions(), request::get_claim(request.get_ref()))?;
        let (claim, now) = self.store.get_claim(id).await.map_err(status::of)?;
        Ok(Response::new(answer::claim_read(&claim, now)))
    }

    async fn list_claims(
        &self,
        request: Request<v1::ListClaimsRequest>,
    ) -> Result<Response<v1::ListClaimsResponse>, Status> {
        let query = self.admitted(request.extensions(), request::list_claims(request.get_ref()))?;
        let page = self.store.list_claims(query.clone()).await.map_err(status::of)?;
        Ok(Response::new(answer::claims_listed(&query, &page)))
    }

    async fn get_entity(
        &self,
        request: Request<v1::GetEntityRequest>,
    ) -> Result<Response<v1::GetEntityResponse>, Status> {
        let key = self.admitted(request.extensions(), request::get_entity(request.get_ref()))?;
        let view = self.store.get_entity(key.clone()).await.map_err(status::of)?;
        Ok(Response::new(answer::entity_read(&key, &view)))
    }

    async fn list_claim_events(
        &self,
        request: Request<v1::ListClaimEventsRequest>,
    ) -> Result<Response<v1::ListClaimEventsResponse>, Status> {
        let query = self.admitted(request.extensions(), events::list(request.get_ref()))?;
        let page = self.store.events().list(query.clone()).await.map_err(status::of_list)?;
        Ok(Response::new(events::listed(&query, &page)))
    }

    async fn watch_claim_events(
        &self,
        request: Request<v1::WatchClaimEventsRequest>,
    ) -> Result<Response<Self::WatchClaimEventsStream>, Status> {
        let deadline = Deadline::of_stream(request.extensions());
        let call = Call::of(request.extensions())?;
        let quota = self.quotas.of(call.caller().actor(), request.extensions());
        let asked = checked(&call, events::watch(request.get_ref()))?;
        quota.charge(&asked)?;
        Ok(Response::new(self.watches.open(asked, &call, &quota, deadline).await?))
    }
}
