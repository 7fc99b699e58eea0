//! `claim.v1.ClaimAdminService`: the calls of operators.

use crate::status;
use crate::subject::checked;
use crate::wire::{admin, answer};
use claim_proto::v1;
use claim_proto::v1::claim_admin_service_server::ClaimAdminService;
use claims::store::ClaimStore;
use tonic::{Request, Response, Status};

/// Who an event says interfered. The service asks nobody for credentials yet, and a name that a
/// caller gave itself would be worth nothing in a record.
const OPERATOR: &str = "anonymous";

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
        request: Request<v1::RevokeClaimRequest>,
    ) -> Result<Response<v1::RevokeClaimResponse>, Status> {
        let revoke = checked(admin::revoke(request.get_ref(), OPERATOR.into()))?;
        let ended = self.store.revoke(revoke).await.map_err(status::of)?;
        Ok(Response::new(admin::revoked(&ended)))
    }

    async fn signal_entity(
        &self,
        request: Request<v1::SignalEntityRequest>,
    ) -> Result<Response<v1::SignalEntityResponse>, Status> {
        let signal = checked(admin::signal(request.get_ref(), OPERATOR.into()))?;
        let signaled = self.store.signal(signal).await.map_err(status::of)?;
        Ok(Response::new(admin::signaled(&signaled)))
    }

    async fn get_reaper_status(
        &self,
        _request: Request<v1::GetReaperStatusRequest>,
    ) -> Result<Response<v1::GetReaperStatusResponse>, Status> {
        let reapers = self.store.reaper_status().await.map_err(status::of)?;
        Ok(Response::new(answer::reaper_status(&reapers)))
    }
}
