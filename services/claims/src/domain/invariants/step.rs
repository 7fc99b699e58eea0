//! What one call may change: I4, I6 … I11 over the worlds before and after it.

mod claims;
mod entities;
mod events;

use super::{Violation, require};
use crate::domain::claim::{Claim, ClaimId};
use crate::domain::command::Command;
use crate::domain::decide::{Answer, Decision, Expiry};
use crate::domain::entity::EntityKey;
use crate::domain::heartbeat::{Heartbeat, Renewal};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::world::World;
use claims::{check_changed_claim, check_new_claim};
use entities::{check_changed_entity, check_when};
use events::check_events;

/// One call and its answer.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A command, decided.
    Decided(&'a Command, Result<&'a Decision, &'a Refusal>),
    /// A heartbeat.
    Heartbeat(&'a Heartbeat, Result<&'a Renewal, &'a Refusal>),
}

/// Checks what became of the whole world `before` by one call at `now`.
pub fn check_step(
    before: &World,
    after: &World,
    step: Step<'_>,
    now: Timestamp,
) -> Result<(), Violation> {
    if !step.says_changed() {
        check_nothing_changed(before, after)?;
    }
    check_kept(before, after)?;
    for (id, now_claim) in &after.claims {
        match before.claims.get(id) {
            Some(old) if old == now_claim => {}
            Some(old) => check_changed_claim(before, old, now_claim, step, now)?,
            None => check_new_claim(before, after, now_claim, step)?,
        }
    }
    let subject = step.subject(before);
    for (key, entity) in &after.entities {
        let old = before.entity(key);
        if old != *entity {
            let named = subject.as_ref() == Some(key);
            require(named, "I8", "a call changed another entity", &[key])?;
            check_changed_entity(key, &old, entity, step)?;
            check_when(after, key, &old, entity, now)?;
        }
    }
    check_events(before, after, step)
}

impl Step<'_> {
    /// Whether the answer says that anything changed; a refusal says that nothing did.
    fn says_changed(self) -> bool {
        match self {
            Self::Heartbeat(_, outcome) => outcome.is_ok(),
            Self::Decided(_, Err(_)) => false,
            Self::Decided(_, Ok(decision)) => match &decision.answer {
                Answer::Minted(_) => true,
                Answer::Ended(ended) => !ended.already_ended,
                Answer::Signaled(signaled) => signaled.changed,
                Answer::Expiry(expiry) => matches!(expiry, Expiry::Expired { .. }),
            },
        }
    }

    /// The one entity that the call may change.
    fn subject(self, before: &World) -> Option<EntityKey> {
        let entity_of = |id: &ClaimId| before.claims.get(id).map(Claim::entity_key);
        match self {
            Self::Heartbeat(..) => None,
            Self::Decided(command, _) => match command {
                Command::Mint(mint) => Some(mint.entity_key()),
                Command::Signal(signal) => Some(signal.entity.clone()),
                Command::Done(done) => entity_of(&done.id),
                Command::Revoke(revoke) => entity_of(&revoke.id),
                Command::Expire(expire) => entity_of(&expire.id),
            },
        }
    }

    /// The one claim that the call names and may change.
    fn named_claim(self) -> Option<ClaimId> {
        match self {
            Self::Heartbeat(heartbeat, _) => Some(heartbeat.id.clone()),
            Self::Decided(command, outcome) => match command {
                Command::Mint(_) => match &outcome.ok()?.answer {
                    Answer::Minted(minted) => Some(minted.claim.id.clone()),
                    _ => None,
                },
                Command::Done(done) => Some(done.id.clone()),
                Command::Revoke(revoke) => Some(revoke.id.clone()),
                Command::Expire(expire) => Some(expire.id.clone()),
                Command::Signal(_) => None,
            },
        }
    }
}

/// I10. The entity row of a refused mint or of a signal without effect may come into being.
fn check_nothing_changed(before: &World, after: &World) -> Result<(), Violation> {
    for (id, claim) in &after.claims {
        let same = before.claims.get(id) == Some(claim);
        require(same, "I10", "a claim changed by a call that changed nothing", &[id])?;
    }
    for (key, entity) in &after.entities {
        let same = before.entity(key) == *entity;
        require(same, "I10", "an entity changed by a call that changed nothing", &[key])?;
    }
    let same = before.marks == after.marks;
    require(same, "I10", "a mark changed by a call that changed nothing", &[])
}

/// No call removes a row (T1 is no call), lowers a fence or lowers a mark.
fn check_kept(before: &World, after: &World) -> Result<(), Violation> {
    for id in before.claims.keys() {
        let kept = after.claims.contains_key(id);
        require(kept, "T1", "a call removed a claim", &[id])?;
    }
    for (key, old) in &before.entities {
        let kept = after.entities.contains_key(key);
        require(kept, "T2", "a call removed an entity", &[key])?;
        let risen = after.entity(key).fence >= old.fence;
        require(risen, "I6", "a fence fell", &[key])?;
    }
    for ((key, authority), old) in &before.marks {
        let risen = after.mark(key, authority).is_some_and(|mark| mark >= *old);
        require(risen, "I6", "a high-water mark fell", &[key])?;
    }
    Ok(())
}
