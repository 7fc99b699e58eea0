//! The herald: follows what happens to claims and entities, and tells the listeners.
//!
//! An event says that something happened. What to say of it is read from the claim itself, so that
//! a holder is told what its next heartbeat would be told. What concerns nobody here is not read.

use super::listeners::Listeners;
use claims::domain::{Claim, ClaimId, ClaimState, EntityKey, Event, EventType, Refusal, Timestamp};
use claims::store::{ClaimStore, News, StoreError, Subscription};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::pin::pin;
use std::time::Duration;
use tokio::time::sleep;

/// Most claims that are read together; an ended one may carry some hundred KiB of acks.
const READ_MAX: usize = 64;
/// From a failed attempt to follow the events to the next.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Tells the listeners what happens, whenever there are any.
pub(super) async fn run(store: &ClaimStore, listeners: &Listeners) {
    loop {
        listeners.attention.wanted().await;
        match store.events().subscribe().await {
            Ok(events) => {
                let _paid = listeners.attention.pay();
                follow(events, store, listeners).await;
            }
            // The store has said why.
            Err(_) => sleep(RETRY_PAUSE).await,
        }
    }
}

/// Follows the events until there has been nobody to tell for a while.
async fn follow(mut events: Subscription, store: &ClaimStore, listeners: &Listeners) {
    let mut unwanted = pin!(listeners.attention.unwanted());
    loop {
        let news = tokio::select! {
            news = events.next() => news,
            () = &mut unwanted => return,
        };
        match news {
            News::Events(batch) => {
                let events = batch.events.iter().map(|recorded| &recorded.event);
                tell(events, store, listeners).await;
            }
            News::Missed => {
                tracing::warn!("some events were missed; all claims listened for are read");
                tell_all(store, listeners).await;
            }
            // The streams end for the same reason.
            News::Away => {}
        }
    }
}

async fn tell(events: impl Iterator<Item = &Event>, store: &ClaimStore, listeners: &Listeners) {
    let mut claims = BTreeSet::new();
    let mut signaled = BTreeSet::new();
    for event in events {
        match happened(event) {
            Some(Happened::ToClaim(id)) if listeners.care_for(&id) => {
                claims.insert(id);
            }
            Some(Happened::ToEntity(key)) if !listeners.are_none() => {
                signaled.insert(key);
            }
            Some(Happened::ToClaim(_) | Happened::ToEntity(_)) | None => {}
        }
    }
    if !signaled.is_empty() {
        place(&signaled, store, listeners).await;
        for key in listeners.concerned(&signaled) {
            tell_holder(key, store, listeners).await;
        }
    }
    let claims: Vec<ClaimId> = claims.into_iter().collect();
    for some in claims.chunks(READ_MAX) {
        tell_of(some, store, listeners).await;
    }
}

/// Tells of every claim that somebody listens for how it stands.
async fn tell_all(store: &ClaimStore, listeners: &Listeners) {
    let mut entities = BTreeSet::new();
    for some in listeners.claims().chunks(READ_MAX) {
        let Some((mut claims, now)) = read(some, store).await else {
            continue;
        };
        for id in some {
            match claims.remove(id) {
                // Whether it is to stop is told with its entity.
                Some(claim) if claim.state == ClaimState::Active => {
                    listeners.place(id, &claim.entity);
                    entities.insert(EntityKey { tenant: id.tenant.clone(), url: claim.entity });
                }
                found => {
                    let found = found.map(|claim| (claim, now));
                    listeners.tell(id, &found.ok_or(Refusal::ClaimNotFound));
                }
            }
        }
    }
    for key in entities {
        tell_holder(key, store, listeners).await;
    }
}

/// Finds out of which entities the claims are that somebody listens for, of the tenants of some
/// entities. Each claim is read once for that: it never moves.
async fn place(entities: &BTreeSet<EntityKey>, store: &ClaimStore, listeners: &Listeners) {
    let tenants = entities.iter().map(|key| &key.tenant).collect();
    for some in listeners.unplaced(&tenants).chunks(READ_MAX) {
        if let Some((claims, _)) = read(some, store).await {
            for (id, claim) in claims {
                listeners.place(&id, &claim.entity);
            }
        }
    }
}

/// Something that a holder may not know yet.
enum Happened {
    /// The claim was superseded or has ended.
    ToClaim(ClaimId),
    /// The entity was signaled, which concerns the holder of its current claim.
    ToEntity(EntityKey),
}

fn happened(event: &Event) -> Option<Happened> {
    match event.event_type {
        EventType::Superseded
        | EventType::Released
        | EventType::Failed
        | EventType::Expired
        | EventType::Revoked => {
            let (_, consumer, epoch) = event.claim.clone()?;
            let tenant = event.entity.tenant.clone();
            Some(Happened::ToClaim(ClaimId { tenant, consumer, epoch }))
        }
        EventType::Signaled => Some(Happened::ToEntity(event.entity.clone())),
        EventType::Minted | EventType::Reminted => None,
    }
}

async fn tell_holder(key: EntityKey, store: &ClaimStore, listeners: &Listeners) {
    match store.get_entity(key.clone()).await {
        Ok(view) => {
            if let Some(mut current) = view.current {
                // H5. A read of the claim does not tell; the state is of the same moment.
                current.lease.stop = view.entity.state.asks_holder_to_stop();
                let id = current.id.clone();
                listeners.tell(&id, &Ok((current, view.now)));
            }
        }
        Err(error) => missed(&key.url, &error),
    }
}

async fn tell_of(ids: &[ClaimId], store: &ClaimStore, listeners: &Listeners) {
    let Some((mut claims, now)) = read(ids, store).await else {
        return;
    };
    for id in ids {
        let found = claims.remove(id).map(|claim| (claim, now));
        listeners.tell(id, &found.ok_or(Refusal::ClaimNotFound));
    }
}

/// Some claims as they stand; none if they cannot be read.
async fn read(
    ids: &[ClaimId],
    store: &ClaimStore,
) -> Option<(BTreeMap<ClaimId, Claim>, Timestamp)> {
    let read = store.get_claims(ids.to_vec()).await;
    read.inspect_err(|error| missed(&format_args!("{} claims", ids.len()), error)).ok()
}

fn missed(what: &dyn Display, error: &StoreError) {
    tracing::warn!(%error, "what happened to {what} is told by heartbeats only");
}

#[cfg(test)]
mod tests;
