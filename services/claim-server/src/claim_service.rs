//! `claim.v1.ClaimService`: each call is converted, put to the store, and its answer converted
//! back. What may happen to a claim is decided elsewhere.

use crate::status;
use crate::subject::checked;
use crate::wire::{answer, request};
use claim_proto::v1;
use claim_proto::v1::claim_service_server::ClaimService;
use claims::store::{ClaimStore, fresh_write_token};
use futures_util::stream::Empty;
use tonic::{Request, Response, Status, Streaming};

/// The calls of runners, of the stores they write to, and of those who look on.
pub(crate) struct Claims {
    store: ClaimStore,
}

impl Claims {
    /// Serves from that store.
    pub(crate) fn new(store: ClaimStore) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl ClaimService for Claims {
    type KeepAliveStream = Empty<Result<v1::KeepAliveResponse, Status>>;
    type WatchClaimEventsStream = Empty<Result<v1::WatchClaimEventsResponse, Status>>;

    async fn mint(
        &self,
        request: Request<v1::MintRequest>,
    ) -> Result<Response<v1::MintResponse>, Status> {
        let token = fresh_write_token().map_err(status::of)?;
        let mint = checked(request::mint(request.get_ref(), token.digest()))?;
        let minted = self.store.mint(mint).await.map_err(status::of)?;
        Ok(Response::new(answer::minted(&minted, &token)))
    }

    async fn heartbeat(
        &self,
        request: Request<v1::HeartbeatRequest>,
    ) -> Result<Response<v1::HeartbeatResponse>, Status> {
        let heartbeat = checked(request::heartbeat(request.get_ref()))?;
        let renewal = self.store.heartbeat(heartbeat).await.map_err(status::of)?;
        Ok(Response::new(answer::renewed(&renewal)))
    }

    async fn heartbeat_batch(
        &self,
        _request: Request<v1::HeartbeatBatchRequest>,
    ) -> Result<Response<v1::HeartbeatBatchResponse>, Status> {
        Err(status::unimplemented())
    }

    async fn keep_alive(
        &self,
        _request: Request<Streaming<v1::KeepAliveRequest>>,
    ) -> Result<Response<Self::KeepAliveStream>, Status> {
        Err(status::unimplemented())
    }

    async fn done(
        &self,
        request: Request<v1::DoneRequest>,
    ) -> Result<Response<v1::DoneResponse>, Status> {
        let done = checked(request::done(request.into_inner()))?;
        let ended = self.store.done(done).await.map_err(status::of)?;
        Ok(Response::new(answer::ended(&ended)))
    }

    async fn authorize_write(
        &self,
        request: Request<v1::AuthorizeWriteRequest>,
    ) -> Result<Response<v1::AuthorizeWriteResponse>, Status> {
        let write = checked(request::authorize_write(request.get_ref()))?;
        let authorizing = self.store.authorize(write.tenant, write.stream, write.token);
        Ok(Response::new(answer::authorized(&authorizing.await.map_err(status::of)?)))
    }

    async fn get_claim(
        &self,
        request: Request<v1::GetClaimRequest>,
    ) -> Result<Response<v1::GetClaimResponse>, Status> {
        let id = checked(request::get_claim(request.get_ref()))?;
        let (claim, now) = self.store.get_claim(id).await.map_err(status::of)?;
        Ok(Response::new(answer::claim_read(&claim, now)))
    }

    async fn list_claims(
        &self,
        request: Request<v1::ListClaimsRequest>,
    ) -> Result<Response<v1::ListClaimsResponse>, Status> {
        let query = checked(request::list_claims(request.get_ref()))?;
        let page = self.store.list_claims(query.clone()).await.map_err(status::of)?;
        Ok(Response::new(answer::claims_listed(&query, &page)))
    }

    async fn get_entity(
        &self,
        request: Request<v1::GetEntityRequest>,
    ) -> Result<Response<v1::GetEntityResponse>, Status> {
        let key = checked(request::get_entity(request.get_ref()))?;
        let view = self.store.get_entity(key.clone()).await.map_err(status::of)?;
        Ok(Response::new(answer::entity_read(&key, &view)))
    }

    async fn list_claim_events(
        &self,
        _request: Request<v1::ListClaimEventsRequest>,
    ) -> Result<Response<v1::ListClaimEventsResponse>, Status> {
        Err(status::unimplemented())
    }

    async fn watch_claim_events(
        &self,
        _request: Request<v1::WatchClaimEventsRequest>,
    ) -> Result<Response<Self::WatchClaimEventsStream>, Status> {
        Err(status::unimplemented())
    }
}
