//! What operators do to claims and entities.

use super::programs::Server;
use claim_proto::v1::claim_admin_service_client::ClaimAdminServiceClient;
use claim_proto::v1::{EntitySignal, RevokeClaimRequest, SignalEntityRequest};
use tonic::transport::Channel;

/// An operator at a server.
pub(crate) struct Operator(ClaimAdminServiceClient<Channel>);

impl Operator {
    pub(crate) async fn at(server: &Server) -> Self {
        Self(ClaimAdminServiceClient::connect(server.url()).await.expect("a connection"))
    }

    pub(crate) async fn signal(&mut self, entity_url: &str, signal: EntitySignal) {
        let ask = SignalEntityRequest {
            entity_url: entity_url.to_owned(),
            signal: signal.into(),
            ..SignalEntityRequest::default()
        };
        self.0.signal_entity(ask).await.expect("the signal is applied");
    }

    pub(crate) async fn revoke(&mut self, consumer_id: &str, epoch: i64, reason: &str) {
        let (consumer_id, reason) = (consumer_id.to_owned(), reason.to_owned());
        let ask = RevokeClaimRequest { consumer_id, epoch, reason, ..Default::default() };
        self.0.revoke_claim(ask).await.expect("the claim is revoked");
    }
}
