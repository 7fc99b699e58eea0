//! Epochs, fences and identities: they only rise, nothing resets them, and a retry is the same claim.

use super::lessons::{FENCE, IDENTITY, RETRY};
use super::{Mutant, beating, deciding, mistaken_of_all, mutant, pruning, with_entities};
use crate::names::NOW;
use crate::rules::prune;
use crate::scope::Scope;
use claims::domain::heartbeat::heartbeat;
use claims::domain::{
    Change, Claim, ClaimState, Command, Decision, Entity, Epoch, Fence, Mint, NumberFloor, Refusal,
    RequestId, RunnerId, Timestamp, TokenDigest, World, decide,
};

pub(crate) fn mutants() -> Vec<Mutant> {
    vec![
        mutant(
            FENCE,
            "I6",
            "an_upsert_lowers_the_epoch",
            deciding(|world, command, now| {
                let forgetful = World { marks: Default::default(), ..world.clone() };
                decide(&forgetful, command, now)
            }),
        ),
        mutant(
            IDENTITY,
            "M3",
            "retention_takes_the_highest_epochs",
            pruning(|world, id| {
                prune(world, id);
                let kept: Vec<_> = world
                    .claims
                    .values()
                    .map(|claim| (claim.entity_key(), claim.authority.clone()))
                    .collect();
                world.marks.retain(|key, _| kept.contains(key));
            }),
        ),
        mutant(
            IDENTITY,
            "I6",
            "retention_takes_the_fence_of_an_idle_entity",
            pruning(|world, id| {
                prune(world, id);
                let kept: Vec<_> = world.claims.values().map(Claim::entity_key).collect();
                world.entities.retain(|key, _| kept.contains(key));
            }),
        ),
        mutant(
            IDENTITY,
            "I2",
            "retention_takes_a_lapsed_claim_that_nobody_ended",
            pruning(|world, id| {
                if world.claims.get(id).is_some_and(|claim| claim.lease.has_lapsed(NOW)) {
                    world.claims.remove(id);
                }
            }),
        ),
        mutant(
            FENCE,
            "I6",
            "a_restored_database_counts_fences_from_one",
            deciding(|world, command, now| {
                let floor = NumberFloor::default();
                decide(&World { floor, ..world.clone() }, command, now)
            }),
        )
        .within(Scope::RESTORES),
        mutant(FENCE, "M3", "a_restored_database_issues_epochs_again", deciding(epochs_from_one))
            .within(Scope::RESTORES),
        mutant(
            FENCE,
            "I6",
            "revoke_resets_the_fence",
            deciding(|world, command, now| {
                let decision = decide(world, command, now)?;
                Ok(match command {
                    Command::Revoke(_) => {
                        with_entities(decision, |entity| entity.fence = Fence::UNCLAIMED)
                    }
                    _ => decision,
                })
            }),
        ),
        mutant(
            FENCE,
            "I6",
            "a_mint_after_an_end_uses_the_fence_again",
            deciding(|world, command, now| {
                let mut behind = world.clone();
                for entity in behind.entities.values_mut().filter(|entity| entity.current.is_none())
                {
                    entity.fence = Fence::parse(entity.fence.get().saturating_sub(1).max(0))
                        .unwrap_or(entity.fence);
                }
                match command {
                    Command::Mint(_) => decide(&behind, command, now),
                    _ => decide(world, command, now),
                }
            }),
        ),
        mutant(
            FENCE,
            "I6",
            "a_mint_does_not_raise_the_mark",
            deciding(|world, command, now| {
                let mut decision = decide(world, command, now)?;
                decision.changes.retain(|change| !matches!(change, Change::Mark(..)));
                Ok(decision)
            }),
        ),
        mutant(FENCE, "M4", "epochs_are_compared_between_authorities", deciding(one_numbering))
            .within(Scope::CALLERS),
        mutant(
            RETRY,
            "H6",
            "a_heartbeat_changes_the_fence",
            beating(|claim, beat, now| {
                let (renewed, renewal) = heartbeat(claim, beat, now)?;
                let fence = renewed.fence.next().unwrap_or(renewed.fence);
                Ok((Claim { fence, ..renewed }, renewal))
            }),
        ),
        mutant(
            RETRY,
            "H6",
            "a_heartbeat_changes_the_token",
            beating(|claim, beat, now| {
                let (renewed, renewal) = heartbeat(claim, beat, now)?;
                Ok((Claim { token_digest: TokenDigest::from_bytes([0; 32]), ..renewed }, renewal))
            }),
        ),
        mutant(
            RETRY,
            "M2",
            "a_retried_mint_is_refused",
            deciding(|world, command, now| match command {
                Command::Mint(mint) => decide(world, &Command::Mint(nameless(mint)), now),
                _ => decide(world, command, now),
            }),
        ),
        mutant(
            RETRY,
            "M2",
            "a_retried_mint_keeps_the_lost_token",
            deciding(|world, command, now| {
                let mut decision = decide(world, command, now)?;
                for change in &mut decision.changes {
                    if let Change::Claim(claim) = change
                        && let Some(old) = world.claims.get(&claim.id)
                    {
                        claim.token_digest = old.token_digest;
                    }
                }
                Ok(decision)
            }),
        ),
        mutant(
            RETRY,
            "I4",
            "a_retry_activates_an_ended_claim",
            deciding(|world, command, now| {
                let revived = mistaken_of_all(world, |claim| {
                    claim.state = ClaimState::Active;
                    claim.superseded_by = None;
                    claim.ending = None;
                });
                match command {
                    Command::Mint(_) => decide(&revived, command, now),
                    _ => decide(world, command, now),
                }
            }),
        ),
        mutant(
            IDENTITY,
            "M4",
            "another_caller_of_the_same_identity_gets_the_claim",
            deciding(|world, command, now| match command {
                Command::Mint(mint) => decide(world, &Command::Mint(impostor(mint, world)), now),
                _ => decide(world, command, now),
            }),
        )
        .within(Scope::CALLERS),
        mutant(
            IDENTITY,
            "M4",
            "a_newcomer_gets_the_epoch_that_it_had_before",
            deciding(again_from_one),
        )
        .within(Scope::CALLERS),
    ]
}

