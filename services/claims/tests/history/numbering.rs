//! What a mint may not know. An epoch that the service issues is above those of all kept claims of its
//! consumer (M3), so that no identity is used twice (T1). They are all that a decision reads and does not
//! hold: a mint locks its own entity only. What becomes of its consumer's other claims between its look and
//! its commit, it does not hear: that one is granted for another entity, or that the highest is pruned. So
//! its epoch may come to light after a higher one, or be higher than it had to be by then. Identities are
//! unique all the same, by their key.

use super::record::{Call, History, Said};
use super::spec::Effect;
use claims::domain::{
    Answer, Change, ClaimId, Command, ConsumerId, Epoch, Mint, TenantId, Timestamp, World,
};
use std::collections::{BTreeMap, BTreeSet};

/// Until when somebody may not have known that claims had been granted, or pruned.
pub(crate) struct Meanwhile<'a> {
    granted: BTreeMap<&'a ClaimId, Timestamp>,
    pruned: BTreeMap<&'a ClaimId, Timestamp>,
}

impl<'a> Meanwhile<'a> {
    pub(crate) fn of(history: &'a History) -> Self {
        let (mut granted, mut pruned) = (BTreeMap::new(), BTreeMap::new());
        for record in &history.records {
            let Some((answered, said)) = &record.said else {
                continue;
            };
            if let Said::Decided(Ok(Answer::Minted(minted))) = said {
                let first = granted.entry(&minted.claim.id).or_insert(*answered);
                *first = (*answered).min(*first);
            }
            if let Call::Prune(ids, _) = &record.call {
                pruned.extend(ids.iter().map(|id| (id, *answered)));
            }
        }
        Self { granted, pruned }
    }

    /// The rows as a call may see them that was asked at `invoked`, if it may see them otherwise than they
    /// are.
    pub(crate) fn views(&self, world: &World, call: &Call, invoked: Timestamp) -> Vec<World> {
        let mint = match call {
            Call::Decide(Command::Mint(mint)) if mint.epoch.is_none() => mint,
            _ => return vec![],
        };
        let granted = self.granted_elsewhere(world, mint, invoked);
        let pruned = self.pruned.iter().filter(|(id, answered)| {
            is_of(id, &mint.tenant, &mint.consumer) && **answered > invoked
        });
        let pruned = pruned.map(|(id, _)| id.epoch);
        let uncertain: BTreeSet<Epoch> = granted.iter().map(|id| id.epoch).chain(pruned).collect();
        if uncertain.is_empty() {
            return vec![];
        }
        let mut without = world.clone();
        without.claims.retain(|id, _| !granted.contains(id));
        // The highest of them that it knows is all that matters.
        let with = |highest: Epoch| {
            let key = (mint.tenant.clone(), mint.consumer.clone());
            let consumer_epochs = BTreeMap::from([(key, highest)]);
            World { consumer_epochs, ..without.clone() }
        };
        let views: Vec<_> = uncertain.into_iter().map(with).collect();
        [vec![without], views].concat()
    }

    /// Claims of the mint's consumer for other entities that may not have been there when it looked.
    fn granted_elsewhere(
        &self,
        world: &World,
        mint: &Mint,
        invoked: Timestamp,
    ) -> BTreeSet<ClaimId> {
        let elsewhere = world.claims.iter().filter(|(id, claim)| {
            is_of(id, &mint.tenant, &mint.consumer) && claim.entity != mint.entity
        });
        let granted = elsewhere.filter(|(id, claim)| match self.granted.get(id) {
            Some(answered) => *answered > invoked,
            None => claim.claimed_at >= invoked,
        });
        granted.map(|(id, _)| id.clone()).collect()
    }
}

/// Whether a claim would be made where there is one that was not seen: its key does not allow that.
pub(crate) fn collides(effect: &Effect, seen: &World, world: &World) -> bool {
    let is_made_twice = |id| !seen.claims.contains_key(id) && world.claims.contains_key(id);
    effect
        .changes
        .iter()
        .any(|change| matches!(change, Change::Claim(claim) if is_made_twice(&claim.id)))
}

fn is_of(id: &ClaimId, tenant: &TenantId, consumer: &ConsumerId) -> bool {
    id.tenant == *tenant && id.consumer == *consumer
}
