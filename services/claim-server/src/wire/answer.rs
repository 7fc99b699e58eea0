//! What callers are told. The write token is in one answer only, that to a mint.

use super::time::{told_duration, told_time};
use crate::{jitter, page_token};
use claim_proto::v1;
use claims::domain::heartbeat::HEARTBEATS_PER_LEASE;
use claims::domain::{
    AckedStream, Authorization, Claim, ClaimState, Directive, Ended, Entity, EntityKey,
    EntityState, HoldReason, Minted, Renewal, Timestamp, WriteToken,
};
use claims::store::{ClaimCursor, ClaimPage, ClaimQuery, EntityView, ReaperStatus};
use prost::Message;
use std::time::Duration;

/// Most bytes of the claims or events on one page: clients take messages of at most 4 MiB unless told
/// otherwise. A page that would be larger ends earlier, and the next one begins there.
pub(super) const PAGE_BYTES_MAX: usize = 3 * 1024 * 1024;

/// The answer to a mint, with the token that it is shown once.
pub(crate) fn minted(minted: &Minted, token: &WriteToken) -> v1::MintResponse {
    // A mint is heard of at the moment of its decision.
    let lease = &minted.claim.lease;
    let now = lease.heard_at;
    // A re-mint may have asked for less than the claim's own lease.
    let first = lease.ttl.get().min(lease.expires_at.since(now));
    v1::MintResponse {
        claim: Some(claim(&minted.claim, now)),
        write_token: token.reveal().to_owned(),
        reminted: minted.reminted,
        heartbeat_interval: Some(heartbeat_interval(first)),
        ended_predecessor: minted.ended_predecessor.as_ref().map(|ended| claim(ended, now)),
    }
}

/// The answer to a heartbeat.
pub(crate) fn renewed(renewal: &Renewal) -> v1::HeartbeatResponse {
    v1::HeartbeatResponse {
        lease_expire_time: Some(told_time(renewal.expires_at)),
        lease_remaining: Some(told_duration(renewal.remaining)),
        heartbeat_interval: Some(heartbeat_interval(renewal.ttl.get())),
        directive: directive(renewal.directive).into(),
        had_lapsed: renewal.had_lapsed,
        ceiling_remaining: renewal.ceiling_remaining.map(told_duration),
    }
}

/// How the reapers are doing, by their last pass.
pub(crate) fn reaper_status(status: &ReaperStatus) -> v1::GetReaperStatusResponse {
    let Some(pass) = &status.last_pass else {
        return v1::GetReaperStatusResponse::default();
    };
    let oldest = pass.oldest_remaining_due_at.map(|due_at| status.now.since(due_at));
    v1::GetReaperStatusResponse {
        last_pass: Some(v1::ReaperPass {
            start_time: Some(told_time(pass.started_at)),
            end_time: Some(told_time(pass.ended_at)),
            expired: told_count(pass.expired),
            failed: told_count(pass.failed),
            held_back: told_count(pass.held_back),
            hold_reason: pass.hold_reason.map_or("", HoldReason::as_str).to_owned(),
            pruned: told_count(pass.pruned),
        }),
        due_now: told_count(pass.remaining_due),
        oldest_due_age: oldest.map(told_duration),
        live_claims: told_count(pass.scanned.saturating_sub(pass.expired)),
    }
}

