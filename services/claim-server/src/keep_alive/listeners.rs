//! Who is to hear of which claim: the streams of this server, each by an ear of its own.
//!
//! An ear keeps what is new of a claim until its stream has time to tell it, and of each claim only
//! the newest, so that the ear of a stream that is never read holds no more than one push for each
//! claim of that stream. Who speaks waits for nobody who listens.
//!
//! A stream listens from before its first heartbeat of a claim is sent: what happens to the claim
//! after that heartbeat was accepted and before its answer is seen here would be missed otherwise.
//! What is heard before the answer is kept, and told only if the heartbeat was accepted. What there is
//! to tell depends on the holder's token, so it is made out when it is told: the token is that of the
//! newest heartbeat that was accepted, in whatever order the answers come.

use super::attention::{Attention, Presence};
use super::push::{Found, Push, is_final};
use crate::beat;
use claims::domain::{ClaimId, EntityKey, EntityUrl, Heartbeat, TenantId, TokenDigest};
use claims::store::StoreError;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most claims of which one stream hears. The heartbeats of more are served as well, but what
/// becomes of their claims is told by the answers to heartbeats only.
const CLAIMS_MAX: usize = 4_096;

/// The ears of all streams, by the claims that they listen for.
#[derive(Default)]
pub(super) struct Listeners {
    of_claim: Mutex<HashMap<ClaimId, Audience>>,
    /// Whether there are any streams, and whether anybody speaks to them.
    pub(super) attention: Attention,
}

/// Those who listen for a claim.
#[derive(Default)]
struct Audience {
    ears: Vec<Arc<Ear>>,
    /// The entity of the claim, once it was read.
    entity: Option<EntityUrl>,
}

impl Listeners {
    /// Whether nobody listens for any claim.
    pub(super) fn are_none(&self) -> bool {
        locked(&self.of_claim).is_empty()
    }

    /// Whether anybody listens for that claim.
    pub(super) fn care_for(&self, id: &ClaimId) -> bool {
        locked(&self.of_claim).contains_key(id)
    }

    /// Tells those who listen for a claim how it was found.
    pub(super) fn tell(&self, id: &ClaimId, found: &Found) {
        let ears = locked(&self.of_claim).get(id).map(|audience| audience.ears.clone());
        let Some(ears) = ears else {
            return;
        };
        let mut found = found.clone();
        // It is kept until it is told, which takes as long as the client likes; acks are never told.
        if let Ok((claim, _)) = &mut found
            && let Some(ending) = &mut claim.ending
        {
            ending.acked_streams = None;
        }
        let found = Arc::new(found);
        for ear in ears {
            ear.hear(id, &found);
        }
    }

    /// All claims that somebody listens for.
    pub(super) fn claims(&self) -> Vec<ClaimId> {
        locked(&self.of_claim).keys().cloned().collect()
    }

    /// Those of them, of some tenants, of which it is not known whose claims they are.
    pub(super) fn unplaced(&self, tenants: &BTreeSet<&TenantId>) -> Vec<ClaimId> {
        let of_claim = locked(&self.of_claim);
        let unplaced = of_claim
            .iter()
            .filter(|(id, audience)| audience.entity.is_none() && tenants.contains(&id.tenant));
        unplaced.map(|(id, _)| id.clone()).collect()
    }

    /// A claim is one of that entity.
    pub(super) fn place(&self, id: &ClaimId, entity: &EntityUrl) {
        if let Some(audience) = locked(&self.of_claim).get_mut(id) {
            audience.entity = Some(entity.clone());
        }
    }

    /// Those of some entities for whose claims somebody is known to listen.
    pub(super) fn concerned(&self, entities: &BTreeSet<EntityKey>) -> BTreeSet<EntityKey> {
        let of_claim = locked(&self.of_claim);
        let heeded = of_claim.iter().filter_map(|(id, audience)| {
            Some(EntityKey { tenant: id.tenant.clone(), url: audience.entity.clone()? })
        });
        heeded.filter(|key| entities.contains(key)).collect()
    }

    fn add(&self, id: &ClaimId, ear: &Arc<Ear>) {
        locked(&self.of_claim).entry(id.clone()).or_default().ears.push(ear.clone());
    }

    fn remove(&self, id: &ClaimId, ear: &Arc<Ear>) {
        let mut of_claim = locked(&self.of_claim);
        if let Some(audience) = of_claim.get_mut(id) {
            audience.ears.retain(|other| !Arc::ptr_eq(other, ear));
            if audience.ears.is_empty() {
                of_claim.remove(id);
            }
        }
    }
}

/// What one stream hears. Dropped with the stream, and nobody speaks to it any more.
pub(super) struct Listener {
    all: Arc<Listeners>,
    ear: Arc<Ear>,
    _presence: Presence,
}

#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    /// Something is to be told.
    woken: Notify,
}

#[derive(Default)]
struct Heard {
    claims: HashMap<ClaimId, Heeded>,
    /// Accepted claims with a push, in the order of its coming.
    untold: VecDeque<ClaimId>,
    /// The heartbeat that was sent last.
    last: Sending,
}

/// The number of a heartbeat among those of its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Sending(u64);

