//! What the runs have to meet: a model in which nothing happens keeps every rule.
//!
//! Each answer to each kind of call, and each step that a claim or an entity takes by it, is noted.
//! Together the runs meet exactly what stands in [`EVERYTHING`]: all of it, so that nothing was left
//! out by mistake, and no more, since it is the tables of the specification.

use super::machine::Machine;
use super::rows::ClaimRow;
use super::scope::{End, Scope};
use super::state::State;
use claims::domain::{
    Answer, Authorization, Change, Claim, ClaimState, Command, Decision, EntitySignal, EntityState,
    Expiry, Refusal, Renewal, World,
};
use stateright::Property;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// A call, what is told of (its answer, a claim or an entity), from what, to what.
type Meeting = (&'static str, &'static str, &'static str, &'static str);

/// What a run has met.
#[derive(Default)]
pub(crate) struct Meetings(Mutex<BTreeSet<Meeting>>);

impl Meetings {
    fn note(&self, meeting: Meeting) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(meeting);
    }

    /// Each in words, as in [`EVERYTHING`].
    pub(crate) fn in_words(&self) -> BTreeSet<String> {
        let met = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        met.iter()
            .map(|&(call, thing, from, to)| match thing {
                "" => format!("{call}: {to}"),
                thing => format!("{call}, {thing}: {from} -> {to}"),
            })
            .collect()
    }

    pub(crate) fn decided(
        &self,
        before: &World,
        command: &Command,
        outcome: Result<&Decision, &Refusal>,
    ) {
        let call = name_of_call(command);
        match outcome {
            Err(refusal) => self.note((call, "", "", name_of_refusal(refusal))),
            Ok(decision) => {
                self.note((call, "", "", name_of_answer(&decision.answer)));
                for change in &decision.changes {
                    self.note_change(call, before, change);
                }
            }
        }
    }

    fn note_change(&self, call: &'static str, before: &World, change: &Change) {
        match change {
            Change::Claim(claim) => {
                let old = before.claims.get(&claim.id).map_or("none", |old| old.state.as_str());
                if old != claim.state.as_str() {
                    self.note((call, "claim", old, claim.state.as_str()));
                }
            }
            Change::Entity(key, entity) => {
                let old = before.entity(key).state.as_str();
                if old != entity.state.as_str() {
                    self.note((call, "entity", old, entity.state.as_str()));
                }
            }
            Change::Mark(..) => {}
        }
    }

    /// A claim that retention took, or left.
    pub(crate) fn pruned(&self, claim: &Claim, gone: bool) {
        self.note(("prune", "claim", claim.state.as_str(), if gone { "gone" } else { "left" }));
    }

    pub(crate) fn heard(&self, outcome: Result<&(Claim, Renewal), &Refusal>) {
        let told = match outcome {
            Ok((_, renewal)) if renewal.had_lapsed => "renewed, had lapsed",
            Ok(_) => "renewed",
            Err(refusal) => name_of_refusal(refusal),
        };
        self.note(("heartbeat", "", "", told));
    }

    pub(crate) fn authorized(&self, outcome: Result<&Authorization, &Refusal>) {
        let told = outcome.map_or_else(name_of_refusal, |_| "allowed");
        self.note(("write", "", "", told));
    }
}

fn name_of_call(command: &Command) -> &'static str {
    match command {
        Command::Mint(_) => "mint",
        Command::Done(_) => "done",
        Command::Revoke(_) => "revoke",
        Command::Expire(_) => "reap",
        Command::Signal(signal) => match signal.signal {
            EntitySignal::Stop => "STOP",
            EntitySignal::Cont => "CONT",
            EntitySignal::Term => "TERM",
            EntitySignal::Kill => "KILL",
        },
    }
}

fn name_of_answer(answer: &Answer) -> &'static str {
    match answer {
        Answer::Minted(minted) if minted.reminted => "minted again",
        Answer::Minted(_) => "minted",
        Answer::Ended(ended) if ended.already_ended => "had ended",
        Answer::Ended(_) => "ended",
        Answer::Signaled(signaled) if signaled.changed => "changed",
        Answer::Signaled(_) => "holds already",
        Answer::Expiry(Expiry::Expired { .. }) => "expired",
        Answer::Expiry(Expiry::NotDue) => "not due",
        Answer::Expiry(Expiry::AlreadyEnded) => "had ended",
    }
}

