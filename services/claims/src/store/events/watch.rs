//! A watch: the events that one watcher wants, from a position on, each once and in order.
//!
//! It hears the feed from the moment it begins, and first reads from the database what lies between
//! its position and the feed's. From then on it takes what it hears. Each batch says where it begins,
//! so a hole, whatever made it, is noticed and filled from the database in the same way.
//!
//! It does nothing but when it is asked for the next item, and keeps one page or batch at a time:
//! a watcher that does not ask costs no memory. While it reads from the database it cannot be too
//! slow, since it reads at its own pace; when it lives on the feed it can.

use super::Shared;
use super::event::{EventFilter, RecordedEvent, Sequence};
use super::feed::{EventBatch, Heard, Listener};
use super::page::Page;
use super::reader::AWAY_AFTER;
use crate::domain::InvalidField;
use crate::store::error::StoreError;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// From a failed read of a page to the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFrom {
    /// With what happens from now on.
    Now,
    /// With the oldest event that is kept.
    Oldest,
    /// Behind an event that has been seen.
    After(Sequence),
}

/// The next item of a watch.
#[derive(Clone, Debug)]
pub enum WatchItem {
    /// Something happened.
    Event(Arc<RecordedEvent>),
    /// All that the watcher wants up to here has been given.
    Checkpoint(Sequence),
}

