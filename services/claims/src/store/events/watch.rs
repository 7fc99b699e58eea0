//! A watch: the events that one watcher wants, from a position on, each once and in order.
//!
//! It hears the feed from the moment it begins, and first reads from the database what lies between
//! its position and the feed's. From then on it takes what it hears. Each batch says where it begins,
//! so a hole, whatever made it, is noticed and filled from the database in the same way.
//!
//! Pages are read by a task, so that a watch that is not asked any more keeps its turn from nobody.
//! Apart from that it does nothing but when it is asked for the next item, and keeps one page or batch
//! at a time: that is what a watcher costs that does not ask, for as long as it likes. While it reads
//! from the database it cannot be too slow, since it reads at its own pace; when it lives on the feed
//! it can.

use super::Shared;
use super::event::{EventFilter, RecordedEvent, Sequence};
use super::feed::{EventBatch, Heard, Listener, SetBack, WatchPlace};
use super::page::Page;
use super::reader::AWAY_AFTER;
use crate::domain::InvalidField;
use crate::store::error::StoreError;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

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
    /// The database was set back to an older state: what the watcher was given is no part of its
    /// history any more.
    #[error("the history was set back and ends with {last}")]
    SetBack {
        /// The last sequence of the history that there is now.
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
    _place: WatchPlace,
    /// All up to here has been given, or is none of the filter's.
    position: Sequence,
    /// What was pruned before the watch began with the oldest event; unknown until it has looked or
    /// heard.
    forgone: Option<Sequence>,
    /// Up to here the history is read from the database.
    catch_up_to: Sequence,
    /// A page that is being read, or waits to be taken.
    reading: Option<AbortOnDropHandle<Result<Page, StoreError>>>,
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

impl Watch {
    /// Begins to listen, and finds the position to begin with.
    pub(super) async fn begin(
        shared: Arc<Shared>,
        filter: EventFilter,
        from: WatchFrom,
    ) -> Result<Self, WatchError> {
        let place = shared.feed.place()?;
        let (listener, published) = shared.listen();
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
        if shared.feed.is_away() {
            // It would be ended at once.
            return Err(StoreError::Unavailable.into());
        }
        // Nothing was pruned either of a history in which there is nothing yet.
        let forgoes_nothing = from != WatchFrom::Oldest || published == Some(Sequence::BEGINNING);
        Ok(Self {
            shared,
            filter,
            listener,
            _place: place,
            position,
            forgone: forgoes_nothing.then_some(Sequence::BEGINNING),
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
                self.reading = Some(self.read());
            }
            if let Some(reading) = &mut self.reading {
                tokio::select! {
                    biased;
                    page = reading => {
                        self.reading = None;
                        // A task that has panicked is a bug.
                        self.take_page(page.unwrap_or(Err(StoreError::Internal))?)?;
                    }
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
    fn read(&self) -> AbortOnDropHandle<Result<Page, StoreError>> {
        let (shared, filter) = (Arc::clone(&self.shared), self.filter.clone());
        let (after, upto) = (self.position, self.catch_up_to);
        AbortOnDropHandle::new(tokio::spawn(read_patiently(shared, filter, after, upto)))
    }

    fn take_page(&mut self, page: Page) -> Result<(), WatchError> {
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
                self.forgone.get_or_insert(Sequence::BEGINNING);
                self.heard = Some(batch);
            }
            Heard::Lagged => {
                let published = self.shared.feed.listen_again(&mut self.listener)?;
                if !self.is_catching_up {
                    return Err(WatchError::TooSlow { last: self.position });
                }
                // It had better things to do than to listen.
                self.catch_up_to = published;
            }
            Heard::SetBack(last) => return Err(WatchError::SetBack { last }),
            Heard::Away => return Err(StoreError::Unavailable.into()),
        }
        Ok(())
    }
}

impl From<SetBack> for WatchError {
    fn from(SetBack { last }: SetBack) -> Self {
        Self::SetBack { last }
    }
}

/// Reads a page. A short outage, counted from the first failure, costs nobody his watch.
async fn read_patiently(
    shared: Arc<Shared>,
    filter: EventFilter,
    after: Sequence,
    upto: Sequence,
) -> Result<Page, StoreError> {
    let mut failing_since: Option<Instant> = None;
    loop {
        let page = shared.catch_up(filter.clone(), after, upto).await;
        if !matches!(page, Err(StoreError::Unavailable | StoreError::Overloaded))
            || failing_since.get_or_insert_with(Instant::now).elapsed() >= AWAY_AFTER
        {
            return page;
        }
        sleep(RETRY_PAUSE).await;
    }
}

/// The refusal of a position that the history has not come to. Waiting for it would skip what
/// happens until then: the database was set back, or the number is made up.
fn beyond_the_last() -> InvalidField {
    InvalidField::new("after_sequence", "is beyond the last event")
}
