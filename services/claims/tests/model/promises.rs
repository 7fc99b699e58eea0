//! What each call must answer and do, said once more from the tables of the specification.
//!
//! `check_step` says what a call may change at most. Here stands what it must do: whom a mint takes
//! over from, which lease a heartbeat gives, when a claim is due, and what exactly a caller is told.
//! Nothing here calls what decides; the words of the specification are written out again, over the
//! rows as they were before the call and over what was promised to callers.

mod calls;
mod mint;

use super::names::{NOW, Names, OUTAGE_GRACE_TICKS, TICK, epoch_of, ticks};
use super::state::State;
use claims::domain::invariants::Violation;
use claims::domain::{
    Authority, Claim, ClaimState, Command, Decision, EntityKey, Epoch, LeaseTtl, Refusal,
    Timestamp, World,
};

/// A call, asked of a world.
pub(crate) struct Asked<'a> {
    pub(crate) before: &'a World,
    pub(crate) after: &'a World,
    pub(crate) state: &'a State,
    pub(crate) names: &'a Names,
}

pub(crate) type Kept = Result<(), Violation>;

pub(crate) fn violation(rule: &'static str, problem: &'static str) -> Violation {
    Violation { rule, problem, rows: vec![] }
}

fn require(holds: bool, rule: &'static str, problem: &'static str) -> Kept {
    if holds { Ok(()) } else { Err(violation(rule, problem)) }
}

impl Asked<'_> {
    /// One decided call.
    pub(crate) fn check(&self, command: &Command, outcome: Result<&Decision, &Refusal>) -> Kept {
        match command {
            Command::Mint(mint) => self.check_mint(mint, outcome),
            Command::Done(done) => self.check_done(done, outcome),
            Command::Revoke(revoke) => self.check_revoke(revoke, outcome),
            Command::Signal(signal) => self.check_signal(signal, outcome),
            Command::Expire(expire) => self.check_expire(expire, outcome),
        }
    }

    /// What a caller is told of its claim is what is stored.
    fn is_stored(&self, claim: &Claim) -> bool {
        self.after.claims.get(&claim.id) == Some(claim)
    }

    /// The claim that holds the entity, found by its row and not by what the entity says.
    fn holder(&self, key: &EntityKey) -> Option<&Claim> {
        self.before
            .claims
            .values()
            .find(|claim| claim.entity_key() == *key && claim.state == ClaimState::Active)
    }

    /// The highest epoch that anybody was ever told of.
    fn highest_promised(&self, key: &EntityKey, authority: &Authority) -> Option<Epoch> {
        let promised = &self.state.promised[usize::from(self.names.entity_number(key))];
        let highest = promised.epochs[usize::from(self.names.authority_number(authority))];
        (highest > 0).then(|| epoch_of(highest))
    }

    /// *Takeable* and *resumed*, word for word. Without a record the outage grace is its default.
    fn takeable_at(&self, claim: &Claim) -> Timestamp {
        let (resumed, grace) = match self.before.liveness {
            Some(liveness) if NOW.since(liveness.last_signed_at) <= TICK => {
                (liveness.resumed_at, ticks(OUTAGE_GRACE_TICKS))
            }
            Some(_) => (NOW, ticks(OUTAGE_GRACE_TICKS)),
            None => (NOW, std::time::Duration::from_secs(30)),
        };
        if claim.lease.heard_at < resumed {
            claim.lease.expires_at.max(resumed + grace)
        } else {
            claim.lease.expires_at
        }
    }

    fn is_takeable(&self, claim: &Claim) -> bool {
        self.takeable_at(claim) <= NOW
    }
}

/// H2 without the clock rule, since no clock steps back here: never earlier, never beyond the ceiling.
fn renewed(claim: &Claim, asked: Option<LeaseTtl>) -> Timestamp {
    let wished = NOW + asked.unwrap_or(claim.lease.ttl).get();
    let bounded = claim.lease.ceiling_at.map_or(wished, |ceiling| wished.min(ceiling));
    bounded.max(claim.lease.expires_at)
}

/// The state of a claim as a reason, for whoever may no longer have it (H1, M2).
fn lost(claim: &Claim) -> Option<Refusal> {
    match (&claim.ending, &claim.superseded_by) {
        (Some(ending), _) => Some(Refusal::ClaimEnded {
            state: claim.state,
            end_time: ending.at,
            end_reason: ending.reason.to_string(),
        }),
        (None, Some((consumer, epoch))) => {
            Some(Refusal::ClaimSuperseded { by_consumer: consumer.clone(), by_epoch: *epoch })
        }
        (None, None) => None,
    }
}

fn ceiling_reached(claim: &Claim) -> bool {
    claim.lease.ceiling_at.is_some_and(|ceiling| ceiling <= NOW)
}
