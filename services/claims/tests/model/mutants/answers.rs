//! Answers: who lost a claim learns it, and how; who has none is told nothing; who may take over may,
//! and nobody else.

use super::lessons::{LEARNS, OWN};
use super::{Mutant, authorizing, beating, deciding, mutant};
use crate::names::TICK;
use crate::scope::Scope;
use claims::domain::authorize::authorize;
use claims::domain::heartbeat::heartbeat;
use claims::domain::{Answer, Command, Directive, Done, Mint, Refusal, Renewal, decide};
use std::time::Duration;

pub(crate) fn mutants() -> Vec<Mutant> {
    vec![
        mutant(
            LEARNS,
            "H1",
            "a_superseded_holder_is_told_that_its_claim_never_was",
            beating(|claim, beat, now| {
                heartbeat(claim, beat, now).map_err(|refusal| match refusal {
                    Refusal::ClaimSuperseded { .. } => Refusal::ClaimNotFound,
                    other => other,
                })
            }),
        ),
        mutant(
            LEARNS,
            "H1",
            "a_heartbeat_after_done_is_told_of_a_newer_claim",
            beating(|claim, beat, now| {
                heartbeat(claim, beat, now).map_err(|refusal| match (refusal, claim) {
                    (Refusal::ClaimEnded { .. }, Some(claim)) => Refusal::ClaimSuperseded {
                        by_consumer: claim.id.consumer.clone(),
                        by_epoch: claim.id.epoch,
                    },
                    (other, _) => other,
                })
            }),
        ),
        mutant(
            LEARNS,
            "H3",
            "a_lapse_is_not_told",
            beating(|claim, beat, now| {
                let (claim, renewal) = heartbeat(claim, beat, now)?;
                Ok((claim, Renewal { had_lapsed: false, ..renewal }))
            }),
        ),
        mutant(
            LEARNS,
            "H5",
            "a_holder_is_not_told_to_stop",
            beating(|claim, beat, now| {
                let (claim, renewal) = heartbeat(claim, beat, now)?;
                Ok((claim, Renewal { directive: Directive::Continue, ..renewal }))
            }),
        )
        .within(Scope::SIGNALS),
        mutant(
            LEARNS,
            "D5",
            "a_done_after_expiry_is_an_error",
            deciding(|world, command, now| {
                if let Command::Done(done) = command
                    && world.claims.get(&done.id).is_some_and(|claim| claim.ending.is_some())
                {
                    return Err(Refusal::ClaimNotFound);
                }
                decide(world, command, now)
            }),
        ),
        mutant(
            LEARNS,
            "D5",
            "a_done_after_expiry_is_told_that_it_won",
            deciding(|world, command, now| {
                let mut decision = decide(world, command, now)?;
                if let Answer::Ended(ended) = &mut decision.answer {
                    ended.already_ended = false;
                }
                Ok(decision)
            }),
        ),
        mutant(
            OWN,
            "M4",
            "a_newer_epoch_has_to_wait",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                match (command, &decision.answer) {
                    (Command::Mint(mint), Answer::Minted(minted)) if !mint.supersede => {
                        match &minted.ended_predecessor {
                            Some(old) if old.state.is_live() => Err(Refusal::AlreadyClaimed {
                                holder: old.id.consumer.clone(),
                                epoch: old.id.epoch,
                                takeable_in: old.lease.expires_at.since(now),
                            }),
                            _ => Ok(decision),
                        }
                    }
                    _ => Ok(decision),
                }
            }),
        )
        .within(Scope::NUMBERS),
        mutant(
            OWN,
            "M4",
            "anybody_displaces_a_live_holder",
            deciding(|world, command, now| match command {
                Command::Mint(mint) => {
                    let pushy = Mint { supersede: true, ..mint.clone() };
                    decide(world, &Command::Mint(pushy), now)
                }
                _ => decide(world, command, now),
            }),
        ),
        mutant(
            OWN,
            "M5",
            "only_the_reaper_frees_an_entity",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                match &decision.answer {
                    Answer::Minted(minted) => match &minted.ended_predecessor {
                        Some(old) if !old.state.is_live() => Err(Refusal::AlreadyClaimed {
                            holder: old.id.consumer.clone(),
                            epoch: old.id.epoch,
                            takeable_in: Duration::ZERO,
                        }),
                        _ => Ok(decision),
                    },
                    _ => Ok(decision),
                }
            }),
        ),
        mutant(
            OWN,
            "I5",
            "a_token_of_a_lapsed_lease_still_writes",
            authorizing(|writer, stream, token, now| {
                let renewed = writer.cloned().map(|mut writer| {
                    writer.lease_expires_at = writer.lease_expires_at.max(now + TICK);
                    writer
                });
                authorize(renewed.as_ref(), stream, token, now)
            }),
        ),
        mutant(
            OWN,
            "I5",
            "any_token_of_the_entity_writes",
            authorizing(|writer, stream, token, now| {
                let trusting = writer.cloned().map(|mut writer| {
                    writer.token_digest = *token;
                    writer
                });
                authorize(trusting.as_ref(), stream, token, now)
            }),
        ),
        mutant(
            OWN,
            "I5",
            "the_token_writes_to_other_streams_of_the_entity",
            authorizing(|writer, stream, token, now| {
                let careless = writer.cloned().map(|mut writer| {
                    writer.stream = stream.clone();
                    writer
                });
                authorize(careless.as_ref(), stream, token, now)
            }),
        ),
        mutant(
            OWN,
            "W3",
            "a_wrong_token_learns_that_the_lease_has_lapsed",
            authorizing(|writer, stream, token, now| {
                authorize(writer, stream, token, now).map_err(|refusal| match writer {
                    Some(writer) if writer.lease_expires_at <= now => Refusal::LeaseLapsed,
                    _ => refusal,
                })
            }),
        ),
        mutant(
            OWN,
            "D2",
            "done_with_a_strangers_token_ends_the_claim",
            deciding(|world, command, now| match command {
                Command::Done(done) => {
                    let anybody = Done { token: None, ..done.clone() };
                    decide(world, &Command::Done(anybody), now)
                }
                _ => decide(world, command, now),
            }),
        ),
    ]
}
