//! What is true of the rows of a world at any time: I1, I2, I3, I6 and I7 as far as one moment
//! shows them, and the columns that belong together.

use super::{Violation, require};
use crate::domain::claim::{Claim, ClaimId, ClaimState, Ending};
use crate::domain::command::EndReason;
use crate::domain::entity::{Entity, EntityKey, EntityState};
use crate::domain::names::Authority;
use crate::domain::world::World;
use std::collections::BTreeMap;

/// Checks the rows of a whole world.
pub fn check_world(world: &World) -> Result<(), Violation> {
    let mut claims_by_entity: BTreeMap<EntityKey, Vec<&Claim>> = BTreeMap::new();
    for (id, claim) in &world.claims {
        require(claim.id == *id, "I2", "a row under a foreign key", &[id])?;
        check_claim(claim)?;
        let key = claim.entity_key();
        let has_entity = world.entities.contains_key(&key);
        require(has_entity, "I2", "a claim without its entity", &[id, &key])?;
        let has_mark = world.mark(&key, &claim.authority).is_some_and(|mark| mark >= id.epoch);
        require(has_mark, "I6", "an epoch above its mark", &[id, &key])?;
        claims_by_entity.entry(key).or_default().push(claim);
    }
    for (key, entity) in &world.entities {
        let mut claims = claims_by_entity.remove(key).unwrap_or_default();
        claims.sort_by_key(|claim| claim.fence);
        check_entity(key, entity, &claims)?;
        check_numbers(key, entity, &claims)?;
    }
    Ok(())
}

/// The columns of one claim: its state, how it ended, who took over, and its lease.
fn check_claim(claim: &Claim) -> Result<(), Violation> {
    let id = &claim.id;
    let superseded = claim.superseded_by.is_some();
    let by_state = match claim.state {
        ClaimState::Active => !superseded && claim.ending.is_none(),
        ClaimState::Superseded => superseded && claim.ending.is_none(),
        ClaimState::Released | ClaimState::Failed | ClaimState::Expired | ClaimState::Revoked => {
            claim.ending.is_some()
        }
    };
    let problem = "state, superseded_by and ending do not fit together";
    require(by_state, "I4", problem, &[id])?;
    if let Some(ending) = &claim.ending {
        check_ending(claim, ending)?;
    }
    let in_place = claim.stream.entity() == claim.entity;
    require(in_place, "W1", "a stream of another entity", &[id])?;
    let lease = &claim.lease;
    let under_ceiling = lease.ceiling_at.is_none_or(|end| lease.expires_at <= end);
    require(under_ceiling, "M6", "a lease beyond its ceiling", &[id])
}

fn check_ending(claim: &Claim, ending: &Ending) -> Result<(), Violation> {
    let id = &claim.id;
    let at_ceiling = claim.lease.ceiling_at == Some(claim.lease.expires_at);
    let reason_fits = match (claim.state, &ending.reason) {
        (ClaimState::Released, EndReason::Done)
        | (ClaimState::Failed, EndReason::Failed)
        | (ClaimState::Revoked, EndReason::Killed | EndReason::Operator(_)) => true,
        (ClaimState::Expired, EndReason::CeilingReached) => at_ceiling,
        (ClaimState::Expired, EndReason::LeaseLapsed) => !at_ceiling,
        _ => false,
    };
    require(reason_fits, "D9", "another state's reason", &[id])?;
    let by_done = matches!(claim.state, ClaimState::Released | ClaimState::Failed);
    let acks_fit =
        ending.acked_streams.is_some() == by_done && (by_done || ending.error_message.is_empty());
    require(acks_fit, "D7", "acks or an error without a done", &[id])?;
    // An active claim is its entity's current one, a superseded claim never is (I2).
    let cleared_fits = ending.entity_cleared == claim.superseded_by.is_none();
    require(cleared_fits, "D4", "entity_cleared does not fit", &[id])
}

/// I1, I2, I3 and the directive of H5; `claims` are all those of the entity.
fn check_entity(key: &EntityKey, entity: &Entity, claims: &[&Claim]) -> Result<(), Violation> {
    let mut active = claims.iter().filter(|claim| claim.state == ClaimState::Active);
    let holder = active.next();
    if let (Some(one), Some(other)) = (holder, active.next()) {
        let rows: &[&dyn super::Row] = &[key, &one.id, &other.id];
        return require(false, "I1", "two active claims", rows);
    }
    let current = entity.current.clone().map(|(consumer, epoch)| ClaimId {
        tenant: key.tenant.clone(),
        consumer,
        epoch,
    });
    let names_holder = current.as_ref() == holder.map(|claim| &claim.id);
    require(names_holder, "I2", "current is not the active claim", &[key])?;
    let state_fits = match entity.state {
        EntityState::Running | EntityState::Stopping => current.is_some(),
        EntityState::Idle | EntityState::Stopped | EntityState::Killed => current.is_none(),
        EntityState::Paused => true,
    };
    require(state_fits, "I3", "state and current claim differ", &[key])?;
    let none_survived_kill =
        entity.state != EntityState::Killed || claims.iter().all(|claim| !claim.state.is_live());
    require(none_survived_kill, "I3", "a live claim survived KILL", &[key])?;
    let asked = matches!(entity.state, EntityState::Paused | EntityState::Stopping);
    let told = holder.is_none_or(|claim| claim.lease.stop == asked);
    require(told, "H5", "the directive is not the entity's", &[key])
}

/// I6 as the kept claims show it; `claims` are all those of the entity, by fence.
///
/// Only the current claim is minted again, so the order of fences is the order of minting.
fn check_numbers(key: &EntityKey, entity: &Entity, claims: &[&Claim]) -> Result<(), Violation> {
    let mut highest_of: BTreeMap<&Authority, &Claim> = BTreeMap::new();
    let mut older: Option<&Claim> = None;
    for &claim in claims {
        if let Some(older) = older {
            let rises = older.fence < claim.fence;
            require(rises, "I6", "a fence used twice", &[&older.id, &claim.id])?;
        }
        if let Some(before) = highest_of.insert(&claim.authority, claim) {
            let rises = before.id.epoch < claim.id.epoch;
            require(rises, "I6", "epochs do not rise", &[&before.id, &claim.id])?;
        }
        older = Some(claim);
    }
    let Some(newest) = older else {
        return Ok(());
    };
    let counted = newest.fence.get() >= 1 && newest.fence <= entity.fence;
    require(counted, "I6", "a fence not counted", &[key, &newest.id])?;
    let holder_is_newest =
        claims.iter().all(|claim| claim.state != ClaimState::Active || claim.fence == entity.fence);
    require(holder_is_newest, "I6", "current has an old fence", &[key])
}
