//! `claim.v1.ClaimAdminService`: the calls of operators.

use crate::status;
use crate::wire::answer;
use claim_proto::v1;
use claim_proto::v1::claim_admin_service_server::ClaimAdminService;
use claims::store::ClaimStore;
use tonic::{Request, Response, Status};

/// The calls of operators.
pub(crate) struct Admin {
    store: ClaimStore,
}

impl Admin {
    /// Serves from that store.
    pub(crate) fn new(store: ClaimStore) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl ClaimAdminService for Admin {
    async fn revoke_claim(
        &self,
        _request: Request<v1::RevokeClaimRequest>,
    ) -> Result<Response<v1::RevokeClaimResponse>, Status> {
        Err(status::unimplemented())
    }

    async fn signal_entity(
        &self,
        _request: Request<v1::SignalEntityRequest>,
    ) -> Result<Response<v1::SignalEntityResponse>, Status> {
        Err(status::unimplemented())
    }

    async fn get_reaper_status(
        &self,
        _request: Request<v1::GetReaperStatusRequest>,
    ) -> Result<Response<v1::GetReaperStatusResponse>, Status> {
        let reapers = self.store.reaper_status().await.map_err(status::of)?;
        Ok(Response::new(answer::reaper_status(&reapers)))
    }
}
