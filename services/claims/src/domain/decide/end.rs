//! Every way in which a claim ends: done (D), revocation, expiry (R1, R3), and the end that a mint
//! brings about (M5). All go through [`Release::end`], so that they differ in state and reason
//! only.

use super::{
    Answer, Change, Decision, Ended, Event, EventType, Expiry, HOLDER, NEWER_MINT, REAPER,
    claim_event,
};
use crate::domain::claim::{AckedStream, Claim, ClaimState, Ending};
use crate::domain::command::{Done, DoneOutcome, EndReason, Expire, Revoke};
use crate::domain::entity::Entity;
use crate::domain::epoch::Epoch;
use crate::domain::names::ConsumerId;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::world::World;
use std::sync::Arc;

/// D1 … D9. The order of the checks: exists, token, state.
pub(super) fn decide_done(world: &World, done: &Done, now: Timestamp) -> Result<Decision, Refusal> {
    let claim = world.claims.get(&done.id).ok_or(Refusal::ClaimNotFound)?;
    claim.check_token(done.token.as_ref())?;
    let (state, reason) = match done.outcome {
        DoneOutcome::Completed => (ClaimState::Released, EndReason::Done),
        DoneOutcome::Failed => (ClaimState::Failed, EndReason::Failed),
    };
    let end = End {
        state,
        reason,
        actor: HOLDER.into(),
        acked_streams: Some(done.acked_streams.clone()),
        error_message: done.error_message.as_str().to_owned(),
    };
    Ok(end_claim(world, claim, end, now))
}

pub(super) fn decide_revoke(
    world: &World,
    revoke: &Revoke,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let claim = world.claims.get(&revoke.id).ok_or(Refusal::ClaimNotFound)?;
    let reason = match revoke.reason.as_str() {
        "" => "revoked",
        given => given,
    };
    let end = End::by_operator(EndReason::Operator(reason.into()), revoke.actor.clone());
    Ok(end_claim(world, claim, end, now))
}

/// R1: due means live and takeable for at least the reap grace, judged again here on the locked
/// row.
pub(super) fn decide_expire(
    world: &World,
    expire: &Expire,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let claim = world.claims.get(&expire.id).ok_or(Refusal::ClaimNotFound)?;
    let unchanged =
        |expiry| Decision { changes: vec![], events: vec![], answer: Answer::Expiry(expiry) };
    if !claim.state.is_live() {
        return Ok(unchanged(Expiry::AlreadyEnded));
    }
    let due_at = claim.lease.takeable_at(&world.liveness, now) + expire.reap_grace;
    if due_at > now {
        return Ok(unchanged(Expiry::NotDue));
    }
    let decision = end_claim(world, claim, End::lapsed(claim, REAPER), now);
    let expired = Expiry::Expired { due_at, expired_at: now };
    Ok(Decision { answer: Answer::Expiry(expired), ..decision })
}

/// How a claim is about to end.
pub(super) struct End {
    state: ClaimState,
    reason: EndReason,
    actor: Arc<str>,
    acked_streams: Option<Vec<AckedStream>>,
    error_message: String,
}

impl End {
    fn without_acks(state: ClaimState, reason: EndReason, actor: Arc<str>) -> Self {
        Self { state, reason, actor, acked_streams: None, error_message: String::new() }
    }

    /// D9: `ceiling_reached` iff the lapsed lease ended at the ceiling.
    pub(super) fn lapsed(claim: &Claim, actor: &str) -> Self {
        let at_ceiling = claim.lease.ceiling_at == Some(claim.lease.expires_at);
        let reason = if at_ceiling { EndReason::CeilingReached } else { EndReason::LeaseLapsed };
        Self::without_acks(ClaimState::Expired, reason, actor.into())
    }

    pub(super) fn by_operator(reason: EndReason, actor: Arc<str>) -> Self {
        Self::without_acks(ClaimState::Revoked, reason, actor)
    }
}

/// Ends one claim: by done, revocation or expiry. A claim that has ended already stays as it is
/// and the caller is told (D5).
fn end_claim(world: &World, claim: &Claim, end: End, now: Timestamp) -> Decision {
    let key = claim.entity_key();
    let mut entity = world.entity(&key);
    if let Some(ending) = &claim.ending {
        let acks_recorded =
            end.acked_streams.is_some() && ending.acked_streams == end.acked_streams;
        return Decision {
            changes: vec![],
            events: vec![],
            answer: Answer::Ended(Ended {
                claim: claim.clone(),
                already_ended: true,
                acks_recorded,
                entity_state: entity.state,
            }),
        };
    }
    let acks_recorded = end.acked_streams.is_some();
    let before = entity.clone();
    let mut release = Release::default();
    let claim = release.end(&mut entity, claim, end, now);
    let entity_state = entity.state;
    if entity != before {
        release.changes.push(Change::Entity(key, entity));
    }
    let answer = Answer::Ended(Ended { claim, already_ended: false, acks_recorded, entity_state });
    Decision { changes: release.changes, events: release.events, answer }
}

/// The changes and events of claims that end or are superseded.
#[derive(Default)]
pub(super) struct Release {
    pub(super) changes: Vec<Change>,
    pub(super) events: Vec<Event>,
}

impl Release {
    /// Ends a live claim. If it is the entity's current one, the entity is cleared: its state
    /// moves on and D8 is written. The entity's change is left to the caller, who may go on.
    pub(super) fn end(
        &mut self,
        entity: &mut Entity,
        claim: &Claim,
        end: End,
        now: Timestamp,
    ) -> Claim {
        let entity_cleared = entity.is_current(&claim.id);
        if entity_cleared {
            entity.current = None;
            entity.state = entity.state.after_end_of_current_claim();
            entity.last_ended_at = Some(now);
            match end.state {
                ClaimState::Released => entity.last_completed_at = Some(now),
                ClaimState::Failed => entity.last_error = Some(end.error_message.clone()),
                _ => {}
            }
        }
        let event_type = match end.state {
            ClaimState::Released => EventType::Released,
            ClaimState::Failed => EventType::Failed,
            ClaimState::Revoked => EventType::Revoked,
            ClaimState::Active | ClaimState::Superseded | ClaimState::Expired => EventType::Expired,
        };
        let ended = Claim {
            state: end.state,
            ending: Some(Ending {
                at: now,
                reason: end.reason.clone(),
                entity_cleared,
                acked_streams: end.acked_streams,
                error_message: end.error_message,
            }),
            ..claim.clone()
        };
        self.events.push(claim_event(&ended, event_type, end.reason.to_string(), end.actor));
        self.changes.push(Change::Claim(Box::new(ended.clone())));
        ended
    }

    /// A newer claim takes over one that is not takeable.
    pub(super) fn supersede(
        &mut self,
        claim: &Claim,
        by: (ConsumerId, Epoch),
        reason: &str,
    ) -> Claim {
        let superseded =
            Claim { state: ClaimState::Superseded, superseded_by: Some(by), ..claim.clone() };
        self.events.push(claim_event(
            &superseded,
            EventType::Superseded,
            reason.to_owned(),
            NEWER_MINT.into(),
        ));
        self.changes.push(Change::Claim(Box::new(superseded.clone())));
        superseded
    }
}
