//! A subscription: everything that happens from now on, of all tenants, for a part of this process
//! that would rather know soon than ask often. Whoever needs every event takes a watch.

use super::Shared;
use super::event::Sequence;
use super::feed::{EventBatch, Heard, Listener};
use crate::store::error::StoreError;

/// What a subscriber hears.
#[derive(Clone, Debug)]
pub enum News {
    /// The next events.
    Events(EventBatch),
    /// Some are missing here: the subscriber was too slow, or they could not be read.
    Missed,
    /// The database has failed for more than 2 s. Told once for each outage; what happened in it
    /// comes when it is over.
    Away,
}

/// A running subscription.
pub struct Subscription {
    listener: Listener,
    /// Up to here all has been heard.
    position: Sequence,
    /// What was heard and begins behind a hole.
    heard: Option<EventBatch>,
}

impl Subscription {
    /// Begins with what is committed after this returns; fails if the database does not answer.
    pub(super) async fn begin(shared: &Shared) -> Result<Self, StoreError> {
        let (mut listener, published) = shared.listen();
        let position = match published {
            Some(_) if shared.feed.is_away() => return Err(StoreError::Unavailable),
            Some(position) => position,
            None => loop {
                match listener.next().await {
                    Heard::Batch(batch) => break batch.to,
                    Heard::Lagged | Heard::SetBack(_) => {}
                    Heard::Away => return Err(StoreError::Unavailable),
                }
            },
        };
        Ok(Self { listener, position, heard: None })
    }

    /// The next news. May be dropped and asked again.
    pub async fn next(&mut self) -> News {
        loop {
            if let Some(batch) = self.heard.take() {
                self.position = batch.to;
                if !batch.events.is_empty() {
                    return News::Events(batch);
                }
            }
            match self.listener.next().await {
                Heard::Batch(batch) => {
                    let is_next = batch.after <= self.position;
                    self.heard = Some(batch);
                    if !is_next {
                        return News::Missed;
                    }
                }
                Heard::Lagged | Heard::SetBack(_) => return News::Missed,
                Heard::Away => return News::Away,
            }
        }
    }
}
