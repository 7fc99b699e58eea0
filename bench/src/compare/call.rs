//! The calls of one claim's life, each with its answer verified.

use crate::load::TENANT;
use anyhow::{Context, Result, ensure};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{
    AuthorizeWriteRequest, DoneOutcome, DoneRequest, EntityState, HeartbeatRequest, MintRequest,
};
use tonic::Status;
use tonic::transport::Channel;

/// A client of the service.
pub(crate) type Client = ClaimServiceClient<Channel>;

/// A mint of a fresh entity, which has this name; its consumer has the same.
pub(crate) fn fresh(name: &str) -> MintRequest {
    MintRequest {
        tenant_id: TENANT.into(),
        entity_url: format!("/fresh/{name}"),
        consumer_id: name.into(),
        epoch: Some(1),
        authority: "bench".into(),
        ..Default::default()
    }
}

/// Mints the claim of that name; its write token.
pub(crate) async fn mint(client: &mut Client, name: &str) -> Result<String> {
    mint_fresh(client, fresh(name)).await
}

/// Mints the first claim of its entity; its write token.
pub(crate) async fn mint_fresh(client: &mut Client, request: MintRequest) -> Result<String> {
    let minted = client.mint(request).await?.into_inner();
    ensure!(minted.claim.context("a claim")?.fence == 1, "a fresh entity");
    ensure!(!minted.reminted && minted.ended_predecessor.is_none(), "a fresh claim");
    Ok(minted.write_token)
}

/// Heartbeats it.
pub(crate) async fn heartbeat(client: &mut Client, name: &str) -> Result<()> {
    heartbeat_of(client, name, 1).await
}

/// Heartbeats the claim of a consumer.
pub(crate) async fn heartbeat_of(client: &mut Client, consumer: &str, epoch: i64) -> Result<()> {
    let request = HeartbeatRequest {
        tenant_id: TENANT.into(),
        consumer_id: consumer.into(),
        epoch,
        ..Default::default()
    };
    crate::fleet::holders::accept(client.heartbeat(request).await?.get_ref())
}

/// Asks whether its holder may write.
pub(crate) async fn authorize(client: &mut Client, name: &str, token: &str) -> Result<()> {
    authorize_write(client, &format!("/fresh/{name}"), name, 1, token).await
}

/// Asks whether the holder of an entity may write.
pub(crate) async fn authorize_write(
    client: &mut Client,
    entity: &str,
    consumer: &str,
    epoch: i64,
    token: &str,
) -> Result<()> {
    let request = AuthorizeWriteRequest {
        tenant_id: TENANT.into(),
        stream_path: format!("{entity}/main"),
        write_token: token.into(),
    };
    let allowed = client.authorize_write(request).await?.into_inner();
    ensure!(
        allowed.consumer_id == consumer && allowed.epoch == epoch && allowed.entity_url == entity,
        "another may write: {allowed:?}"
    );
    Ok(())
}

/// Ends it.
pub(crate) async fn done(client: &mut Client, name: &str, token: &str) -> Result<()> {
    done_current(client, TENANT, name, 1, token).await
}

/// Ends the current claim of an entity.
pub(crate) async fn done_current(
    client: &mut Client,
    tenant: &str,
    consumer: &str,
    epoch: i64,
    token: &str,
) -> Result<()> {
    let request = DoneRequest {
        tenant_id: tenant.into(),
        consumer_id: consumer.into(),
        epoch,
        write_token: token.into(),
        outcome: DoneOutcome::Completed.into(),
        ..Default::default()
    };
    let done = client.done(request).await?.into_inner();
    ensure!(done.entity_cleared && !done.already_ended, "an end that counts: {done:?}");
    ensure!(done.entity_state() == EntityState::Idle, "an idle entity: {done:?}");
    Ok(())
}

/// Whether a refusal says when to come again.
pub(crate) fn says_when(refusal: &Status) -> bool {
    use tonic_types::StatusExt as _;
    refusal.get_details_retry_info().is_some_and(|info| info.retry_delay.is_some())
}
