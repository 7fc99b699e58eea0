//! Each call: asked, answered, checked, and told to the history.

use super::super::history::Checked;
use super::{Play, held};
use claims::domain::authorize::{Writer, authorize};
use claims::domain::heartbeat::heartbeat;
use claims::domain::invariants::{Step, check_authorization, check_step};
use claims::domain::{
    Answer, ClaimId, ClaimState, Command, Decision, Done, EntityKey, EntityState, EventType,
    Expire, Expiry, Heartbeat, Mint, Minted, Refusal, StreamPath, TenantId, TokenDigest, decide,
};
use proptest::prelude::*;
use std::time::Duration;

impl Play {
    /// Decides, checks the step, and moves the world on.
    pub(super) fn command(
        &mut self,
        command: &Command,
        name: &str,
    ) -> Checked<Result<Decision, Refusal>> {
        let before = self.world.clone();
        let outcome = decide(&before, command, self.now);
        match &outcome {
            Ok(decision) => {
                self.world.apply(&decision.changes);
                if decision.events.is_empty() {
                    prop_assert!(decision.changes.is_empty(), "a change without an event");
                }
                if let Answer::Minted(minted) = &decision.answer
                    && let Command::Mint(mint) = command
                {
                    self.accepted(mint, minted)?;
                }
                for event in &decision.events {
                    self.met.insert(format!("event {}", event.event_type.as_str()));
                    let ends = matches!(
                        event.event_type,
                        EventType::Released
                            | EventType::Failed
                            | EventType::Expired
                            | EventType::Revoked
                    );
                    if let (true, Some((_, consumer, epoch))) = (ends, &event.claim) {
                        self.history.ended(&ClaimId {
                            tenant: event.entity.tenant.clone(),
                            consumer: consumer.clone(),
                            epoch: *epoch,
                        })?;
                    }
                }
            }
            Err(refusal) => {
                self.met.insert(format!("{name} refused: {}", kind_of(refusal)));
            }
        }
        let step = Step::Decided(command, outcome.as_ref());
        held(check_step(&before, &self.world, step, self.now))?;
        Ok(outcome)
    }

    fn accepted(&mut self, mint: &Mint, minted: &Minted) -> Checked {
        self.history.minted(mint, minted, self.world.liveness, self.now)?;
        let id = minted.claim.id.clone();
        let token = mint.token_digest;
        self.token_of.insert(id.clone(), token);
        let place = (mint.tenant.clone(), mint.stream.clone());
        self.tokens.push((place.0, place.1, id, token));
        let taken = minted.ended_predecessor.as_ref();
        if taken.is_some_and(|old| old.state == ClaimState::Expired) {
            self.met("mint took a takeable claim");
        }
        Ok(())
    }

    /// A mint; an accepted one is sent once more, as a caller does whose answer was lost.
    pub(super) fn mint(&mut self, mint: Mint) -> Checked {
        match self.command(&Command::Mint(mint.clone()), "mint")? {
            Ok(decision) => {
                let Answer::Minted(minted) = decision.answer else {
                    return Err(TestCaseError::fail("a mint answered otherwise"));
                };
                if !mint.request_id.is_empty() {
                    let again = decide(&self.world, &Command::Mint(mint.clone()), self.now);
                    let Ok(Answer::Minted(again)) = again.map(|again| again.answer) else {
                        return Err(TestCaseError::fail("a lost answer cannot be healed"));
                    };
                    prop_assert!(again.reminted);
                    prop_assert_eq!(again.claim.id, minted.claim.id);
                }
                self.mints.push(mint);
                Ok(())
            }
            Err(refusal) => self.check_mint_refusal(&mint, &refusal),
        }
    }

    /// A refusal has its reason in the history.
    fn check_mint_refusal(&self, mint: &Mint, refusal: &Refusal) -> Checked {
        let key = mint.entity_key();
        let record = self.world.liveness;
        let because = match refusal {
            Refusal::EntityNotClaimable(state) => {
                *state == self.world.entity(&key).state
                    && !matches!(state, EntityState::Idle | EntityState::Running)
            }
            Refusal::AlreadyClaimed { .. } => {
                self.history.is_held(&key, record, self.now) == Some(true)
            }
            Refusal::EpochFenced { highest } => {
                self.history.highest(&key, &mint.authority) == Some(*highest)
                    && mint.epoch.is_some_and(|given| given <= *highest)
            }
            Refusal::IdentityInUse { .. } | Refusal::CeilingReached => true,
            Refusal::ClaimEnded { .. } | Refusal::ClaimSuperseded { .. } => {
                mint.epoch.is_some() || !mint.request_id.is_empty()
            }
            _ => false,
        };
        prop_assert!(because, "{mint:?} was refused by {refusal:?}");
        Ok(())
    }

