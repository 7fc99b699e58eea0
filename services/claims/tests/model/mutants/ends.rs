//! Ends: of two that race one wins, nothing in memory is needed, and every end does all of it.

use super::lessons::{ALL_OF_IT, ONE_DECISION, STAMPED, THE_ROW};
use super::{
    ENDS, Mutant, SILENT, deciding, mistaken, mutant, with_entities, with_leases_of, without,
};
use crate::names::fresh_liveness;
use crate::scope::Scope;
use claims::domain::{
    Answer, Change, Claim, ClaimState, Command, Decision, Done, Entity, EntityState, EventType,
    Expiry, Refusal, Timestamp, World, decide,
};

pub(crate) fn mutants() -> Vec<Mutant> {
    vec![
        mutant(
            ONE_DECISION,
            "I4",
            "expire_ends_what_a_done_has_ended",
            deciding(|world, command, now| match command {
                Command::Expire(_) => decide(&mistaken(world, command, revive), command, now),
                _ => decide(world, command, now),
            }),
        ),
        mutant(
            ONE_DECISION,
            "I4",
            "done_ends_what_has_expired",
            deciding(|world, command, now| match command {
                Command::Done(_) => decide(&mistaken(world, command, revive), command, now),
                _ => decide(world, command, now),
            }),
        ),
        mutant(
            ONE_DECISION,
            "R1",
            "expire_believes_its_list",
            deciding(|world, command, now| {
                let Command::Expire(expire) = command else {
                    return decide(world, command, now);
                };
                let mut looked = world.clone();
                looked.liveness = Some(fresh_liveness());
                let lapsed = now - expire.reap_grace;
                if let Some(claim) = looked.claims.get_mut(&expire.id) {
                    claim.lease.expires_at = claim.lease.expires_at.min(lapsed);
                }
                Ok(with_leases_of(world, decide(&looked, command, now)?))
            }),
        ),
        mutant(
            THE_ROW,
            "D6",
            "done_is_ignored_when_a_newer_claim_displaced_the_token",
            deciding(|world, command, now| {
                if let Command::Done(done) = command
                    && world
                        .claims
                        .get(&done.id)
                        .is_some_and(|claim| claim.state == ClaimState::Superseded)
                {
                    return Err(Refusal::ClaimNotFound);
                }
                decide(world, command, now)
            }),
        ),
        mutant(
            ONE_DECISION,
            "I1",
            "a_mint_overlooks_the_holder",
            deciding(|world, command, now| {
                let mut looked = world.clone();
                looked.entities.values_mut().for_each(|entity| entity.current = None);
                match command {
                    Command::Mint(_) => decide(&looked, command, now),
                    _ => decide(world, command, now),
                }
            }),
        ),
        mutant(
            THE_ROW,
            "D6",
            "a_done_without_the_token_that_a_restart_lost_is_refused",
            deciding(|world, command, now| match command {
                Command::Done(Done { token: None, .. }) => Err(Refusal::WriteTokenInvalid),
                _ => decide(world, command, now),
            }),
        ),
        mutant(
            THE_ROW,
            "I2",
            "a_crash_between_claim_and_entity_leaves_it_running",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Done(_) => without(decision, is_entity),
                    _ => decision,
                })
            }),
        ),
        mutant(
            THE_ROW,
            "I8",
            "done_of_a_superseded_claim_clears_the_newer",
            deciding(clear_the_newer),
        ),
        mutant(
            THE_ROW,
            "D6",
            "done_of_a_lapsed_claim_is_refused",
            deciding(|world, command, now| {
                if let Command::Done(done) = command
                    && world
                        .claims
                        .get(&done.id)
                        .is_some_and(|claim| claim.state.is_live() && claim.lease.has_lapsed(now))
                {
                    return Err(Refusal::LeaseLapsed);
                }
                decide(world, command, now)
            }),
        ),
        mutant(
            ALL_OF_IT,
            "I2",
            "expiry_leaves_the_entity_running",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Expire(_) => without(decision, is_entity),
                    _ => decision,
                })
            }),
        ),
        mutant(
            ALL_OF_IT,
            "I11",
            "expiry_has_no_event",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Expire(_) => Decision { events: vec![], ..decision },
                    _ => decision,
                })
            }),
        ),
        mutant(
            ALL_OF_IT,
            "I11",
            "a_mint_that_takes_over_tells_nobody_that_it_expired_one",
            deciding(|world, command, now| {
                let mut decision = decide(world, command, now)?;
                if matches!(command, Command::Mint(_)) {
                    decision.events.retain(|event| event.event_type != EventType::Expired);
                }
                Ok(decision)
            }),
        ),
        mutant(
            ALL_OF_IT,
            "I9",
            "expiry_wakes_a_paused_entity",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Expire(_) => with_entities(decision, wake),
                    _ => decision,
                })
            }),
        )
        .within(Scope::SIGNALS),
        mutant(
            ALL_OF_IT,
            "D8",
            "expiry_counts_as_completed",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Expire(_) => with_entities(decision, |entity| {
                        entity.last_completed_at = entity.last_ended_at;
                    }),
                    _ => decision,
                })
            }),
        ),
        mutant(
            ALL_OF_IT,
            "I3",
            "kill_spares_superseded_claims",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Signal(_) => without(decision, is_superseded),
                    _ => decision,
                })
            }),
        )
        .within(Scope::SIGNALS),
        mutant(
            ALL_OF_IT,
            "I10",
            "a_reaper_that_leaves_a_claim_alone_writes_to_it",
            deciding(|world, command, now| {
                let mut decision = decide(world, command, now)?;
                if let (Command::Expire(expire), Answer::Expiry(Expiry::NotDue)) =
                    (command, &decision.answer)
                    && let Some(claim) = world.claims.get(&expire.id)
                {
                    let looked_at =
                        Claim { progress: Some("looked at".to_owned()), ..claim.clone() };
                    decision.changes.push(Change::Claim(Box::new(looked_at)));
                }
                Ok(decision)
            }),
        ),
        mutant(STAMPED, "R5", "the_reaper_matches_no_row", deciding(never_due)),
        // The same once more, where nothing is asked but whether every claim ends.
        mutant(STAMPED, ENDS, "the_reaper_matches_no_row_and_claims_stay", deciding(never_due))
            .within(SILENT),
        mutant(
            STAMPED,
            ENDS,
            "superseded_claims_are_not_swept_and_stay",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Expire(_) => without(decision, is_superseded),
                    _ => decision,
                })
            }),
        )
        .within(SILENT),
    ]
}

fn never_due(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    if let Command::Expire(expire) = command
        && world.claims.contains_key(&expire.id)
    {
        let answer = Answer::Expiry(Expiry::NotDue);
        return Ok(Decision { changes: vec![], events: vec![], answer });
    }
    decide(world, command, now)
}

fn clear_the_newer(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    let mut decision = decide(world, command, now)?;
    if let Command::Done(done) = command
        && let Some(claim) = world.claims.get(&done.id)
        && claim.state == ClaimState::Superseded
    {
        let key = claim.entity_key();
        let entity = Entity { state: EntityState::Idle, current: None, ..world.entity(&key) };
        decision.changes.push(Change::Entity(key, entity));
    }
    Ok(decision)
}

fn revive(claim: &mut Claim) {
    claim.state =
        if claim.superseded_by.is_some() { ClaimState::Superseded } else { ClaimState::Active };
    claim.ending = None;
}

fn wake(entity: &mut Entity) {
    if entity.state == EntityState::Paused {
        entity.state = EntityState::Idle;
    }
}

fn is_entity(change: &Change) -> bool {
    matches!(change, Change::Entity(..))
}

fn is_superseded(change: &Change) -> bool {
    matches!(change, Change::Claim(claim) if claim.superseded_by.is_some())
}
