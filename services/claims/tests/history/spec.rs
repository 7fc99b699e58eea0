//! The sequential specification: the domain's own functions, one call after the other.
//!
//! Time is an argument of them. Most answers tell the database time at which they were decided, or tell
//! it together with the rows; then it is that one. Otherwise any moment between call and answer will do,
//! and since an answer changes only where a lease or a ceiling ends, it is enough to try those.

use super::record::{Call, Record, Said};
use claims::domain::authorize::{Writer, authorize};
use claims::domain::heartbeat::heartbeat;
use claims::domain::{
    Answer, Change, Claim, ClaimId, Command, EntityKey, Event, Expiry, Liveness, Refusal, Renewal,
    Timestamp, World, decide,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// What one call does to the rows at one moment.
pub(crate) struct Effect {
    pub(crate) said: Said,
    pub(crate) changes: Vec<Change>,
    /// Claims that are there no more.
    pub(crate) gone: BTreeSet<ClaimId>,
    pub(crate) events: Vec<Event>,
}

impl Effect {
    pub(crate) fn is_none(&self) -> bool {
        self.changes.is_empty() && self.gone.is_empty()
    }

    pub(crate) fn apply_to(&self, world: &mut World) {
        world.apply(&self.changes);
        world.claims.retain(|id, _| !self.gone.contains(id));
    }
}

/// The rows before the first call. Without an outage grace, *takeable* is *lapsed* and no outage plays a
/// part: the runs are about the order of calls, and R6 has tests of its own.
pub(crate) fn beginning() -> World {
    let liveness = Liveness {
        last_signed_at: Timestamp::BEFORE_ALL,
        resumed_at: Timestamp::BEFORE_ALL,
        outage_grace: Duration::ZERO,
    };
    World { liveness: Some(liveness), ..World::default() }
}

/// One call at one moment.
pub(crate) fn effect(world: &World, call: &Call, now: Timestamp) -> Effect {
    let nothing = |said| Effect { said, changes: vec![], gone: BTreeSet::new(), events: vec![] };
    match call {
        Call::Decide(command) => match decide(world, command, now) {
            Ok(mut decision) => {
                for change in &mut decision.changes {
                    if let Change::Claim(claim) = change {
                        keep_what_is_stored(claim);
                    }
                }
                Effect {
                    changes: decision.changes,
                    events: decision.events,
                    ..nothing(Said::Decided(Ok(as_stored(decision.answer))))
                }
            }
            // To a reaper a claim that was pruned since it looked is one that has ended.
            Err(Refusal::ClaimNotFound) if matches!(command, Command::Expire(_)) => {
                nothing(Said::Decided(Ok(Answer::Expiry(Expiry::AlreadyEnded))))
            }
            Err(refusal) => nothing(Said::Decided(Err(refusal))),
        },
        Call::Beat(beat) => match heartbeat(world.claims.get(&beat.id), beat, now) {
            Ok((claim, renewal)) => Effect {
                changes: vec![Change::Claim(Box::new(claim))],
                ..nothing(Said::Beat(Ok(renewal)))
            },
            Err(refusal) => nothing(Said::Beat(Err(refusal))),
        },
        Call::Write(tenant, stream, token) => {
            let key = EntityKey { tenant: tenant.clone(), url: stream.entity() };
            let writer = Writer::of(&world.entity(&key), world.current_claim(&key));
            nothing(Said::Write(authorize(writer.as_ref(), stream, token, now)))
        }
        Call::Prune(ids, retention) => {
            let may_go = |id: &&ClaimId| {
                let ending = world.claims.get(*id).and_then(|claim| claim.ending.as_ref());
                ending.is_some_and(|ending| ending.at + *retention <= now)
            };
            let gone: BTreeSet<ClaimId> = ids.iter().filter(may_go).cloned().collect();
            Effect { gone: gone.clone(), ..nothing(Said::Pruned(gone.len())) }
        }
    }
}

/// Of an ended claim the rows keep no directive, and when it was heard of only by its last heartbeat; no
/// caller is shown either. So they are left out of every comparison.
fn keep_what_is_stored(claim: &mut Claim) {
    if claim.ending.is_some() {
        claim.lease.stop = false;
        claim.lease.heard_at = claim.lease.last_heartbeat_at.unwrap_or(claim.claimed_at);
    }
}

/// An answer with its ended claims as the rows keep them.
pub(crate) fn as_stored(mut answer: Answer) -> Answer {
    match &mut answer {
        Answer::Minted(minted) => {
            minted.ended_predecessor.iter_mut().for_each(keep_what_is_stored);
        }
        Answer::Ended(ended) => keep_what_is_stored(&mut ended.claim),
        Answer::Signaled(_) | Answer::Expiry(_) => {}
    }
    answer
}

/// Whether a caller may be told `said` where the specification says `expected`.
///
/// Heartbeats of one claim that wait together are renewed as one, for the longest of the leases that they
/// ask for, and each is told what that one is: its length, and that the lease had lapsed, say.
pub(crate) fn fits(
    world: &World,
    call: &Call,
    expected: &Said,
    said: &Said,
    now: Timestamp,
) -> bool {
    if let (Call::Beat(beat), Said::Beat(Ok(expected)), Said::Beat(Ok(said))) =
        (call, expected, said)
    {
        let heard = world.claims.get(&beat.id).and_then(|claim| claim.lease.last_heartbeat_at);
        if heard == Some(now) {
            let (ttl, had_lapsed) = (expected.ttl.max(said.ttl), said.had_lapsed);
            return Renewal { ttl, had_lapsed, ..expected.clone() } == *said;
        }
    }
    expected == said
}

/// The moments at which a call that was answered may have been decided, given the rows.
pub(crate) fn moments(world: &World, record: &Record) -> Vec<Timestamp> {
    let Some((answered, said)) = &record.said else {
        return vec![];
    };
    let lapses_at = |id: &ClaimId| world.claims.get(id).map(|claim| claim.lease.expires_at);
    let told = match (&record.call, said) {
        (_, said) if said.decided_at().is_some() => said.decided_at(),
        (
            Call::Decide(Command::Mint(mint)),
            Said::Decided(Err(Refusal::AlreadyClaimed { holder, epoch, takeable_in })),
        ) => {
            let tenant = mint.tenant.clone();
            let id = ClaimId { tenant, consumer: holder.clone(), epoch: *epoch };
            lapses_at(&id).map(|at| at - *takeable_in)
        }
        (_, Said::Write(Ok(allowed))) => {
            lapses_at(&allowed.id).map(|at| at - allowed.lease_remaining)
        }
        // It is the removed that tell, and they do not change any more.
        (Call::Prune(..), _) => Some(*answered),
        _ => {
            let mut all = BTreeSet::from([record.invoked, *answered]);
            for claim in world.claims.values().filter(|claim| claim.state.is_live()) {
                all.insert(claim.lease.expires_at);
                all.extend(claim.lease.ceiling_at);
            }
            return all.range(record.invoked..=*answered).copied().collect();
        }
    };
    told.into_iter().filter(|at| (record.invoked..=*answered).contains(at)).collect()
}
