//! `claim.v1.ClaimAdminService`: the calls of operators. None is served yet.

use claim_proto::v1;
use claim_proto::v1::claim_admin_service_server::ClaimAdminService;
use tonic::{Request, Response, Status};

/// The calls of operators.
pub(crate) struct Admin;

#[tonic::async_trait]
impl ClaimAdminService for Admin {
    async fn revoke_claim(
        &self,
        _request: Request<v1::RevokeClaimRequest>,
    ) -> Result<Response<v1::RevokeClaimResponse>, Status> {
        Err(not_yet())
    }

    async fn signal_entity(
        &self,
        _request: Request<v1::SignalEntityRequest>,
    ) -> Result<Response<v1::SignalEntityResponse>, Status> {
        Err(not_yet())
    }

    async fn get_reaper_status(
        &self,
        _request: Request<v1::GetReaperStatusRequest>,
    ) -> Result<Response<v1::GetReaperStatusResponse>, Status> {
        Err(not_yet())
    }
}

fn not_yet() -> Status {
    Status::unimplemented("this server does not serve this call yet")
}
