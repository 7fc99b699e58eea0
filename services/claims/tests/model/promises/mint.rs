//! What a mint must answer: M1 … M5, in their order.

use super::{Asked, Kept, ceiling_reached, lost, renewed, require, violation};
use crate::names::NOW;
use claims::domain::{
    Answer, Claim, ClaimId, ClaimState, Command, Decision, EntityState, Epoch, Mint, Minted,
    Refusal,
};

/// What the rules say of a mint.
enum Expected {
    Refused(Refusal),
    /// The same claim once more, with this lease and the next fence.
    Again(ClaimId),
    /// A new claim.
    New(Epoch),
}

impl Asked<'_> {
    pub(super) fn check_mint(&self, mint: &Mint, outcome: Result<&Decision, &Refusal>) -> Kept {
        let minted = match outcome {
            Ok(Decision { answer: Answer::Minted(minted), .. }) => Ok(minted),
            Ok(_) => return Err(violation("M1", "a mint answered otherwise")),
            Err(refusal) => Err(refusal),
        };
        match (self.expected(mint), minted) {
            (Expected::Refused(expected), Err(refusal)) => {
                let problem = "a mint refused for another reason";
                require(expected == *refusal, rule_of(&expected), problem)
            }
            (Expected::Refused(expected), Ok(_)) => {
                Err(violation(rule_of(&expected), "a mint accepted that must be refused"))
            }
            (Expected::Again(_), Err(_)) => Err(violation("M2", "a lost answer cannot be healed")),
            (Expected::New(_), Err(_)) => {
                let rule = self.holder(&mint.entity_key()).map_or("M3", |old| self.taking(old));
                Err(violation(rule, "a mint kept out by nobody"))
            }
            (Expected::Again(id), Ok(minted)) => self.check_again_minted(mint, &id, minted),
            (Expected::New(epoch), Ok(minted)) => self.check_new(mint, epoch, minted),
        }
    }

    /// A mint that was accepted is sent again at once, as by a caller whose answer was lost.
    pub(crate) fn check_again(
        &self,
        command: &Command,
        outcome: Result<&Decision, &Refusal>,
        again: Result<&Decision, &Refusal>,
    ) -> Kept {
        let (Command::Mint(mint), Ok(Decision { answer: Answer::Minted(first), .. })) =
            (command, outcome)
        else {
            return Ok(());
        };
        if mint.request_id.is_empty() {
            return Ok(());
        }
        let healed = matches!(
            again,
            Ok(Decision { answer: Answer::Minted(second), .. })
                if second.reminted && second.claim.id == first.claim.id
        );
        require(healed, "M2", "a retry after a lost answer is not the same claim")
    }

    fn expected(&self, mint: &Mint) -> Expected {
        let key = mint.entity_key();
        let state = self.before.entity(&key).state;
        if !matches!(state, EntityState::Idle | EntityState::Running) {
            return Expected::Refused(Refusal::EntityNotClaimable(state));
        }
        if let Some(named) = self.named(mint) {
            return self.expected_of_named(mint, named);
        }
        let holder = self.holder(&key);
        let highest = self.highest_promised(&key, &mint.authority);
        let epoch = match (mint.epoch, highest) {
            (None, highest) => {
                let kept = self.before.claims.keys().filter(|id| id.consumer == mint.consumer);
                let highest = kept.map(|id| id.epoch).max().max(highest);
                let next = highest.map_or(1, |epoch| epoch.get() + 1);
                Epoch::parse(next).expect("far below the top of the range")
            }
            (Some(given), Some(highest)) if given < highest => {
                return Expected::Refused(Refusal::EpochFenced { highest });
            }
            (Some(given), Some(highest)) if given == highest => {
                let has_it = holder
                    .filter(|claim| claim.authority == mint.authority && claim.id.epoch == given)
                    .filter(|claim| !self.is_takeable(claim));
                let refusal = match has_it {
                    Some(claim) => self.already_claimed(claim),
                    None => Refusal::EpochFenced { highest },
                };
                return Expected::Refused(refusal);
            }
            (Some(given), _) => given,
        };
        match holder {
            Some(claim) if !self.is_takeable(claim) && !may_displace(mint, claim) => {
                Expected::Refused(self.already_claimed(claim))
            }
            _ => Expected::New(epoch),
        }
    }

    /// M2: the kept claim that a request names.
    fn named(&self, mint: &Mint) -> Option<&Claim> {
        let mine = self.before.claims.values().filter(|claim| claim.id.consumer == mint.consumer);
        if let Some(epoch) = mint.epoch {
            return mine.into_iter().find(|claim| claim.id.epoch == epoch);
        }
        mine.filter(|claim| claim.entity == mint.entity && !mint.request_id.is_empty())
            .filter(|claim| claim.request_id == mint.request_id)
            .max_by_key(|claim| claim.fence)
    }

    fn expected_of_named(&self, mint: &Mint, named: &Claim) -> Expected {
        if let Some(refusal) = lost(named) {
            return Expected::Refused(refusal);
        }
        let same_place = named.entity == mint.entity
            && named.stream == mint.stream
            && named.authority == mint.authority;
        if !same_place {
            return Expected::Refused(Refusal::IdentityInUse { entity: named.entity.clone() });
        }
        let same_caller = if mint.request_id.is_empty() || named.request_id.is_empty() {
            !mint.runner_id.is_empty() && mint.runner_id == named.runner_id
        } else {
            mint.request_id == named.request_id
        };
        if !same_caller {
            let highest = self.highest_promised(&named.entity_key(), &named.authority);
            return Expected::Refused(if self.is_takeable(named) {
                Refusal::EpochFenced { highest: highest.unwrap_or(named.id.epoch) }
            } else {
                self.already_claimed(named)
            });
        }
        if ceiling_reached(named) {
            return Expected::Refused(Refusal::CeilingReached);
        }
        Expected::Again(named.id.clone())
    }

    fn already_claimed(&self, claim: &Claim) -> Refusal {
        Refusal::AlreadyClaimed {
            holder: claim.id.consumer.clone(),
            epoch: claim.id.epoch,
            takeable_in: self.takeable_at(claim).since(NOW),
        }
    }

    fn check_again_minted(&self, mint: &Mint, id: &ClaimId, minted: &Minted) -> Kept {
        let claim = &minted.claim;
        let same = minted.reminted && claim.id == *id && minted.ended_predecessor.is_none();
        require(same, "M2", "a retry made another claim")?;
        let old = &self.before.claims[id];
        let lease = claim.lease.expires_at == renewed(old, mint.asked_ttl)
            && claim.lease.heard_at == NOW
            && claim.lease.ceiling_at == old.lease.ceiling_at;
        require(lease, "M2", "a retry did not renew the lease as a heartbeat does")?;
        require(self.is_stored(claim), "M2", "another claim is stored than was answered")?;
        self.check_numbers(mint, claim)
    }

    fn check_new(&self, mint: &Mint, epoch: Epoch, minted: &Minted) -> Kept {
        let claim = &minted.claim;
        let asked = !minted.reminted && claim.id == mint.id_with(epoch);
        require(asked, "M3", "a claim under another identity")?;
        self.check_numbers(mint, claim)?;
        let ceiling = mint.max_duration.map(|max| NOW + max);
        let wished = NOW + mint.ttl.get();
        let lease = claim.lease.ceiling_at == ceiling
            && claim.lease.expires_at == ceiling.map_or(wished, |ceiling| wished.min(ceiling))
            && claim.lease.heard_at == NOW;
        require(lease, "M6", "a first lease of another length")?;
        require(self.is_stored(claim), "M6", "another claim is stored than was answered")?;

        let holder = self.holder(&mint.entity_key());
        let taken = minted.ended_predecessor.as_ref();
        let same = holder.map(|claim| &claim.id) == taken.map(|claim| &claim.id);
        let rule = holder.map_or("M4", |claim| self.taking(claim));
        require(same, rule, "another claim made room")?;
        let (Some(holder), Some(taken)) = (holder, taken) else {
            return Ok(());
        };
        let state =
            if self.is_takeable(holder) { ClaimState::Expired } else { ClaimState::Superseded };
        require(taken.state == state, rule, "superseded for expired, or the other way about")
    }

    /// The rule by which somebody may take over from a holder.
    fn taking(&self, holder: &Claim) -> &'static str {
        if self.is_takeable(holder) { "M5" } else { "M4" }
    }

    /// I6 over all that was ever promised, whatever the rows say by now; and the caller's own token.
    fn check_numbers(&self, mint: &Mint, claim: &Claim) -> Kept {
        let number = self.names.entity_number(&mint.entity_key());
        let promised = self.state.promised[usize::from(number)].fence;
        let risen = claim.fence.get() == i64::from(promised) + 1;
        require(risen, "I6", "a fence that is not the next of all ever handed out")?;
        require(
            claim.token_digest == mint.token_digest,
            "M2",
            "the caller's token is not the claim's",
        )
    }
}

/// The rule by which a mint is refused.
fn rule_of(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::EntityNotClaimable(_) => "M1",
        Refusal::EpochFenced { .. } => "M3",
        Refusal::AlreadyClaimed { .. } => "M4",
        _ => "M2",
    }
}

/// M4.
fn may_displace(mint: &Mint, holder: &Claim) -> bool {
    mint.supersede || (mint.epoch.is_some() && mint.authority == holder.authority)
}
