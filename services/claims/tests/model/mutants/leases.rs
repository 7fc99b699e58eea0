//! Leases: a heartbeat extends and does nothing else, the clock of the database decides, outages are
//! nobody's fault, and a ceiling is one.

use super::lessons::{CEILING, CLOCK, EXTENDS, OUTAGE, STAMPED};
use super::{
    ENDS, Mutant, SILENT, authorizing, beating, deciding, mistaken, mistaken_of_all, mutant,
    with_claims, with_leases_of,
};
use crate::names::{TICK, fresh_liveness};
use crate::scope::Scope;
use claims::domain::authorize::authorize;
use claims::domain::heartbeat::heartbeat;
use claims::domain::{
    Claim, ClaimState, Command, Decision, Expire, Heartbeat, Lease, Refusal, Timestamp, World,
    decide,
};
use std::time::Duration;

pub(crate) fn mutants() -> Vec<Mutant> {
    vec![
        mutant(
            EXTENDS,
            "H2",
            "a_heartbeat_does_not_extend",
            beating(|claim, beat, now| {
                let (renewed, renewal) = heartbeat(claim, beat, now)?;
                let lease = claim.map_or(renewed.lease, |claim| claim.lease);
                Ok((Claim { lease, ..renewed }, renewal))
            }),
        ),
        mutant(
            EXTENDS,
            "I7",
            "a_heartbeat_nulls_the_lease",
            beating(|claim, beat, now| {
                let (renewed, renewal) = heartbeat(claim, beat, now)?;
                let lease = Lease { expires_at: now, ..renewed.lease };
                Ok((Claim { lease, ..renewed }, renewal))
            }),
        ),
        mutant(
            EXTENDS,
            "I7",
            "a_heartbeat_that_asks_for_little_shortens_the_lease",
            beating(|claim, beat, now| {
                let (renewed, renewal) = heartbeat(claim, beat, now)?;
                let expires_at = beat.ttl.map_or(renewed.lease.expires_at, |ttl| now + ttl.get());
                Ok((Claim { lease: Lease { expires_at, ..renewed.lease }, ..renewed }, renewal))
            }),
        )
        .within(Scope::OUTAGES),
        mutant(
            EXTENDS,
            "I4",
            "a_heartbeat_revives_an_ended_claim",
            beating(|claim, beat, now| {
                let revived = claim.cloned().map(|claim| match claim.superseded_by {
                    None => Claim { state: ClaimState::Active, ending: None, ..claim },
                    Some(_) => claim,
                });
                heartbeat(revived.as_ref(), beat, now)
            }),
        ),
        mutant(
            EXTENDS,
            "I4",
            "a_heartbeat_revives_a_superseded_claim",
            beating(|claim, beat, now| {
                let revived = claim.cloned().map(|claim| match claim.ending {
                    None => Claim { state: ClaimState::Active, superseded_by: None, ..claim },
                    Some(_) => claim,
                });
                heartbeat(revived.as_ref(), beat, now)
            }),
        ),
        mutant(
            EXTENDS,
            "H7",
            "a_heartbeat_with_a_strangers_token_extends",
            beating(|claim, beat, now| {
                let anybody = Heartbeat { token: None, ..beat.clone() };
                heartbeat(claim, &anybody, now)
            }),
        ),
        mutant(
            EXTENDS,
            "H3",
            "a_heartbeat_of_a_lapsed_claim_is_refused",
            beating(|claim, beat, now| match claim {
                Some(claim) if claim.state == ClaimState::Active && claim.lease.has_lapsed(now) => {
                    Err(Refusal::LeaseLapsed)
                }
                _ => heartbeat(claim, beat, now),
            }),
        ),
        mutant(
            EXTENDS,
            "H2",
            "a_heartbeat_is_not_heard",
            beating(|claim, beat, now| {
                let (renewed, renewal) = heartbeat(claim, beat, now)?;
                let heard_at = claim.map_or(now, |claim| claim.lease.heard_at);
                let lease = Lease { heard_at, ..renewed.lease };
                Ok((Claim { lease, ..renewed }, renewal))
            }),
        ),
        mutant(
            CLOCK,
            "I5",
            "a_write_is_allowed_by_a_clock_that_is_behind",
            authorizing(|writer, stream, token, now| authorize(writer, stream, token, now - TICK)),
        ),
        mutant(
            CLOCK,
            "H2",
            "a_lease_runs_from_the_start_of_the_transaction",
            beating(|claim, beat, now| heartbeat(claim, beat, now - TICK)),
        ),
        mutant(
            CLOCK,
            "M4",
            "a_mint_takes_over_by_a_clock_that_is_ahead",
            deciding(|world, command, now| {
                let early = mistaken_of_all(world, |claim| {
                    claim.lease.expires_at = claim.lease.expires_at - TICK;
                });
                match command {
                    Command::Mint(_) => Ok(with_leases_of(world, decide(&early, command, now)?)),
                    _ => decide(world, command, now),
                }
            }),
        ),
        mutant(
            OUTAGE,
            "R1",
            "the_reaper_expires_during_an_outage",
            deciding(|world, command, now| match command {
                Command::Expire(_) => decide(&all_is_well(world), command, now),
                _ => decide(world, command, now),
            }),
        )
        .within(Scope::OUTAGES),
        mutant(
            OUTAGE,
            "M4",
            "a_mint_takes_over_during_an_outage",
            deciding(|world, command, now| match command {
                Command::Mint(_) => decide(&all_is_well(world), command, now),
                _ => decide(world, command, now),
            }),
        )
        .within(Scope::OUTAGES),
        mutant(
            OUTAGE,
            "R1",
            "who_was_not_heard_since_the_outage_is_not_protected",
            deciding(|world, command, now| {
                let unprotected = mistaken(world, command, |claim| {
                    claim.lease.heard_at = claim.lease.expires_at.max(claim.lease.heard_at);
                });
                Ok(with_leases_of(world, decide(&unprotected, command, now)?))
            }),
        )
        .within(Scope::OUTAGES),
        mutant(
            OUTAGE,
            "R1",
            "the_reap_grace_is_forgotten",
            deciding(|world, command, now| match command {
                Command::Expire(expire) => {
                    let reap_grace = Duration::ZERO;
                    let at_once = Expire { reap_grace, ..expire.clone() };
                    decide(world, &Command::Expire(at_once), now)
                }
                _ => decide(world, command, now),
            }),
        )
        .within(Scope::OUTAGES),
        mutant(STAMPED, "M6", "a_mint_stamps_no_lease", deciding(unstamped)),
        mutant(STAMPED, ENDS, "a_mint_stamps_no_lease_and_the_claim_stays", deciding(unstamped))
            .within(SILENT),
        mutant(
            CEILING,
            "H2",
            "a_heartbeat_goes_beyond_the_ceiling",
            beating(|claim, beat, now| {
                let endless = claim.cloned().map(|claim| Claim {
                    lease: Lease { ceiling_at: None, ..claim.lease },
                    ..claim
                });
                let (renewed, renewal) = heartbeat(endless.as_ref(), beat, now)?;
                let ceiling_at = claim.and_then(|claim| claim.lease.ceiling_at);
                Ok((Claim { lease: Lease { ceiling_at, ..renewed.lease }, ..renewed }, renewal))
            }),
        )
        .within(Scope::OUTAGES),
        mutant(
            CEILING,
            "H6",
            "a_re_mint_moves_the_ceiling",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Mint(_) => with_claims(decision, |claim| {
                        claim.lease.ceiling_at =
                            claim.lease.ceiling_at.map(|_| claim.lease.expires_at + TICK);
                    }),
                    _ => decision,
                })
            }),
        )
        .within(Scope::OUTAGES),
        mutant(
            CEILING,
            "M2",
            "a_re_mint_is_accepted_at_the_ceiling",
            deciding(|world, command, now| {
                let younger = mistaken_of_all(world, |claim| {
                    claim.lease.ceiling_at = claim.lease.ceiling_at.map(|ceiling| ceiling + TICK);
                });
                match command {
                    Command::Mint(_) => Ok(with_leases_of(world, decide(&younger, command, now)?)),
                    _ => decide(world, command, now),
                }
            }),
        )
        .within(Scope::OUTAGES),
    ]
}

/// A lease further away than any retention.
fn unstamped(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    let decision = decide(world, command, now)?;
    Ok(match command {
        Command::Mint(_) => with_claims(decision, |claim| {
            if claim.state == ClaimState::Active {
                claim.lease.expires_at = claim.lease.expires_at + TICK * 1000;
            }
        }),
        _ => decision,
    })
}

fn all_is_well(world: &World) -> World {
    World { liveness: Some(fresh_liveness()), ..world.clone() }
}