    /// An earlier mint again: while its claim is kept, there is never a second claim of it.
    pub(super) fn resend(&mut self, index: &prop::sample::Index) -> Checked {
        if self.mints.is_empty() {
            return Ok(());
        }
        let mint = Mint { token_digest: self.fresh_token(), ..index.get(&self.mints).clone() };
        let kept = self.world.claims.values().any(|claim| {
            let by_request = !mint.request_id.is_empty()
                && claim.request_id == mint.request_id
                && claim.entity_key() == mint.entity_key()
                && claim.id.consumer == mint.consumer;
            match mint.epoch {
                Some(_) => mint.given_id().as_ref() == Some(&claim.id),
                None => by_request && claim.id.tenant == mint.tenant,
            }
        });
        let count = self.world.claims.len();
        self.mint(mint)?;
        prop_assert!(!kept || self.world.claims.len() == count, "a second claim");
        Ok(())
    }

    pub(super) fn heartbeat(&mut self, beat: &Heartbeat) -> Checked {
        let before = self.world.clone();
        let outcome = heartbeat(before.claims.get(&beat.id), beat, self.now);
        let outcome = outcome.map(|(claim, renewal)| {
            self.world.claims.insert(claim.id.clone(), claim);
            renewal
        });
        let step = Step::Heartbeat(beat, outcome.as_ref());
        held(check_step(&before, &self.world, step, self.now))?;
        match outcome {
            Ok(renewal) => {
                self.history.renewed(beat, &renewal, self.now)?;
                if renewal.had_lapsed {
                    self.met("heartbeat renewed a lapsed lease");
                }
                if before.claims[&beat.id].lease.expires_at > renewal.expires_at {
                    self.met("heartbeat cut a lease far ahead");
                }
            }
            Err(refusal) => {
                let kind = kind_of(&refusal);
                self.met.insert(format!("heartbeat refused: {kind}"));
            }
        }
        Ok(())
    }

    /// A done; an accepted one is sent once more, as a caller does whose answer was lost.
    pub(super) fn done(&mut self, done: Done) -> Checked {
        let before = self.world.claims.get(&done.id).map(|claim| claim.state);
        let command = Command::Done(done);
        let Ok(decision) = self.command(&command, "done")? else {
            return Ok(());
        };
        let again = decide(&self.world, &command, self.now);
        let (Answer::Ended(first), Ok(again)) = (decision.answer, again) else {
            return Err(TestCaseError::fail("a done answered otherwise"));
        };
        prop_assert!(again.changes.is_empty() && again.events.is_empty());
        let Answer::Ended(again) = again.answer else {
            return Err(TestCaseError::fail("a done answered otherwise"));
        };
        prop_assert!(again.already_ended);
        prop_assert_eq!(&again.claim, &first.claim);
        prop_assert_eq!(again.acks_recorded, first.acks_recorded);
        prop_assert_eq!(again.entity_state, first.entity_state);
        if first.already_ended {
            self.met("done already ended");
        } else {
            prop_assert!(first.acks_recorded);
        }
        if before == Some(ClaimState::Superseded) {
            self.met("done of a superseded claim");
        }
        Ok(())
    }

    pub(super) fn expire(&mut self, id: &ClaimId, reap_grace: Duration) -> Checked<Option<Expiry>> {
        let command = Command::Expire(Expire { id: id.clone(), reap_grace });
        let was_live = self.history.is_live(id);
        let due = |play: &Self, expiry: &Expiry| {
            play.history.looked_at(id, reap_grace, expiry, play.world.liveness, play.now)
        };
        // The history is asked before it hears of the end.
        let announced = decide(&self.world, &command, self.now);
        if let Ok(Answer::Expiry(expiry)) = announced.map(|decision| decision.answer) {
            due(self, &expiry)?;
        }
        let Ok(decision) = self.command(&command, "expire")? else {
            return Ok(None);
        };
        let Answer::Expiry(expiry) = decision.answer else {
            return Err(TestCaseError::fail("an expire answered otherwise"));
        };
        match expiry {
            Expiry::Expired { .. } => prop_assert!(was_live),
            Expiry::NotDue => self.met("expire not due"),
            Expiry::AlreadyEnded => self.met("expire already ended"),
        }
        Ok(Some(expiry))
    }

    pub(super) fn write(
        &mut self,
        tenant: &TenantId,
        stream: &StreamPath,
        token: &TokenDigest,
    ) -> Checked {
        let key = EntityKey { tenant: tenant.clone(), url: stream.entity() };
        let entity = self.world.entity(&key);
        let current = self.world.current_claim(&key);
        let writer = Writer::of(&entity, current);
        let outcome = authorize(writer.as_ref(), stream, token, self.now);
        let asked = outcome.as_ref();
        held(check_authorization(&self.world, tenant, stream, token, asked, self.now))?;
        self.history.write(&key, stream, token, asked, self.now)?;
        match &outcome {
            Ok(_) => self.met("write allowed"),
            Err(refusal) => {
                let kind = kind_of(refusal);
                self.met.insert(format!("write refused: {kind}"));
            }
        }
        Ok(())
    }
}

fn kind_of(refusal: &Refusal) -> String {
    let whole = format!("{refusal:?}");
    let end = whole.find(|c: char| !c.is_alphanumeric());
    whole[..end.unwrap_or(whole.len())].to_owned()
}
