//! What every other call must answer: heartbeat, done, revoke, signal, expire.

use super::{Asked, Kept, ceiling_reached, lost, renewed, require, violation};
use crate::names::NOW;
use claims::domain::invariants::Violation;
use claims::domain::{
    Answer, Claim, ClaimState, Decision, Directive, Done, DoneOutcome, Ended, EntitySignal,
    EntityState, Expire, Expiry, Heartbeat, Refusal, Renewal, Revoke, Signal, TokenDigest,
};

impl Asked<'_> {
    pub(crate) fn check_heartbeat(
        &self,
        beat: &Heartbeat,
        outcome: Result<&(Claim, Renewal), &Refusal>,
    ) -> Kept {
        let row = self.before.claims.get(&beat.id);
        let refusal = no_such_claim(row, beat.token.as_ref())
            .or_else(|| row.and_then(lost))
            .or_else(|| row.is_some_and(ceiling_reached).then_some(Refusal::CeilingReached));
        let (claim, renewal) = match (outcome, &refusal) {
            (Err(told), Some(expected)) => {
                let problem = "a heartbeat refused for another reason";
                return require(told == expected, rule_of(expected), problem);
            }
            (Err(_), None) => {
                return Err(violation("H3", "the heartbeat of a holder was refused"));
            }
            (Ok(_), Some(expected)) => {
                return Err(violation(rule_of(expected), "a heartbeat that must be refused"));
            }
            (Ok(accepted), None) => accepted,
        };
        let Some(old) = row else {
            return Err(violation("H1", "a heartbeat of no claim was accepted"));
        };
        let lease = &claim.lease;
        let exact = lease.expires_at == renewed(old, beat.ttl)
            && lease.heard_at == NOW
            && lease.last_heartbeat_at == Some(NOW)
            && renewal.expires_at == lease.expires_at;
        require(exact, "H2", "a lease that is not what a heartbeat gives")?;
        let lapsed = renewal.had_lapsed == (old.lease.expires_at <= NOW);
        require(lapsed, "H3", "the holder is told wrongly whether its lease had lapsed")?;
        let state = self.before.entity(&old.entity_key()).state;
        let asked = matches!(state, EntityState::Paused | EntityState::Stopping);
        let told = (renewal.directive == Directive::Stop) == asked;
        require(told, "H5", "the holder is not told to stop, or told without reason")?;
        require(renewal.remaining == lease.expires_at.since(NOW), "H5", "another time remains")
    }

    pub(super) fn check_done(&self, done: &Done, outcome: Result<&Decision, &Refusal>) -> Kept {
        let row = self.before.claims.get(&done.id);
        if let Some(expected) = no_such_claim(row, done.token.as_ref()) {
            let rule = if row.is_some() { "D2" } else { "D1" };
            return require(outcome.err() == Some(&expected), rule, "a done that must be refused");
        }
        let state = match done.outcome {
            DoneOutcome::Completed => ClaimState::Released,
            DoneOutcome::Failed => ClaimState::Failed,
        };
        let Some(old) = row else {
            return Ok(());
        };
        let ended = self.check_ended(old, state, outcome)?;
        let recorded = match &old.ending {
            Some(ending) => ending.acked_streams.as_ref() == Some(&done.acked_streams),
            None => true,
        };
        require(ended.acks_recorded == recorded, "D5", "told wrongly whether the acks are stored")
    }

    pub(super) fn check_revoke(
        &self,
        revoke: &Revoke,
        outcome: Result<&Decision, &Refusal>,
    ) -> Kept {
        let Some(old) = self.before.claims.get(&revoke.id) else {
            let expected = Some(&Refusal::ClaimNotFound);
            return require(outcome.err() == expected, "D1", "a revoke of no claim was accepted");
        };
        self.check_ended(old, ClaimState::Revoked, outcome).map(|_| ())
    }

    /// D5, D6: a live claim ends, whatever its lease; one that has ended stays, and the caller is told.
    fn check_ended<'a>(
        &self,
        old: &Claim,
        state: ClaimState,
        outcome: Result<&'a Decision, &Refusal>,
    ) -> Result<&'a Ended, Violation> {
        let Ok(Decision { answer: Answer::Ended(ended), .. }) = outcome else {
            let rule = if old.ending.is_some() { "D5" } else { "D6" };
            return Err(violation(rule, "the end of a claim was refused"));
        };
        let first = ended.already_ended == old.ending.is_some();
        require(first, "D5", "told wrongly whether it had ended before")?;
        if old.ending.is_some() {
            require(ended.claim == *old, "D5", "the first ending does not win")?;
        } else {
            require(ended.claim.state == state, "D5", "ended in another state")?;
        }
        require(self.is_stored(&ended.claim), "D3", "another claim is stored than was answered")?;
        Ok(ended)
    }

    pub(super) fn check_expire(
        &self,
        expire: &Expire,
        outcome: Result<&Decision, &Refusal>,
    ) -> Kept {
        let told = match outcome {
            Ok(Decision { answer: Answer::Expiry(expiry), .. }) => expiry,
            Ok(_) => return Err(violation("R1", "an expire answered otherwise")),
            Err(refusal) => {
                let gone = !self.before.claims.contains_key(&expire.id)
                    && *refusal == Refusal::ClaimNotFound;
                return require(gone, "R5", "the reaper was refused a claim that is there");
            }
        };
        let Some(old) = self.before.claims.get(&expire.id) else {
            return Err(violation("R5", "a claim was reaped that is not there"));
        };
        let due_at = self.takeable_at(old) + expire.reap_grace;
        let live = matches!(old.state, ClaimState::Active | ClaimState::Superseded);
        match (live, due_at <= NOW, told) {
            (false, _, Expiry::AlreadyEnded) | (true, false, Expiry::NotDue) => Ok(()),
            (true, true, Expiry::Expired { due_at: told, expired_at }) => {
                let exact = *told == due_at && *expired_at == NOW;
                require(exact, "R1", "another time from which the claim was due")
            }
            (true, true, _) => Err(violation("R5", "the reaper left a claim that is due")),
            (true, false, _) => Err(violation("R1", "the reaper ended a claim that is not due")),
            (false, _, _) => Err(violation("I4", "the reaper ended a claim that had ended")),
        }
    }

    /// The table of signals.
    pub(super) fn check_signal(
        &self,
        signal: &Signal,
        outcome: Result<&Decision, &Refusal>,
    ) -> Kept {
        use EntitySignal::{Cont, Kill, Stop, Term};
        use EntityState::{Idle, Killed, Paused, Running, Stopped, Stopping};
        let state = self.before.entity(&signal.entity).state;
        let has_claim = self.holder(&signal.entity).is_some();
        let expected = match (state, signal.signal) {
            (Killed, Kill) | (Stopped, Term) => Ok(state),
            (Killed | Stopped, _) => Err(Refusal::EntityTerminal(state)),
            (_, Kill) => Ok(Killed),
            (Stopping, Stop | Cont) => Err(Refusal::SignalNotApplicable(state)),
            (Stopping, Term) => Ok(Stopping),
            (Idle | Running | Paused, Stop) => Ok(Paused),
            (Idle | Running, Cont) => Ok(state),
            (Paused, Cont) => Ok(if has_claim { Running } else { Idle }),
            (Idle | Running | Paused, Term) => Ok(if has_claim { Stopping } else { Stopped }),
        };
        match (expected, outcome) {
            (Err(expected), Err(told)) => {
                require(expected == *told, "I9", "a signal refused for another reason")
            }
            (Ok(expected), Ok(Decision { answer: Answer::Signaled(told), .. })) => {
                let exact = told.entity.state == expected && told.changed == (expected != state);
                require(exact, "signals", "a signal with another effect")
            }
            _ => Err(violation("signals", "accepted for refused, or the other way about")),
        }
    }
}

/// The rule by which a heartbeat is refused.
fn rule_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::WriteTokenInvalid => "H7",
        Refusal::CeilingReached => "H4",
        _ => "H1",
    }
}

/// D1, D2, H7: no such claim, or not its token.
fn no_such_claim(row: Option<&Claim>, token: Option<&TokenDigest>) -> Option<Refusal> {
    let Some(claim) = row else {
        return Some(Refusal::ClaimNotFound);
    };
    let wrong = token.is_some_and(|token| *token != claim.token_digest);
    wrong.then_some(Refusal::WriteTokenInvalid)
}
