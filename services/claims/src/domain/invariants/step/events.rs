//! I11: every accepted change has exactly one event.

use super::Step;
use crate::domain::claim::{Claim, ClaimState};
use crate::domain::command::Command;
use crate::domain::decide::EventType;
use crate::domain::epoch::{Epoch, Fence};
use crate::domain::invariants::{Violation, require};
use crate::domain::names::ConsumerId;
use crate::domain::world::World;
use std::sync::Arc;

/// What an event says, without its reason's wording.
type Told = (EventType, Option<(ConsumerId, Epoch)>, Fence, Arc<str>);

/// I11: the events are exactly one for each change that the rows show, with fence and actor (D9).
pub(super) fn check_events(before: &World, after: &World, step: Step<'_>) -> Result<(), Violation> {
    let Step::Decided(command, Ok(decision)) = step else {
        return Ok(());
    };
    let Some(key) = step.subject(before) else {
        let none = decision.events.is_empty();
        return require(none, "I11", "an event of nothing", &[]);
    };
    let mut expected = Vec::new();
    for (id, claim) in &after.claims {
        let Some(event_type) = change_of(before.claims.get(id), claim) else {
            continue;
        };
        let named = Some((id.consumer.clone(), id.epoch));
        expected.push((event_type, named, claim.fence, actor(command, event_type)));
    }
    let entity = after.entity(&key);
    if matches!(command, Command::Signal(_)) && before.entity(&key).state != entity.state {
        let event_type = EventType::Signaled;
        expected.push((event_type, None, entity.fence, actor(command, event_type)));
    }
    let mut told: Vec<Told> = Vec::new();
    for event in &decision.events {
        require(event.entity == key, "I11", "an event of another entity", &[&key])?;
        let claim = event.claim.clone().map(|(_, consumer, epoch)| (consumer, epoch));
        told.push((event.event_type, claim, event.fence, event.actor.clone()));
    }
    expected.sort();
    told.sort();
    require(told == expected, "I11", "events are not the changes", &[&key])
}

/// The change of a claim that has an event; a renewal and a directive have none.
fn change_of(old: Option<&Claim>, new: &Claim) -> Option<EventType> {
    let Some(old) = old else {
        return Some(EventType::Minted);
    };
    if old.state == new.state {
        return (old.fence != new.fence).then_some(EventType::Reminted);
    }
    Some(match new.state {
        ClaimState::Active => EventType::Minted,
        ClaimState::Superseded => EventType::Superseded,
        ClaimState::Released => EventType::Released,
        ClaimState::Failed => EventType::Failed,
        ClaimState::Expired => EventType::Expired,
        ClaimState::Revoked => EventType::Revoked,
    })
}

/// D9: who brings about such a change by such a command.
fn actor(command: &Command, event_type: EventType) -> Arc<str> {
    match command {
        Command::Mint(_) if matches!(event_type, EventType::Minted | EventType::Reminted) => {
            "holder".into()
        }
        Command::Mint(_) => "mint".into(),
        Command::Done(_) => "holder".into(),
        Command::Expire(_) => "reaper".into(),
        Command::Revoke(revoke) => revoke.actor.clone(),
        Command::Signal(signal) => signal.actor.clone(),
    }
}
