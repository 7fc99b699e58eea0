//! What one call may do to an entity: the table of states, I6, I9 and D8.

use super::Step;
use crate::domain::claim::ClaimState;
use crate::domain::command::{Command, EntitySignal};
use crate::domain::entity::{Entity, EntityKey, EntityState};
use crate::domain::invariants::{Violation, require};
use crate::domain::time::Timestamp;
use crate::domain::world::World;

/// The table of states for the entity of a call, I6 and I9.
pub(super) fn check_changed_entity(
    key: &EntityKey,
    old: &Entity,
    new: &Entity,
    step: Step<'_>,
) -> Result<(), Violation> {
    let ended = matches!(old.state, EntityState::Stopped | EntityState::Killed);
    require(!ended, "I9", "a terminal entity changed", &[key])?;
    let left_paused = old.state == EntityState::Paused && new.state != EntityState::Paused;
    let by_signal = matches!(step, Step::Decided(Command::Signal(_), _));
    require(!left_paused || by_signal, "I9", "paused was left by no signal", &[key])?;

    let by_mint = matches!(step, Step::Decided(Command::Mint(_), _));
    let fence = if by_mint { old.fence.next() } else { Some(old.fence) };
    require(fence == Some(new.fence), "I6", "a fence moved without a mint", &[key])?;

    let named = step.named_claim();
    let fits = match step {
        Step::Heartbeat(..) => false,
        Step::Decided(Command::Mint(_), _) => {
            let claimable = matches!(old.state, EntityState::Idle | EntityState::Running);
            let current = named.is_some_and(|id| new.is_current(&id));
            claimable && current && new.state == EntityState::Running
        }
        Step::Decided(Command::Signal(signal), _) => match signal.signal {
            EntitySignal::Kill => new.state == EntityState::Killed && new.current.is_none(),
            _ => new.current == old.current && new.state != EntityState::Killed,
        },
        Step::Decided(..) => {
            let state = match old.state {
                EntityState::Running => EntityState::Idle,
                EntityState::Stopping => EntityState::Stopped,
                other => other,
            };
            let was_current = named.is_some_and(|id| old.is_current(&id));
            was_current && new.current.is_none() && new.state == state
        }
    };
    require(fits, "I8", "an entity changed as this call does not", &[key])
}

/// D8: the end of the current claim is written to its entity, and nothing else is.
pub(super) fn check_when(
    after: &World,
    key: &EntityKey,
    old: &Entity,
    new: &Entity,
    now: Timestamp,
) -> Result<(), Violation> {
    let current = old.current_id(&key.tenant);
    let ending = current
        .and_then(|id| after.claims.get(&id))
        .and_then(|claim| claim.ending.as_ref().map(|ending| (claim.state, ending)));
    let mut expected = old.clone();
    if let Some((state, ending)) = ending {
        expected.last_ended_at = Some(now);
        match state {
            ClaimState::Released => expected.last_completed_at = Some(now),
            ClaimState::Failed => expected.last_error = Some(ending.error_message.clone()),
            _ => {}
        }
    }
    let written = new.last_ended_at == expected.last_ended_at
        && new.last_completed_at == expected.last_completed_at
        && new.last_error == expected.last_error;
    require(written, "D8", "an end written wrongly to its entity", &[key])
}
