//! The rows that a decision depends on, as one transaction holds them.
//!
//! The store fills a world with what it has locked; the property tests and a model checker hold
//! the whole of a small one. Either way [`decide`](super::decide::decide) reads it and
//! [`World::apply`] moves it on, so that each command of a batch sees the one before.

use super::claim::{Claim, ClaimId};
use super::decide::Change;
use super::entity::{Entity, EntityKey};
use super::epoch::{Epoch, NumberFloor};
use super::liveness::LivenessRecord;
use super::names::{Authority, ConsumerId, RequestId, TenantId};
use std::collections::BTreeMap;

/// Where epochs are counted: within one authority of one entity.
pub type MarkKey = (EntityKey, Authority);

/// The rows that matter. See the module's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct World {
    /// Entities; an absent one was never named.
    pub entities: BTreeMap<EntityKey, Entity>,
    /// Claims by identity: at least every live one of the entities concerned and every one that
    /// a command names.
    pub claims: BTreeMap<ClaimId, Claim>,
    /// Highest epoch ever accepted; outlives all clean-up (T2).
    pub marks: BTreeMap<MarkKey, Epoch>,
    /// Highest epoch among the kept claims of a consumer, those not in `claims` included (M3).
    pub consumer_epochs: BTreeMap<(TenantId, ConsumerId), Epoch>,
    /// When the service was last able to hear a heartbeat (R6).
    pub liveness: LivenessRecord,
    /// Above which entities and epochs that are not there are numbered (I6, after a restore).
    pub floor: NumberFloor,
}

impl World {
    /// The entity, or an unseen one.
    #[must_use]
    pub fn entity(&self, key: &EntityKey) -> Entity {
        self.entities.get(key).cloned().unwrap_or_else(|| Entity::unseen(self.floor))
    }

    /// The entity's current claim.
    #[must_use]
    pub fn current_claim(&self, key: &EntityKey) -> Option<&Claim> {
        let id = self.entities.get(key)?.current_id(&key.tenant)?;
        self.claims.get(&id)
    }

    /// The newest by fence of the consumer's claims of the entity that carry the request id (M2).
    #[must_use]
    pub fn newest_by_request(
        &self,
        key: &EntityKey,
        consumer: &ConsumerId,
        request_id: &RequestId,
    ) -> Option<&Claim> {
        self.claims_of(&key.tenant, consumer)
            .filter(|claim| claim.entity == key.url && claim.request_id == *request_id)
            .max_by_key(|claim| claim.fence)
    }

    /// The highest epoch among the kept claims of a consumer (M3).
    #[must_use]
    pub fn highest_epoch_of(&self, tenant: &TenantId, consumer: &ConsumerId) -> Option<Epoch> {
        let beyond = self.consumer_epochs.get(&(tenant.clone(), consumer.clone())).copied();
        self.claims_of(tenant, consumer).map(|claim| claim.id.epoch).max().max(beyond)
    }

    /// The highest epoch ever accepted for an entity and authority (M3).
    #[must_use]
    pub fn mark(&self, key: &EntityKey, authority: &Authority) -> Option<Epoch> {
        self.marks.get(&(key.clone(), authority.clone())).copied()
    }

    /// Every live claim of the entity, oldest fence first.
    #[must_use]
    pub fn live_claims(&self, key: &EntityKey) -> Vec<&Claim> {
        let mut live: Vec<&Claim> = self
            .claims
            .values()
            .filter(|claim| claim.id.tenant == key.tenant && claim.entity == key.url)
            .filter(|claim| claim.state.is_live())
            .collect();
        live.sort_by_key(|claim| (claim.fence, claim.id.clone()));
        live
    }

    /// The world after a decision.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Entity(key, entity) => {
                    self.entities.insert(key.clone(), entity.clone());
                }
                Change::Claim(claim) => {
                    self.claims.insert(claim.id.clone(), (**claim).clone());
                }
                Change::Mark(key, epoch) => {
                    self.marks.insert(key.clone(), *epoch);
                }
            }
        }
    }

    fn claims_of<'a>(
        &'a self,
        tenant: &TenantId,
        consumer: &ConsumerId,
    ) -> impl Iterator<Item = &'a Claim> + use<'a> {
        let id = |epoch| ClaimId { tenant: tenant.clone(), consumer: consumer.clone(), epoch };
        self.claims.range(id(Epoch::FIRST)..=id(Epoch::LAST)).map(|(_, claim)| claim)
    }
}
