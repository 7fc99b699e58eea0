//! The feed: settled events as the one reader of this process publishes them, for any number of
//! listeners. It keeps a bounded number of batches; a listener that falls behind by more is told
//! that it missed some.

use super::event::{RecordedEvent, Sequence};
use crate::store::error::StoreError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Most listeners of one process: beyond that, waking them would take longer than the pause between
/// two looks at the history.
const LISTENERS_MAX: usize = 10_000;

/// A piece of the history, complete: every event in (`after`, `to`] that there will ever be, of all
/// tenants, in order. A batch that does not begin where the one before ended leaves a hole, which
/// the database may fill.
#[derive(Clone, Debug)]
pub struct EventBatch {
    /// The piece begins behind this position.
    pub after: Sequence,
    /// It ends with this one.
    pub to: Sequence,
    /// Its events.
    pub events: Arc<[Arc<RecordedEvent>]>,
}

/// What a listener hears.
#[derive(Clone, Debug)]
pub(super) enum Heard {
    /// The next piece of the history.
    Batch(EventBatch),
    /// It was too slow: some pieces are gone.
    Lagged,
    /// The database's history ends before what was published: it was set back.
    SetBack,
    /// The database has been failing for a while.
    Away,
}

/// What is published.
#[derive(Clone, Debug)]
enum Item {
    Batch(EventBatch),
    SetBack,
}

/// Between the reader and its listeners.
#[derive(Debug)]
pub(super) struct Feed {
    sender: broadcast::Sender<Item>,
    away: watch::Sender<bool>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// A reader is at work.
    is_read: bool,
    /// Up to here everything has been published; none before the reader's first look.
    published: Option<Sequence>,
}

impl Feed {
    /// A feed that keeps that many batches for slow listeners.
    pub(super) fn new(window: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(window),
            away: watch::Sender::new(false),
            state: Mutex::default(),
        }
    }

    /// A listener and the position behind which it hears everything, none if nobody reads yet; and
    /// whether the caller has to start a reader.
    pub(super) fn listen(&self) -> Result<(Listener, Option<Sequence>, bool), StoreError> {
        let mut state = self.state();
        if self.sender.receiver_count() >= LISTENERS_MAX {
            return Err(StoreError::Overloaded);
        }
        let start = !std::mem::replace(&mut state.is_read, true);
        let away = self.away.subscribe();
        let listener = Listener { receiver: self.sender.subscribe(), away, told_away: false };
        Ok((listener, state.published, start))
    }

    /// Nobody listens.
    pub(super) fn is_unheard(&self) -> bool {
        self.sender.receiver_count() == 0
    }

    /// Ends the reading if nobody listens; a listener that comes later starts it anew.
    pub(super) fn end_if_unheard(&self) -> bool {
        let mut state = self.state();
        let is_unheard = self.is_unheard();
        if is_unheard {
            *state = State::default();
            self.away.send_replace(false);
        }
        is_unheard
    }

    /// Up to where everything has been published.
    pub(super) fn published(&self) -> Option<Sequence> {
        self.state().published
    }

    /// Publishes the next piece. Whoever begins to listen afterwards is told that it was.
    pub(super) fn publish(&self, batch: EventBatch) {
        let mut state = self.state();
        state.published = Some(batch.to);
        // Nobody listens: nobody has missed it.
        let _ = self.sender.send(Item::Batch(batch));
    }

    /// Tells that the history was set back; the next piece may begin anywhere.
    pub(super) fn set_back(&self) {
        let mut state = self.state();
        state.published = None;
        let _ = self.sender.send(Item::SetBack);
    }

    /// Tells whether the database has been failing for a while.
    pub(super) fn tell_away(&self, is_away: bool) {
        self.away.send_if_modified(|was_away| std::mem::replace(was_away, is_away) != is_away);
    }

    /// Whether it has.
    pub(super) fn is_away(&self) -> bool {
        *self.away.borrow()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One that hears what is published, at its own pace.
#[derive(Debug)]
pub(super) struct Listener {
    receiver: broadcast::Receiver<Item>,
    away: watch::Receiver<bool>,
    told_away: bool,
}

impl Listener {
    /// The next thing. What was published before an outage comes before it is told of. May be
    /// dropped and asked again.
    pub(super) async fn next(&mut self) -> Heard {
        loop {
            let told_away = self.told_away;
            tokio::select! {
                biased;
                item = self.receiver.recv() => return match item {
                    Ok(Item::Batch(batch)) => Heard::Batch(batch),
                    Ok(Item::SetBack) => Heard::SetBack,
                    Err(broadcast::error::RecvError::Lagged(_)) => Heard::Lagged,
                    // The feed is gone, and with it the store.
                    Err(broadcast::error::RecvError::Closed) => Heard::Away,
                },
                changed = self.away.wait_for(|is_away| *is_away != told_away) => {
                    let is_away = changed.map_or(true, |is_away| *is_away);
                    self.told_away = is_away;
                    if is_away {
                        return Heard::Away;
                    }
                }
            }
        }
    }
}
