//! Signals: what an operator may tell an entity. Only KILL touches claims.

use super::end::{End, Release};
use super::{Answer, Change, Decision, Event, EventType, Signaled};
use crate::domain::claim::Claim;
use crate::domain::command::{EndReason, EntitySignal, Signal};
use crate::domain::entity::{Entity, EntityState};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::world::World;

/// The table of signals. One whose effect already holds is fine and changes nothing; any other on
/// a terminal entity is refused.
pub(super) fn decide_signal(
    world: &World,
    command: &Signal,
    now: Timestamp,
) -> Result<Decision, Refusal> {
    let mut entity = world.entity(&command.entity);
    let mut current = world.current_claim(&command.entity).cloned();
    let mut release = Release::default();
    let Some(state) = state_after_signal(&entity, command.signal)? else {
        return Ok(signaled(command, entity, current, release, false, now));
    };
    if command.signal == EntitySignal::Kill {
        for claim in world.live_claims(&command.entity) {
            let end = End::by_operator(EndReason::Killed, command.actor.clone());
            release.end(&mut entity, claim, end, now);
        }
        current = None;
    } else if let Some(claim) = &mut current {
        // H5: the directive travels with the lease.
        claim.lease.stop = state.asks_holder_to_stop();
        release.changes.push(Change::Claim(Box::new(claim.clone())));
    }
    entity.state = state;
    release.changes.push(Change::Entity(command.entity.clone(), entity.clone()));
    Ok(signaled(command, entity, current, release, true, now))
}

/// The state that a signal leads to, or none if its effect already holds.
fn state_after_signal(
    entity: &Entity,
    signal: EntitySignal,
) -> Result<Option<EntityState>, Refusal> {
    use EntitySignal::{Cont, Kill, Stop, Term};
    use EntityState::{Idle, Killed, Paused, Running, Stopped, Stopping};
    let has_claim = entity.current.is_some();
    match (signal, entity.state) {
        (Kill, Killed) | (Term, Stopped) => Ok(None),
        (_, Stopped | Killed) => Err(Refusal::EntityTerminal(entity.state)),

        (Stop, Idle | Running) => Ok(Some(Paused)),
        (Stop, Paused) => Ok(None),

        (Cont, Paused) => Ok(Some(if has_claim { Running } else { Idle })),
        (Cont, Idle | Running) => Ok(None),

        (Stop | Cont, Stopping) => Err(Refusal::SignalNotApplicable(entity.state)),

        (Term, Stopping) => Ok(None),
        (Term, Idle | Running | Paused) => Ok(Some(if has_claim { Stopping } else { Stopped })),

        (Kill, Idle | Running | Paused | Stopping) => Ok(Some(Killed)),
    }
}

fn signaled(
    command: &Signal,
    entity: Entity,
    current_claim: Option<Claim>,
    release: Release,
    changed: bool,
    now: Timestamp,
) -> Decision {
    let Release { changes, mut events } = release;
    if changed {
        let reason = match command.reason.as_str() {
            "" => command.signal.as_str().to_owned(),
            given => format!("{}: {given}", command.signal.as_str()),
        };
        events.push(Event {
            entity: command.entity.clone(),
            claim: None,
            fence: entity.fence,
            event_type: EventType::Signaled,
            reason,
            actor: command.actor.clone(),
        });
    }
    let key = command.entity.clone();
    let signaled = Signaled { key, entity, current_claim, changed, decided_at: now };
    let answer = Answer::Signaled(signaled);
    Decision { changes, events, answer }
}
