//! The herald: follows what happens to claims and entities, and tells the listeners.
//!
//! An event says that something happened. What to say of it is read from the claim itself, so that
//! a holder is told what its next heartbeat would be told. What concerns nobody here is not read.

use super::listeners::Listeners;
use claims::domain::{ClaimId, EntityKey, Event, EventType, Refusal};
use claims::store::{ClaimStore, News, StoreError, Subscription};
use std::collections::BTreeSet;
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
                listeners.attention.pay(true);
                follow(events, store, listeners).await;
                listeners.attention.pay(false);
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
                tracing::warn!("some events were missed; heartbeats tell what became of claims");
            }
            // The streams end for the same reason.
            News::Away => {}
        }
    }
}

async fn tell(events: impl Iterator<Item = &Event>, store: &ClaimStore, listeners: &Listeners) {
    let mut claims = BTreeSet::new();
    let mut entities = BTreeSet::new();
    for event in events {
        match happened(event) {
            Some(Happened::ToClaim(id)) if listeners.care_for(&id) => {
                claims.insert(id);
            }
            Some(Happened::ToEntity(key)) if !listeners.are_none() => {
                entities.insert(key);
            }
            Some(Happened::ToClaim(_) | Happened::ToEntity(_)) | None => {}
        }
    }
    for key in entities {
        tell_holder(key, store, listeners).await;
    }
    let claims: Vec<ClaimId> = claims.into_iter().collect();
    for some in claims.chunks(READ_MAX) {
        tell_of(some, store, listeners).await;
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
    match store.get_claims(ids.to_vec()).await {
        Ok((mut claims, now)) => {
            for id in ids {
                let found = claims.remove(id).map(|claim| (claim, now));
                listeners.tell(id, &found.ok_or(Refusal::ClaimNotFound));
            }
        }
        Err(error) => missed(&format_args!("{} claims", ids.len()), &error),
    }
}

fn missed(what: &dyn Display, error: &StoreError) {
    tracing::warn!(%error, "what happened to {what} is told by heartbeats only");
}