fn name_of_refusal(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::ClaimNotFound => "not found",
        Refusal::EntityNotFound => "no entity",
        Refusal::AlreadyClaimed { .. } => "already claimed",
        Refusal::IdentityInUse { .. } => "identity in use",
        Refusal::EpochFenced { .. } => "fenced",
        Refusal::EntityNotClaimable(_) => "not claimable",
        Refusal::EntityTerminal(_) => "terminal",
        Refusal::SignalNotApplicable(_) => "not applicable",
        Refusal::ClaimSuperseded { .. } => "superseded",
        Refusal::ClaimEnded { .. } => "had ended",
        Refusal::CeilingReached => "ceiling reached",
        Refusal::LeaseLapsed => "lapsed",
        Refusal::WriteTokenInvalid => "wrong token",
    }
}

/// All that can be met: what may be answered, and the tables of states and of signals. (That there is
/// no such entity is no decision's answer; reads give it.)
const EVERYTHING: &str = "
mint: minted; minted again; not claimable; had ended; superseded; identity in use; already claimed
mint: fenced; ceiling reached
mint, claim: none -> active; active -> superseded; active -> expired
mint, entity: idle -> running
heartbeat: renewed; renewed, had lapsed; not found; wrong token; had ended; superseded
heartbeat: ceiling reached
done: ended; had ended; not found; wrong token
done, claim: active -> released; active -> failed; superseded -> released; superseded -> failed
done, entity: running -> idle; stopping -> stopped
revoke: ended; had ended; not found
revoke, claim: active -> revoked; superseded -> revoked
revoke, entity: running -> idle; stopping -> stopped
reap: expired; not due; had ended; not found
reap, claim: active -> expired; superseded -> expired
reap, entity: running -> idle; stopping -> stopped
STOP: changed; holds already; not applicable; terminal
STOP, entity: idle -> paused; running -> paused
CONT: changed; holds already; not applicable; terminal
CONT, entity: paused -> running; paused -> idle
TERM: changed; holds already; terminal
TERM, entity: running -> stopping; paused -> stopping; idle -> stopped; paused -> stopped
KILL: changed; holds already; terminal
KILL, claim: active -> revoked; superseded -> revoked
KILL, entity: idle -> killed; running -> killed; paused -> killed; stopping -> killed
write: allowed; lapsed; wrong token
prune, claim: active -> left; superseded -> left
prune, claim: released -> gone; failed -> gone; expired -> gone; revoked -> gone
";

/// Each of these in words.
pub(crate) fn everything() -> BTreeSet<String> {
    let lines = EVERYTHING.lines().filter_map(|line| line.split_once(": "));
    lines.flat_map(|(call, all)| all.split("; ").map(move |one| format!("{call}: {one}"))).collect()
}

/// Situations that a scope must lead to, beside these steps.
pub(crate) fn of(scope: &Scope) -> Vec<Property<Machine>> {
    let mut situations = vec![];
    let mut meets = |when: bool, name, condition: fn(&Machine, &State) -> bool| {
        if when && scope.end == End::Never {
            situations.push(Property::sometimes(name, condition));
        }
    };
    meets(true, "a lapsed claim is left as it is", |_, state| {
        holder(state).is_some_and(|row| row.lease.expires < 0)
    });
    meets(scope.fences > 1, "a claim is minted again", |_, state| {
        state.claims.len() == 1 && holder(state).is_some_and(|row| row.fence > 1)
    });
    meets(
        scope.authorities > 1,
        "an entity moves to an authority that begins lower",
        |_, state| {
            let [_, one, two] = state.marks[0];
            one > two && two > 0 && holder(state).is_some_and(|row| row.authority == 2)
        },
    );
    meets(scope.outages, "an outage protects a lapsed claim", |_, state| {
        let outage = state.signed.is_none_or(|(_, resumed_age)| resumed_age < 2);
        outage && holder(state).is_some_and(|row| row.lease.expires < 0)
    });
    meets(!scope.signals.is_empty(), "KILL reaches a superseded claim", |_, state| {
        let revoked =
            |row: &ClaimRow| row.state == ClaimState::Revoked && row.superseded_by.is_some();
        state.entities[0].state == EntityState::Killed && state.claims.iter().any(revoked)
    });
    meets(!scope.signals.is_empty(), "a holder is told to stop", |_, state| {
        holder(state).is_some_and(|row| row.lease.stop)
    });
    meets(scope.restore, "a claim is minted after a restore", |_, state| {
        state.floor > 0 && holder(state).is_some()
    });
    situations
}

fn holder(state: &State) -> Option<&ClaimRow> {
    state.claims.iter().find(|row| row.state == ClaimState::Active)
}
