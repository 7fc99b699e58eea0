//! An account of a play that is kept from requests and answers alone, never from rows: who holds
//! each entity, with which token and to when, and which numbers were given out.
//!
//! It restates W1, H2, *takeable* and I6 in its own words; what it expects must be what the domain
//! answers.

use claims::domain::{
    Authority, Authorization, ClaimId, EntityKey, Epoch, Expiry, Fence, Heartbeat, Liveness, Mint,
    Minted, Refusal, Renewal, StreamPath, Timestamp, TokenDigest,
};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;

const TEN_MINUTES: Duration = Duration::from_secs(600);
const FIVE_SECONDS: Duration = Duration::from_secs(5);

/// What a property returns.
pub(crate) type Checked<T = ()> = Result<T, TestCaseError>;

/// The life of one claim.
#[derive(Clone, Debug)]
struct Life {
    entity: EntityKey,
    lease_to: Timestamp,
    heard_at: Timestamp,
    own_ttl: Duration,
    ceiling: Option<Timestamp>,
    ended: bool,
}

/// Who may write to an entity.
#[derive(Clone, Debug)]
struct Holder {
    id: ClaimId,
    stream: StreamPath,
    token: TokenDigest,
}

/// See the module's own words.
#[derive(Debug, Default)]
pub(crate) struct History {
    lives: BTreeMap<ClaimId, Life>,
    holders: BTreeMap<EntityKey, Holder>,
    fences: BTreeMap<EntityKey, Fence>,
    epochs: BTreeMap<(EntityKey, Authority), Epoch>,
}

impl History {
    /// A mint was accepted: numbers rise, one predecessor at most made room, and by right.
    pub(crate) fn minted(
        &mut self,
        mint: &Mint,
        minted: &Minted,
        record: Option<Liveness>,
        now: Timestamp,
    ) -> Checked {
        let key = mint.entity_key();
        let claim = &minted.claim;
        let highest = self.fences.insert(key.clone(), claim.fence);
        prop_assert!(highest < Some(claim.fence), "a fence given out twice");
        if minted.reminted {
            let holder = self.holders.get_mut(&key);
            let Some(holder) = holder.filter(|holder| holder.id == claim.id) else {
                return Err(TestCaseError::fail("minted again, but not the holder"));
            };
            holder.token = mint.token_digest;
            let ttl = mint.asked_ttl.map(claims::domain::LeaseTtl::get);
            let expected = self.renew(&claim.id, ttl, now)?;
            prop_assert_eq!(claim.lease.expires_at, expected);
            return Ok(());
        }
        let numbering = (key.clone(), mint.authority.clone());
        let highest = self.epochs.insert(numbering, claim.id.epoch);
        prop_assert!(highest < Some(claim.id.epoch), "an epoch given out twice");
        if let Some(given) = mint.epoch {
            prop_assert_eq!(given, claim.id.epoch);
        }

        let predecessor = self.holders.remove(&key);
        let named = minted.ended_predecessor.as_ref().map(|old| &old.id);
        prop_assert_eq!(named, predecessor.as_ref().map(|old| &old.id));
        if let Some(old) = &minted.ended_predecessor {
            let takeable = self.takeable_at(&old.id, record, now) <= now;
            let expired = !old.state.is_live();
            prop_assert_eq!(takeable, expired, "M4 is for claims that M5 is not for");
            if !expired {
                let by_epoch = mint.epoch.is_some() && mint.authority == old.authority;
                prop_assert!(by_epoch || mint.supersede, "displaced without a right");
            }
        }

        let ceiling = mint.max_duration.map(|max| now + max);
        let wished = now + mint.ttl.get();
        let life = Life {
            entity: key.clone(),
            lease_to: ceiling.map_or(wished, |ceiling| ceiling.min(wished)),
            heard_at: now,
            own_ttl: mint.ttl.get(),
            ceiling,
            ended: false,
        };
        let unused = self.lives.insert(claim.id.clone(), life).is_none_or(|before| before.ended);
        prop_assert!(unused, "an identity used twice while its claim lives");
        let holder =
            Holder { id: claim.id.clone(), stream: mint.stream.clone(), token: mint.token_digest };
        self.holders.insert(key, holder);
        Ok(())
    }

    /// A heartbeat was accepted: exactly the lease that H2 says.
    pub(crate) fn renewed(
        &mut self,
        beat: &Heartbeat,
        renewal: &Renewal,
        now: Timestamp,
    ) -> Checked {
        let life = self.life(&beat.id)?;
        let holds = self.holders.get(&life.entity).is_some_and(|holder| holder.id == beat.id);
        prop_assert!(holds, "renewed, but not the holder");
        prop_assert_eq!(renewal.had_lapsed, life.lease_to <= now);
        let ttl = beat.ttl.map(claims::domain::LeaseTtl::get);
        let expected = self.renew(&beat.id, ttl, now)?;
        prop_assert_eq!(renewal.expires_at, expected);
        Ok(())
    }