fn told_count(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// H5: a third of the lease, jittered, so that holders who were started together spread out.
fn heartbeat_interval(lease: Duration) -> prost_types::Duration {
    told_duration(jitter::by_a_tenth(lease / HEARTBEATS_PER_LEASE))
}

/// The answer to a done.
pub(crate) fn ended(ended: &Ended) -> v1::DoneResponse {
    let ending = ended.claim.ending.as_ref();
    // Of an ended claim, nothing told depends on the time.
    let now = ending.map_or(ended.claim.lease.heard_at, |ending| ending.at);
    v1::DoneResponse {
        claim: Some(claim(&ended.claim, now)),
        entity_cleared: ending.is_some_and(|ending| ending.entity_cleared),
        already_ended: ended.already_ended,
        acks_recorded: ended.acks_recorded,
        entity_state: entity_state(ended.entity_state).into(),
    }
}

/// The answer to the question whether a write may go through.
pub(crate) fn authorized(authorization: &Authorization) -> v1::AuthorizeWriteResponse {
    v1::AuthorizeWriteResponse {
        consumer_id: authorization.id.consumer.to_string(),
        epoch: authorization.id.epoch.get(),
        entity_url: authorization.entity.to_string(),
        fence: authorization.fence.get(),
        lease_remaining: Some(told_duration(authorization.lease_remaining)),
    }
}

/// A claim that was read at `now`.
pub(crate) fn claim_read(read: &Claim, now: Timestamp) -> v1::GetClaimResponse {
    v1::GetClaimResponse { claim: Some(claim(read, now)) }
}

/// An entity that was read.
pub(crate) fn entity_read(key: &EntityKey, view: &EntityView) -> v1::GetEntityResponse {
    let told = entity(key, &view.entity, view.current.as_ref(), view.now);
    v1::GetEntityResponse { entity: Some(told) }
}

/// An entity and its current claim as they stand at `now`.
pub(super) fn entity(
    key: &EntityKey,
    entity: &Entity,
    current: Option<&Claim>,
    now: Timestamp,
) -> v1::Entity {
    v1::Entity {
        tenant_id: key.tenant.to_string(),
        entity_url: key.url.to_string(),
        state: entity_state(entity.state).into(),
        fence: entity.fence.get(),
        current_claim: current.map(|current| claim(current, now)),
        last_claim_time: entity.last_claimed_at.map(told_time),
        last_end_time: entity.last_ended_at.map(told_time),
        last_completed_time: entity.last_completed_at.map(told_time),
        last_error: entity.last_error.clone().unwrap_or_default(),
    }
}

/// A page of the claims that `query` chose.
pub(crate) fn claims_listed(query: &ClaimQuery, page: &ClaimPage) -> v1::ListClaimsResponse {
    let mut claims = Vec::with_capacity(page.claims.len());
    let mut bytes = 0_usize;
    let mut next = page.next.clone();
    for listed in &page.claims {
        let told = claim(listed, page.now);
        bytes = bytes.saturating_add(told.encoded_len());
        if bytes > PAGE_BYTES_MAX
            && let Some(last) = page.claims[..claims.len()].last()
        {
            next = Some(cursor_behind(last));
            break;
        }
        claims.push(told);
    }
    let next_page_token = next.map(|cursor| page_token::write(&cursor, query)).unwrap_or_default();
    v1::ListClaimsResponse { claims, next_page_token }
}

fn cursor_behind(last: &Claim) -> ClaimCursor {
    ClaimCursor {
        claimed_at: last.claimed_at,
        consumer: last.id.consumer.clone(),
        epoch: last.id.epoch,
    }
}

/// A claim as it stands at `now`. Of an ended one nothing is left of the lease, and it has not
/// lapsed either: it has ended.
pub(super) fn claim(claim: &Claim, now: Timestamp) -> v1::Claim {
    let lease = &claim.lease;
    let is_live = claim.state.is_live();
    let remaining = if is_live { lease.expires_at.since(now) } else { Default::default() };
    let ending = claim.ending.as_ref();
    let (superseded_by_consumer_id, superseded_by_epoch) = claim
        .superseded_by
        .as_ref()
        .map(|(consumer, epoch)| (consumer.to_string(), epoch.get()))
        .unwrap_or_default();
    v1::Claim {
        tenant_id: claim.id.tenant.to_string(),
        consumer_id: claim.id.consumer.to_string(),
        epoch: claim.id.epoch.get(),
        entity_url: claim.entity.to_string(),
        stream_path: claim.stream.to_string(),
        authority: claim.authority.to_string(),
        wake_id: claim.wake_id.to_string(),
        runner_id: claim.runner_id.to_string(),
        fence: claim.fence.get(),
        state: claim_state(claim.state).into(),
        lease_ttl: Some(told_duration(lease.ttl.get())),
        claim_time: Some(told_time(claim.claimed_at)),
        last_heartbeat_time: lease.last_heartbeat_at.map(told_time),
        lease_expire_time: Some(told_time(lease.expires_at)),
        lease_remaining: Some(told_duration(remaining)),
        lapsed: is_live && lease.has_lapsed(now),
        ceiling_time: lease.ceiling_at.map(told_time),
        end_time: ending.map(|ending| told_time(ending.at)),
        end_reason: ending.map(|ending| ending.reason.to_string()).unwrap_or_default(),
        acked_streams: ending
            .and_then(|ending| ending.acked_streams.as_ref())
            .map(|acks| acks.iter().map(acked_stream).collect())
            .unwrap_or_default(),
        error_message: ending.map(|ending| ending.error_message.clone()).unwrap_or_default(),
        progress: claim.progress.clone().unwrap_or_default(),
        superseded_by_consumer_id,
        superseded_by_epoch,
    }
}

fn acked_stream(ack: &AckedStream) -> v1::AckedStream {
    v1::AckedStream { path: ack.path.clone(), offset: ack.offset.clone() }
}

fn claim_state(state: ClaimState) -> v1::ClaimState {
    match state {
        ClaimState::Active => v1::ClaimState::Active,
        ClaimState::Superseded => v1::ClaimState::Superseded,
        ClaimState::Released => v1::ClaimState::Released,
        ClaimState::Failed => v1::ClaimState::Failed,
        ClaimState::Expired => v1::ClaimState::Expired,
        ClaimState::Revoked => v1::ClaimState::Revoked,
    }
}

fn entity_state(state: EntityState) -> v1::EntityState {
    match state {
        EntityState::Idle => v1::EntityState::Idle,
        EntityState::Running => v1::EntityState::Running,
        EntityState::Paused => v1::EntityState::Paused,
        EntityState::Stopping => v1::EntityState::Stopping,
        EntityState::Stopped => v1::EntityState::Stopped,
        EntityState::Killed => v1::EntityState::Killed,
    }
}

fn directive(directive: Directive) -> v1::HeartbeatDirective {
    match directive {
        Directive::Continue => v1::HeartbeatDirective::Continue,
        Directive::Stop => v1::HeartbeatDirective::Stop,
    }
}

#[cfg(test)]
mod tests;