/// A mint that nobody can tell to be a retry.
fn nameless(mint: &Mint) -> Mint {
    Mint {
        request_id: RequestId::parse("").unwrap_or_else(|_| mint.request_id.clone()),
        runner_id: RunnerId::parse("").unwrap_or_else(|_| mint.runner_id.clone()),
        ..mint.clone()
    }
}

/// A mint that passes for one by the caller of the claim that it names.
fn impostor(mint: &Mint, world: &World) -> Mint {
    let named = mint.given_id().and_then(|id| world.claims.get(&id));
    let request_id = named.map_or(&mint.request_id, |claim| &claim.request_id).clone();
    Mint { request_id, ..mint.clone() }
}

/// An entity that moves to another authority cannot begin at 1.
fn one_numbering(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    let mut mixed = world.clone();
    if let Command::Mint(mint) = command {
        let highest = world.marks.iter().filter(|((key, _), _)| *key == mint.entity_key());
        if let Some(highest) = highest.map(|(_, epoch)| *epoch).max() {
            mixed.marks.insert((mint.entity_key(), mint.authority.clone()), highest);
        }
    }
    decide(&mixed, command, now)
}

/// Epochs that the service issues begin anew with each claim of a consumer.
fn again_from_one(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    if let Command::Mint(mint) = command
        && mint.epoch.is_none()
    {
        let first = Mint { epoch: Some(Epoch::FIRST), ..mint.clone() };
        return decide(world, &Command::Mint(first), now);
    }
    decide(world, command, now)
}

/// Entities are numbered from the floor on, epochs are not.
fn epochs_from_one(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    let mut forgetful = World { floor: NumberFloor::default(), ..world.clone() };
    if let Command::Mint(mint) = command {
        forgetful.entities.entry(mint.entity_key()).or_insert(Entity::unseen(world.floor));
    }
    decide(&forgetful, command, now)
}
