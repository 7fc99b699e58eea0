//! Who is to hear of which claim: the streams of this server, each by an ear of its own.
//!
//! An ear keeps what is new of a claim until its stream has time to tell it, and of each claim only
//! the newest, so that the ear of a stream that is never read holds no more than one push for each
//! claim of that stream. Who speaks waits for nobody who listens.
//!
//! A stream listens from before its first heartbeat of a claim is sent: what happens to the claim
//! after that heartbeat was accepted and before its answer is seen here would be missed otherwise.
//! What is heard before the answer is kept, and told only if the heartbeat was accepted.

use super::attention::{Attention, Presence};
use super::push::{Found, Push, is_final};
use crate::beat;
use claims::domain::{ClaimId, Heartbeat, TokenDigest};
use claims::store::StoreError;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Most claims of which one stream hears. The heartbeats of more are served as well, but what
/// becomes of their claims is told by the answers to heartbeats only.
const CLAIMS_MAX: usize = 4_096;

/// The ears of all streams, by the claims that they listen for.
#[derive(Default)]
pub(super) struct Listeners {
    of_claim: Mutex<HashMap<ClaimId, Vec<Arc<Ear>>>>,
    /// Whether there are any streams, and whether anybody speaks to them.
    pub(super) attention: Attention,
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
        let ears = locked(&self.of_claim).get(id).cloned().unwrap_or_default();
        for ear in ears {
            ear.hear(id, found);
        }
    }

    fn add(&self, id: &ClaimId, ear: &Arc<Ear>) {
        locked(&self.of_claim).entry(id.clone()).or_default().push(ear.clone());
    }

    fn remove(&self, id: &ClaimId, ear: &Arc<Ear>) {
        let mut of_claim = locked(&self.of_claim);
        if let Some(ears) = of_claim.get_mut(id) {
            ears.retain(|other| !Arc::ptr_eq(other, ear));
            if ears.is_empty() {
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
}

/// A claim that a stream listens for.
struct Heeded {
    /// Heartbeats without an answer.
    under_way: usize,
    is_accepted: bool,
    /// That of the last accepted heartbeat, else of the first that was sent.
    token: Option<TokenDigest>,
    push: Option<Push>,
}

impl Listener {
    /// Hears nothing yet.
    pub(super) fn among(all: &Arc<Listeners>) -> Self {
        Self { all: all.clone(), ear: Arc::default(), _presence: all.attention.come() }
    }

    /// A heartbeat is about to be sent: listens for its claim from now on.
    pub(super) fn sending(&self, heartbeat: &Heartbeat) {
        let mut heard = locked(&self.ear.heard);
        let id = &heartbeat.id;
        if let Some(heeded) = heard.claims.get_mut(id) {
            heeded.under_way += 1;
        } else if heard.claims.len() < CLAIMS_MAX {
            let token = heartbeat.token;
            let heeded = Heeded { under_way: 1, is_accepted: false, token, push: None };
            heard.claims.insert(id.clone(), heeded);
            drop(heard);
            self.all.add(id, &self.ear);
        }
    }

    /// A heartbeat was answered. A claim of which none was accepted is none of this stream's, and
    /// one that has ended is not heard of again.
    pub(super) fn answered(&self, id: &ClaimId, token: Option<TokenDigest>, answer: &beat::Answer) {
        let mut heard = locked(&self.ear.heard);
        let Heard { claims, untold } = &mut *heard;
        let Some(heeded) = claims.get_mut(id) else {
            return;
        };
        heeded.under_way = heeded.under_way.saturating_sub(1);
        let is_over = match answer {
            Ok(Ok(renewal)) => {
                let is_first = !std::mem::replace(&mut heeded.is_accepted, true);
                heeded.token = token;
                if heeded.push.as_ref().is_some_and(|push| push.is_older_than(renewal)) {
                    heeded.push = None;
                    untold.retain(|other| other != id);
                } else if heeded.push.is_some() && is_first {
                    untold.push_back(id.clone());
                }
                false
            }
            Ok(Err(StoreError::Refused(refusal))) if is_final(refusal) => true,
            Ok(Err(_)) | Err(_) => !heeded.is_accepted && heeded.under_way == 0,
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
            let heeded = heard.claims.get_mut(&id);
            if let Some(push) = heeded.and_then(|heeded| heeded.push.take()) {
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
        if heeded.is_some_and(|heeded| heeded.push.is_some()) {
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
    fn hear(&self, id: &ClaimId, found: &Found) {
        let mut heard = locked(&self.heard);
        let Heard { claims, untold } = &mut *heard;
        let Some(heeded) = claims.get_mut(id) else {
            return;
        };
        let before = heeded.push.take();
        heeded.push = Push::of(id, heeded.token, found);
        match (before.is_some(), heeded.push.is_some()) {
            (false, true) if heeded.is_accepted => {
                untold.push_back(id.clone());
                drop(heard);
                self.woken.notify_one();
            }
            // It may go on again, before it was told to stop.
            (true, false) => untold.retain(|other| other != id),
            (false, _) | (true, true) => {}
        }
    }
}

/// What is locked here is whole between any two statements, so a panic elsewhere spoils nothing.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