/// Why a watch ends, or does not begin.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WatchError {
    /// Events behind the watch's position have been removed (E3).
    #[error("events up to {pruned} have been pruned")]
    Pruned {
        /// The highest sequence that was removed.
        pruned: Sequence,
    },
    /// The watcher does not keep up with the events.
    #[error("the watcher is too slow; it was given all up to {last}")]
    TooSlow {
        /// It can resume behind this.
        last: Sequence,
    },
    /// The position cannot be one.
    #[error(transparent)]
    Invalid(#[from] InvalidField),
    /// The database does not answer, or a fault of ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A running watch.
pub struct Watch {
    shared: Arc<Shared>,
    filter: EventFilter,
    listener: Listener,
    /// All up to here has been given, or is none of the filter's.
    position: Sequence,
    /// What was pruned before the watch began with the oldest event; unknown until it has looked.
    forgone: Option<Sequence>,
    /// Up to here the history is read from the database.
    catch_up_to: Sequence,
    /// A page that is being read.
    reading: Option<Reading>,
    /// Events to be given.
    ready: Ready,
    /// What was heard and begins behind `catch_up_to`.
    heard: Option<EventBatch>,
    /// Nothing was heard since the last page.
    is_catching_up: bool,
    checkpoint_due: Instant,
}

/// Events to be given, and how far they lead.
#[derive(Default)]
struct Ready {
    events: Arc<[Arc<RecordedEvent>]>,
    next: usize,
    to: Sequence,
}

struct Reading {
    page: BoxFuture<'static, Result<Page, StoreError>>,
    /// When the first attempt began.
    since: Instant,
}

impl Watch {
    /// Begins to listen, and finds the position to begin with.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        filter: EventFilter,
        from: WatchFrom,
    ) -> Result<Self, WatchError> {
        let (listener, published) = shared.listen()?;
        let position = match from {
            WatchFrom::Now => shared.settled_last().await?,
            WatchFrom::Oldest => Sequence::BEGINNING,
            WatchFrom::After(position) => {
                let bounds = shared.bounds().await?;
                if position < bounds.pruned {
                    return Err(WatchError::Pruned { pruned: bounds.pruned });
                }
                if position > bounds.drawn {
                    return Err(beyond_the_last().into());
                }
                position
            }
        };
        Ok(Self {
            shared,
            filter,
            listener,
            position,
            forgone: (from != WatchFrom::Oldest).then_some(Sequence::BEGINNING),
            catch_up_to: published.unwrap_or(position),
            reading: None,
            ready: Ready::default(),
            heard: None,
            is_catching_up: true,
            checkpoint_due: Instant::now(),
        })
    }

    /// The next item: a checkpoint first of all and regularly from then on. After an error the watch
    /// is over. May be dropped and asked again.
    pub async fn next(&mut self) -> Result<WatchItem, WatchError> {
        loop {
            if Instant::now() >= self.checkpoint_due {
                self.checkpoint_due = Instant::now() + self.shared.settings.checkpoint_interval;
                return Ok(WatchItem::Checkpoint(self.position));
            }
            if let Some(event) = self.next_ready() {
                return Ok(WatchItem::Event(event));
            }
            if self.position < self.catch_up_to && self.reading.is_none() {
                self.reading = Some(self.read(Instant::now(), Duration::ZERO));
            }
            if let Some(reading) = &mut self.reading {
                tokio::select! {
                    biased;
                    page = &mut reading.page => self.take_page(page)?,
                    () = sleep_until(self.checkpoint_due) => {}
                }
                continue;
            }
            if let Some(batch) = self.heard.take() {
                self.ready = Ready { events: batch.events, next: 0, to: batch.to };
                continue;
            }
            tokio::select! {
                biased;
                heard = self.listener.next() => self.take_heard(heard)?,
                () = sleep_until(self.checkpoint_due) => {}
            }
        }
    }

    /// The next event that is ready and wanted.
    fn next_ready(&mut self) -> Option<Arc<RecordedEvent>> {
        while let Some(event) = self.ready.events.get(self.ready.next) {
            self.ready.next += 1;
            if event.sequence <= self.position {
                continue;
            }
            self.position = event.sequence;
            if self.filter.matches(&event.event) {
                return Some(Arc::clone(event));
            }
        }
        self.position = self.position.max(self.ready.to);
        None
    }

    /// Reads the next page in a task of its own.
    fn read(&self, since: Instant, pause: Duration) -> Reading {
        let (shared, filter) = (Arc::clone(&self.shared), self.filter.clone());
        let (after, upto) = (self.position, self.catch_up_to);
        let page = async move {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            shared.catch_up(filter, after, upto).await
        };
        Reading { page: page.boxed(), since }
    }

    fn take_page(&mut self, page: Result<Page, StoreError>) -> Result<(), WatchError> {
        let since = self.reading.take().map_or_else(Instant::now, |reading| reading.since);
        let page = match page {
            Ok(page) => page,
            // A short outage costs nobody his watch.
            Err(StoreError::Unavailable | StoreError::Overloaded)
                if since.elapsed() < AWAY_AFTER =>
            {
                self.reading = Some(self.read(since, RETRY_PAUSE));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let forgone = *self.forgone.get_or_insert(page.pruned);
        if page.pruned > self.position.max(forgone) {
            return Err(WatchError::Pruned { pruned: page.pruned });
        }
        self.is_catching_up = true;
        let to = page.to;
        let events = page.into_events().map_err(|error| {
            tracing::error!(error = %crate::chain(&error), "a watch meets a damaged event");
            StoreError::Internal
        })?;
        self.ready = Ready { events: events.into_iter().map(Arc::new).collect(), next: 0, to };
        Ok(())
    }

    fn take_heard(&mut self, heard: Heard) -> Result<(), WatchError> {
        match heard {
            Heard::Batch(batch) if batch.after > self.position => {
                self.catch_up_to = batch.after;
                self.heard = Some(batch);
            }
            Heard::Batch(batch) => {
                self.is_catching_up = false;
                self.heard = Some(batch);
            }
            Heard::Lagged if self.is_catching_up => {
                // It had better things to do than to listen.
                let (listener, published) = self.shared.listen()?;
                self.listener = listener;
                self.catch_up_to = published.unwrap_or(self.position);
            }
            Heard::Lagged => return Err(WatchError::TooSlow { last: self.position }),
            Heard::SetBack => return Err(beyond_the_last().into()),
            Heard::Away => return Err(StoreError::Unavailable.into()),
        }
        Ok(())
    }
}

/// The refusal of a position that the history has not come to. Waiting for it would skip what
/// happens until then: the database was set back, or the number is made up.
fn beyond_the_last() -> InvalidField {
    InvalidField::new("after_sequence", "is beyond the last event")
}