    /// The event of an end was written; R5: one for each claim.
    pub(crate) fn ended(&mut self, id: &ClaimId) -> Checked {
        let Some(life) = self.lives.get_mut(id) else {
            return Err(TestCaseError::fail("an end of a claim that never was"));
        };
        prop_assert!(!life.ended, "a claim ended twice");
        life.ended = true;
        let entity = life.entity.clone();
        if self.holders.get(&entity).is_some_and(|holder| holder.id == *id) {
            self.holders.remove(&entity);
        }
        Ok(())
    }

    /// The reaper's answer is R1's.
    pub(crate) fn looked_at(
        &self,
        id: &ClaimId,
        reap_grace: Duration,
        expiry: &Expiry,
        record: Option<Liveness>,
        now: Timestamp,
    ) -> Checked {
        let due_at = self.takeable_at(id, record, now) + reap_grace;
        let expected = match self.life(id)? {
            life if life.ended => Expiry::AlreadyEnded,
            _ if due_at > now => Expiry::NotDue,
            _ => Expiry::Expired { due_at, expired_at: now },
        };
        prop_assert_eq!(expiry, &expected);
        Ok(())
    }

    /// I5, W1 and W3: what a write with that token must be answered.
    pub(crate) fn write(
        &self,
        key: &EntityKey,
        stream: &StreamPath,
        token: &TokenDigest,
        outcome: Result<&Authorization, &Refusal>,
        now: Timestamp,
    ) -> Checked {
        let holder = self
            .holders
            .get(key)
            .filter(|holder| holder.stream == *stream && holder.token == *token);
        let Some(holder) = holder else {
            prop_assert_eq!(outcome, Err(&Refusal::WriteTokenInvalid));
            return Ok(());
        };
        if self.life(&holder.id)?.lease_to <= now {
            prop_assert_eq!(outcome, Err(&Refusal::LeaseLapsed));
        } else {
            let allowed = outcome.is_ok_and(|allowed| allowed.id == holder.id);
            prop_assert!(allowed, "the holder may not write: {:?}", outcome);
        }
        Ok(())
    }

    /// Whether the entity's claim keeps a newcomer out; none if nobody holds it.
    pub(crate) fn is_held(
        &self,
        key: &EntityKey,
        record: Option<Liveness>,
        now: Timestamp,
    ) -> Option<bool> {
        let holder = self.holders.get(key)?;
        Some(self.takeable_at(&holder.id, record, now) > now)
    }

    /// Whether the holder's lease has lapsed.
    pub(crate) fn has_lapsed(&self, key: &EntityKey, now: Timestamp) -> bool {
        self.holders
            .get(key)
            .and_then(|holder| self.lives.get(&holder.id))
            .is_some_and(|life| life.lease_to <= now)
    }

    /// The highest epoch given out.
    pub(crate) fn highest(&self, key: &EntityKey, authority: &Authority) -> Option<Epoch> {
        self.epochs.get(&(key.clone(), authority.clone())).copied()
    }

    /// Whether the claim has a lease still.
    pub(crate) fn is_live(&self, id: &ClaimId) -> bool {
        self.lives.get(id).is_some_and(|life| !life.ended)
    }

    /// Every identity that ever was.
    pub(crate) fn identities(&self) -> Vec<ClaimId> {
        self.lives.keys().cloned().collect()
    }

    fn life(&self, id: &ClaimId) -> Checked<&Life> {
        self.lives.get(id).ok_or_else(|| TestCaseError::fail("a claim that never was"))
    }

    /// H2 and its clock rule.
    fn renew(&mut self, id: &ClaimId, ttl: Option<Duration>, now: Timestamp) -> Checked<Timestamp> {
        let Some(life) = self.lives.get_mut(id) else {
            return Err(TestCaseError::fail("a claim that never was"));
        };
        prop_assert!(life.ceiling.is_none_or(|end| now < end), "beyond the ceiling");
        let mut lease_to = now + ttl.unwrap_or(life.own_ttl);
        if let Some(ceiling) = life.ceiling {
            lease_to = lease_to.min(ceiling);
        }
        let furthest = now + TEN_MINUTES;
        let kept = if life.lease_to > furthest { furthest } else { life.lease_to };
        life.lease_to = lease_to.max(kept);
        life.heard_at = now;
        Ok(life.lease_to)
    }

    /// *Takeable* and *resumed*, word for word.
    fn takeable_at(&self, id: &ClaimId, record: Option<Liveness>, now: Timestamp) -> Timestamp {
        let Some(life) = self.lives.get(id) else {
            return now;
        };
        let grace = record.map_or(Duration::from_secs(30), |liveness| liveness.outage_grace);
        let resumed = match record {
            Some(liveness)
                if liveness.last_signed_at + FIVE_SECONDS >= now
                    && liveness.last_signed_at <= now + FIVE_SECONDS =>
            {
                liveness.resumed_at
            }
            _ => now,
        };
        if grace > Duration::ZERO && life.heard_at < resumed {
            life.lease_to.max(resumed + grace)
        } else {
            life.lease_to
        }
    }
}
