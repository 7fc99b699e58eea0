//! `claim.v1.ClaimAdminService`: the calls of operators. Events name them as the actor (D9), by the name
//! that their credentials prove, and the audit tells what they did.

use crate::access::{Act, Call};
use crate::status;
use crate::subject::checked;
use crate::wire::{admin, answer};
use claim_proto::v1;
use claim_proto::v1::claim_admin_service_server::ClaimAdminService;
use claims::domain::{ClaimId, EntityKey};
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
        request: Request<v1::RevokeClaimRequest>,
    ) -> Result<Response<v1::RevokeClaimResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let revoke = checked(&call, admin::revoke(request.get_ref(), call.caller().actor()))?;
        let ClaimId { tenant, consumer, epoch } = revoke.id.clone();
        let subject = format!("the claim of {consumer}, epoch {epoch},");
        let ended = self.store.revoke(revoke).await.map_err(status::of);
        Act {
            caller: call.caller().name(),
            tenant: tenant.as_str(),
            method: call.method(),
            subject: &subject,
            act: "revocation",
            words: &request.get_ref().reason,
        }
        .ended(ended.as_ref().err());
        Ok(Response::new(admin::revoked(&ended?)))
    }

    async fn signal_entity(
        &self,
        request: Request<v1::SignalEntityRequest>,
    ) -> Result<Response<v1::SignalEntityResponse>, Status> {
        let call = Call::of(request.extensions())?;
        let signal = checked(&call, admin::signal(request.get_ref(), call.caller().actor()))?;
        let (EntityKey { tenant, url }, act) = (signal.entity.clone(), signal.signal);
        let signaled = self.store.signal(signal).await.map_err(status::of);
        Act {
            caller: call.caller().name(),
            tenant: tenant.as_str(),
            method: call.method(),
            subject: url.as_str(),
            act: act.as_str(),
            words: &request.get_ref().reason,
        }
        .ended(signaled.as_ref().err());
        Ok(Response::new(admin::signaled(&signaled?)))
    }

    async fn get_reaper_status(
        &self,
        _request: Request<v1::GetReaperStatusRequest>,
    ) -> Result<Response<v1::GetReaperStatusResponse>, Status> {
        let reapers = self.store.reaper_status().await.map_err(status::of)?;
        Ok(Response::new(answer::reaper_status(&reapers)))
    }
}
