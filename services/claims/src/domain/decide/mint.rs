//! Mint: rules M1 … M5. (M6 is a matter of validation; the lengths come in checked.)

use super::end::{End, Release};
use super::{Answer, Change, Decision, EventType, HOLDER, Minted, NEWER_MINT, claim_event};
use crate::domain::claim::{Claim, ClaimState};
use crate::domain::command::Mint;
use crate::domain::entity::{Entity, EntityState};
use crate::domain::epoch::{Epoch, Fence};
use crate::domain::lease::Lease;
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::world::World;

/// M1, M2, M3, then M4 or M5; the first refusal wins.
pub(super) fn decide_mint(world: &World, mint: &Mint, now: Timestamp) -> Result<Decision, Refusal> {
    let key = mint.entity_key();
    let mut entity = world.entity(&key);

    // M1: only an idle or running entity is claimable.
    if !matches!(entity.state, EntityState::Idle | EntityState::Running) {
        return Err(Refusal::EntityNotClaimable(entity.state));
    }
    // M2: the request names a kept claim.
    if let Some(named) = named_claim(world, mint) {
        return remint(world, mint, named, entity, now);
    }
    // M3: epochs of one authority rise.
    let epoch = next_epoch(world, mint, now)?;
    let fence = next_fence(&entity)?;

    let mut decision = Release::default();
    let mut predecessor = None;
    if let Some(current) = world.current_claim(&key) {
        let ended = if current.lease.is_takeable(&world.liveness, now) {
            // M5: it lapsed; it ends here and no reaper is needed.
            decision.end(&mut entity, current, End::lapsed(current, NEWER_MINT), now)
        } else {
            // M4: it has its right still, so only a newer epoch or an explicit wish displaces it.
            let newer_epoch = mint.epoch.is_some() && current.authority == mint.authority;
            if !newer_epoch && !mint.supersede {
                return Err(already_claimed(world, current, now));
            }
            let reason = if newer_epoch { "newer_epoch" } else { "supersede_requested" };
            decision.supersede(current, (mint.consumer.clone(), epoch), reason)
        };
        predecessor = Some(ended);
    }

    let claim = Claim {
        id: mint.id_with(epoch),
        entity: mint.entity.clone(),
        stream: mint.stream.clone(),
        authority: mint.authority.clone(),
        wake_id: mint.wake_id.clone(),
        runner_id: mint.runner_id.clone(),
        request_id: mint.request_id.clone(),
        claimed_at: now,
        fence,
        token_digest: mint.token_digest,
        state: ClaimState::Active,
        superseded_by: None,
        lease: Lease::first(now, mint.ttl, mint.max_duration),
        progress: None,
        ending: None,
    };
    entity.state = EntityState::Running;
    entity.fence = fence;
    entity.current = Some((claim.id.consumer.clone(), epoch));
    entity.last_claimed_at = Some(now);

    let Release { mut changes, mut events } = decision;
    events.push(claim_event(&claim, EventType::Minted, String::new(), HOLDER.into()));
    changes.push(Change::Mark((key.clone(), mint.authority.clone()), epoch));
    changes.push(Change::Claim(Box::new(claim.clone())));
    changes.push(Change::Entity(key, entity));
    let answer = Answer::Minted(Minted { claim, reminted: false, ended_predecessor: predecessor });
    Ok(Decision { changes, events, answer })
}

/// M2: the kept claim that the request names, by identity or by request id.
fn named_claim<'a>(world: &'a World, mint: &Mint) -> Option<&'a Claim> {
    match mint.given_id() {
        Some(id) => world.claims.get(&id),
        None if mint.request_id.is_empty() => None,
        None => world.newest_by_request(&mint.entity_key(), &mint.consumer, &mint.request_id),
    }
}

/// M2: a named claim is accepted again for the same caller only, and only while it is active.
fn remint(
    world: &World,
    mint: &Mint,
    named: &Claim,
    mut entity: Entity,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    if let Some(refusal) = named.refusal_by_state() {
        return Err(refusal);
    }
    let same_place = named.entity == mint.entity
        && named.stream == mint.stream
        && named.authority == mint.authority;
    if !same_place {
        return Err(Refusal::IdentityInUse { entity: named.entity.clone() });
    }
    if !is_same_caller(mint, named) {
        return Err(already_claimed_or_fenced(world, named, now));
    }
    // A lost answer is healed: same row and ceiling, renewed lease, fresh token, next fence.
    let fence = next_fence(&entity)?;
    entity.fence = fence;
    let claim = Claim {
        fence,
        token_digest: mint.token_digest,
        lease: named.lease.renewed(now, mint.asked_ttl)?,
        ..named.clone()
    };
    Ok(Decision {
        events: vec![claim_event(&claim, EventType::Reminted, String::new(), HOLDER.into())],
        changes: vec![
            Change::Claim(Box::new(claim.clone())),
            Change::Entity(mint.entity_key(), entity),
        ],
        answer: Answer::Minted(Minted { claim, reminted: true, ended_predecessor: None }),
    })
}

/// M2: equal request ids, or, where one side carries none, equal runner ids that are not empty.
fn is_same_caller(mint: &Mint, named: &Claim) -> bool {
    if !mint.request_id.is_empty() && !named.request_id.is_empty() {
        return mint.request_id == named.request_id;
    }
    !mint.runner_id.is_empty() && mint.runner_id == named.runner_id
}

/// M3: the given epoch if it is above the mark, or the next one this service issues. Of its own epochs
/// the service knows where they begin anew after a restore; of others' it knows the marks alone, since
/// an entity that moves to another authority begins at 1.
fn next_epoch(world: &World, mint: &Mint, now: Timestamp) -> Result<Epoch, Refusal> {
    let mark = world.mark(&mint.entity_key(), &mint.authority);
    let Some(given) = mint.epoch else {
        let of_consumer = world.highest_epoch_of(&mint.tenant, &mint.consumer);
        return match mark.max(of_consumer).max(world.floor.epoch()) {
            None => Ok(Epoch::FIRST),
            Some(highest) => highest.next().ok_or(Refusal::EpochFenced { highest }),
        };
    };
    match mark {
        Some(highest) if given < highest => Err(Refusal::EpochFenced { highest }),
        Some(highest) if given == highest => {
            // An active claim is the current one of its entity (I2).
            let holder = world
                .current_claim(&mint.entity_key())
                .filter(|claim| claim.authority == mint.authority && claim.id.epoch == given);
            Err(holder.map_or(Refusal::EpochFenced { highest }, |claim| {
                already_claimed_or_fenced(world, claim, now)
            }))
        }
        _ => Ok(given),
    }
}

fn next_fence(entity: &Entity) -> Result<Fence, Refusal> {
    entity.fence.next().ok_or(Refusal::EpochFenced { highest: Epoch::LAST })
}

/// M2, M3: an epoch that an active claim has is taken; once that claim is takeable, it is spent.
fn already_claimed_or_fenced(world: &World, holder: &Claim, now: Timestamp) -> Refusal {
    if !holder.lease.is_takeable(&world.liveness, now) {
        return already_claimed(world, holder, now);
    }
    let mark = world.mark(&holder.entity_key(), &holder.authority);
    Refusal::EpochFenced { highest: mark.unwrap_or(holder.id.epoch) }
}

fn already_claimed(world: &World, holder: &Claim, now: Timestamp) -> Refusal {
    Refusal::AlreadyClaimed {
        holder: holder.id.consumer.clone(),
        epoch: holder.id.epoch,
        takeable_in: holder.lease.takeable_at(&world.liveness, now).since(now),
    }
}