/// A claim that a stream listens for.
#[derive(Default)]
struct Heeded {
    /// Heartbeats without an answer.
    under_way: usize,
    /// The newest heartbeat that was accepted, and its token.
    accepted: Option<(Sending, Option<TokenDigest>)>,
    /// How the claim was found, until it is told or there is nothing to tell of it.
    found: Option<Arc<Found>>,
    /// It waits among the untold.
    is_queued: bool,
}

impl Heeded {
    /// What there is to tell; nothing before a heartbeat was accepted.
    fn push(&self, id: &ClaimId) -> Option<Push> {
        let (_, token) = self.accepted?;
        Push::of(id, token, self.found.as_deref()?)
    }
}

impl Heard {
    /// Queues an accepted claim of which there is something to tell, and drops what there is not.
    /// Whether it was queued now.
    fn sort(&mut self, id: &ClaimId) -> bool {
        let Some(heeded) = self.claims.get_mut(id).filter(|heeded| heeded.accepted.is_some())
        else {
            return false;
        };
        let was_queued = heeded.is_queued;
        heeded.is_queued = heeded.push(id).is_some();
        if !heeded.is_queued {
            heeded.found = None;
        }
        match (was_queued, heeded.is_queued) {
            (false, true) => self.untold.push_back(id.clone()),
            // It may go on again, before it was told to stop.
            (true, false) => self.untold.retain(|other| other != id),
            (false, false) | (true, true) => {}
        }
        !was_queued && self.claims.get(id).is_some_and(|heeded| heeded.is_queued)
    }
}

impl Listener {
    /// Hears nothing yet.
    pub(super) fn among(all: &Arc<Listeners>) -> Self {
        Self { all: all.clone(), ear: Arc::default(), _presence: all.attention.come() }
    }

    /// A heartbeat is about to be sent: listens for its claim from now on.
    pub(super) fn sending(&self, heartbeat: &Heartbeat) -> Sending {
        let mut heard = locked(&self.ear.heard);
        heard.last.0 += 1;
        let (id, sending) = (&heartbeat.id, heard.last);
        if let Some(heeded) = heard.claims.get_mut(id) {
            heeded.under_way += 1;
        } else if heard.claims.len() < CLAIMS_MAX {
            heard.claims.insert(id.clone(), Heeded { under_way: 1, ..Heeded::default() });
            drop(heard);
            self.all.add(id, &self.ear);
        }
        sending
    }

    /// A heartbeat was answered. A claim of which none was accepted is none of this stream's, and
    /// one that has ended is not heard of again.
    pub(super) fn answered(
        &self,
        id: &ClaimId,
        sending: Sending,
        token: Option<TokenDigest>,
        answer: &beat::Answer,
    ) {
        let mut heard = locked(&self.ear.heard);
        let Some(heeded) = heard.claims.get_mut(id) else {
            return;
        };
        heeded.under_way = heeded.under_way.saturating_sub(1);
        let is_over = match answer {
            Ok(Ok(renewal)) => {
                if heeded.accepted.is_none_or(|(newest, _)| newest < sending) {
                    heeded.accepted = Some((sending, token));
                }
                if heeded.push(id).is_some_and(|push| push.is_older_than(renewal)) {
                    heeded.found = None;
                }
                heard.sort(id);
                false
            }
            Ok(Err(StoreError::Refused(refusal))) if is_final(refusal) => true,
            Ok(Err(_)) | Err(_) => heeded.accepted.is_none() && heeded.under_way == 0,
        };
        if is_over {
            self.forget(heard, id);
        }
    }

    /// The next push.
    pub(super) async fn push(&self) -> (ClaimId, Push) {
        loop {
            if let Some(push) = self.untold() {
                return push;
            }
            self.ear.woken.notified().await;
        }
    }

    fn untold(&self) -> Option<(ClaimId, Push)> {
        let mut heard = locked(&self.ear.heard);
        while let Some(id) = heard.untold.pop_front() {
            let Some(heeded) = heard.claims.get_mut(&id) else {
                continue;
            };
            heeded.is_queued = false;
            let push = heeded.push(&id);
            heeded.found = None;
            if let Some(push) = push {
                if push.is_last() {
                    self.forget(heard, &id);
                }
                return Some((id, push));
            }
        }
        None
    }

    fn forget(&self, mut heard: MutexGuard<'_, Heard>, id: &ClaimId) {
        let heeded = heard.claims.remove(id);
        if heeded.is_some_and(|heeded| heeded.is_queued) {
            heard.untold.retain(|other| other != id);
        }
        drop(heard);
        self.all.remove(id, &self.ear);
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let claims = std::mem::take(&mut locked(&self.ear.heard).claims);
        for id in claims.keys() {
            self.all.remove(id, &self.ear);
        }
    }
}

impl Ear {
    fn hear(&self, id: &ClaimId, found: &Arc<Found>) {
        let mut heard = locked(&self.heard);
        if let Some(heeded) = heard.claims.get_mut(id) {
            heeded.found = Some(Arc::clone(found));
            if heard.sort(id) {
                drop(heard);
                self.woken.notify_one();
            }
        }
    }
}

/// What is locked here is whole between any two statements, so a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
