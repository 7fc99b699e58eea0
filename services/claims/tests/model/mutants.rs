//! Planted bugs: the rules with one mistake each, which the checker has to find.
//!
//! Each is a mistake that a system of this kind has made, or one that would break what those mistakes
//! taught ([`lessons`] lists them). A mutant is a function around the real rules that alters what they
//! see or what they say; nothing of it is in the code of the service. It counts as found when the rule
//! that it says it breaks is the one that is seen broken.

pub(crate) mod answers;
pub(crate) mod ends;
pub(crate) mod leases;
pub(crate) mod lessons;
pub(crate) mod numbers;

use super::rules::{Authorize, Beat, Decide, Rules};
use super::scope::Scope;
use claims::domain::{Change, Claim, ClaimId, ClaimState, Command, Decision, Entity, Lease, World};
use lessons::Lesson;

/// A planted bug.
pub(crate) struct Mutant {
    /// Which lesson it disregards.
    pub(crate) lesson: Lesson,
    /// The rule or invariant that it breaks.
    pub(crate) breaks: &'static str,
    /// What is wrong, as a claim about the mutant's behaviour.
    pub(crate) name: &'static str,
    pub(crate) rules: Rules,
    /// Where it is looked for.
    pub(crate) scope: Scope,
}

/// Where nothing is asked but that every claim ends, and little else happens.
const SILENT: Scope = Scope { outages: false, ..Scope::DEATH };

/// What is broken there.
const ENDS: &str = "liveness";

/// A mutant that a few calls show.
fn mutant(lesson: Lesson, breaks: &'static str, name: &'static str, rules: Rules) -> Mutant {
    Mutant { lesson, breaks, name, rules, scope: Scope::CALLS }
}

impl Mutant {
    /// The same, looked for elsewhere.
    fn within(self, scope: Scope) -> Self {
        Self { scope, ..self }
    }
}

fn deciding(decide: Decide) -> Rules {
    Rules { decide, ..Rules::REAL }
}

fn beating(heartbeat: Beat) -> Rules {
    Rules { heartbeat, ..Rules::REAL }
}

fn authorizing(authorize: Authorize) -> Rules {
    Rules { authorize, ..Rules::REAL }
}

fn pruning(prune: fn(&mut World, &ClaimId)) -> Rules {
    Rules { prune, ..Rules::REAL }
}

/// The claim that a command names, if it is no mint and no signal.
fn named(command: &Command) -> Option<&ClaimId> {
    match command {
        Command::Done(done) => Some(&done.id),
        Command::Revoke(revoke) => Some(&revoke.id),
        Command::Expire(expire) => Some(&expire.id),
        Command::Mint(_) | Command::Signal(_) => None,
    }
}

/// The world as someone sees it who is wrong about the claim that a command names.
fn mistaken(world: &World, command: &Command, wrong: fn(&mut Claim)) -> World {
    let mut world = world.clone();
    if let Some(claim) = named(command).and_then(|id| world.claims.get_mut(id)) {
        wrong(claim);
    }
    world
}

/// The same with all claims.
fn mistaken_of_all(world: &World, wrong: fn(&mut Claim)) -> World {
    let mut world = world.clone();
    world.claims.values_mut().for_each(wrong);
    world
}

/// A decision of which some changes are lost.
fn without(decision: Decision, lost: fn(&Change) -> bool) -> Decision {
    let changes = decision.changes.into_iter().filter(|change| !lost(change)).collect();
    Decision { changes, ..decision }
}

/// A decision that writes entities otherwise.
fn with_entities(mut decision: Decision, wrong: fn(&mut Entity)) -> Decision {
    for change in &mut decision.changes {
        if let Change::Entity(_, entity) = change {
            wrong(entity);
        }
    }
    decision
}

/// A decision that writes claims otherwise.
fn with_claims(mut decision: Decision, wrong: fn(&mut Claim)) -> Decision {
    for change in &mut decision.changes {
        if let Change::Claim(claim) = change {
            wrong(claim);
        }
    }
    decision
}

/// A decision that leaves leases as they are in truth, whatever it was led to believe of them.
fn with_leases_of(world: &World, mut decision: Decision) -> Decision {
    for change in &mut decision.changes {
        if let Change::Claim(claim) = change
            && let Some(old) = world.claims.get(&claim.id)
        {
            claim.lease = match claim.state {
                ClaimState::Active => Lease { ceiling_at: old.lease.ceiling_at, ..claim.lease },
                _ => old.lease,
            };
        }
    }
    decision
}
