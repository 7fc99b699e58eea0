//! `claim.v1.ClaimService`: each call is converted, put to the store, and its answer converted
//! back. What may happen to a claim is decided elsewhere.

use crate::access::Call;
use crate::beat::{self, HEARTBEAT_TIMEOUT};
use crate::calls::deadline::Deadline;
use crate::keep_alive::{self, KeepAlives};
use crate::status;
use crate::subject::{self, checked, checked_part};
use crate::watches::{self, Watches};
use crate::wire::{answer, events, request, stream};
use claim_proto::v1;
use claim_proto::v1::claim_service_server::ClaimService;
use claims::store::{ClaimStore, fresh_write_token};
use tonic::{Request, Response, Status, Streaming};

/// The calls of runners, of the stores they write to, and of those who look on.
pub(crate) struct Claims {
    store: ClaimStore,
    keep_alives: KeepAlives,
    watches: Watches,
}

impl Claims {
    /// Serves from that store.
    pub(crate) fn new(store: ClaimStore, keep_alives: KeepAlives, watches: Watches) -> Self {
        Self { store, keep_alives, watches }
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
        let mint = checked(&call, request::mint(request.get_ref(), token.digest()))?;
        let minted = self.store.mint(mint).await.map_err(status::of)?;
        Ok(Response::new(answer::minted(&minted, &token)))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let heartbeat = checked(&call, request::heartbeat(request.get_ref()))?;
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
        let batch = batch.into_iter().map(|beat| checked_part(&call, beat)).collect();
        let outcomes = beat::all(&self.store, batch, until).await;
        Ok(Response::new(stream::batch_answered(outcomes)))
    }

    async fn keep_alive(
        &self,
        request: Request<Streaming<v1::KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        let deadline = Deadline::of_stream(request.extensions());
        let call = Call::of(request.extensions())?;
        Ok(Response::new(self.keep_alives.open(request.into_inner(), call, deadline)))
    }

    async fn done(
        &self,
        request: Request<v1::DoneRequest>,
    ) -> Result<Response<v1::DoneResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let done = checked(&call, request::done(request.into_inner()))?;
        let ended = self.store.done(done).await.map_err(status::of)?;
        Ok(Response::new(answer::ended(&ended)))
    }

    async fn authorize_write(
        &self,
        request: Request<v1::AuthorizeWriteRequest>,
    ) -> Result<Response<v1::AuthorizeWriteResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let write = checked(&call, request::authorize_write(request.get_ref()))?;
        let authorizing = self.store.authorize(write.tenant, write.stream, write.token);
        Ok(Response::new(answer::authorized(&authorizing.await.map_err(status::of)?)))
    }

    async fn get_claim(
        &self,
        request: Request<v1::GetClaimRequest>,
    ) -> Result<Response<v1::GetClaimResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let id = checked(&call, request::get_claim(request.get_ref()))?;
        let (claim, now) = self.store.get_claim(id).await.map_err(status::of)?;
        Ok(Response::new(answer::claim_read(&claim, now)))
    }

    async fn list_claims(
        &self,
        request: Request<v1::ListClaimsRequest>,
    ) -> Result<Response<v1::ListClaimsResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let query = checked(&call, request::list_claims(request.get_ref()))?;
        let page = self.store.list_claims(query.clone()).await.map_err(status::of)?;
        Ok(Response::new(answer::claims_listed(&query, &page)))
    }

    async fn get_entity(
        &self,
        request: Request<v1::GetEntityRequest>,
    ) -> Result<Response<v1::GetEntityResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let key = checked(&call, request::get_entity(request.get_ref()))?;
        let view = self.store.get_entity(key.clone()).await.map_err(status::of)?;
        Ok(Response::new(answer::entity_read(&key, &view)))
    }

    async fn list_claim_events(
        &self,
        request: Request<v1::ListClaimEventsRequest>,
    ) -> Result<Response<v1::ListClaimEventsResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let query = checked(&call, events::list(request.get_ref()))?;
        let page = self.store.events().list(query.clone()).await.map_err(status::of_list)?;
        Ok(Response::new(events::listed(&query, &page)))
    }

    async fn watch_claim_events(
        &self,
        request: Request<v1::WatchClaimEventsRequest>,
    ) -> Result<Response<Self::WatchClaimEventsStream>, Status> {
        let deadline = Deadline::of_stream(request.extensions());
        let call = Call::of(request.extensions())?;
        let asked = checked(&call, events::watch(request.get_ref()))?;
        Ok(Response::new(self.watches.open(asked, &call, deadline).await?))
    }
}
