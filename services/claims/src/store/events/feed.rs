//! The feed: settled events as the one reader of this process publishes them, for any number of
//! listeners. It keeps a bounded number of batches; a listener that falls behind by more is told
//! that it missed some.

use super::event::{RecordedEvent, Sequence};
use crate::store::error::StoreError;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

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
    /// The database's history ends with this, before what was published: it was set back.
    SetBack(Sequence),
    /// The database has been failing for a while.
    Away,
}

/// What is published.
#[derive(Clone, Debug)]
enum Item {
    Batch(EventBatch),
    SetBack(Sequence),
}

/// Between the reader and its listeners.
#[derive(Debug)]
pub(super) struct Feed {
    sender: broadcast::Sender<Item>,
    away: watch::Sender<bool>,
    watches_max: usize,
    /// Watches that hear it; other listeners do not count.
    watches: Arc<AtomicUsize>,
    /// It has been said that there are too many of them.
    is_full: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often the history was set back.
    set_backs: u64,
    /// A reader is at work.
    is_read: bool,
    /// Up to here everything has been published; none before the reader's first look.
    published: Option<Sequence>,
}

impl Feed {
    /// A feed that keeps that many batches for slow listeners, and lets that many watches hear it.
    pub(super) fn new(window: usize, watches_max: usize) -> Self {
        Self {
            sender: broadcast::Sender::new(window),
            away: watch::Sender::new(false),
            watches_max,
            watches: Arc::default(),
            is_full: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// A listener and the position behind which it hears everything, none if nobody reads yet; and
    /// whether the caller has to start a reader.
    pub(super) fn listen(&self) -> (Listener, Option<Sequence>, bool) {
        let mut state = self.state();
        let start = !std::mem::replace(&mut state.is_read, true);
        let listener = Listener {
            receiver: self.sender.subscribe(),
            away: self.away.subscribe(),
            told_away: false,
            set_backs: state.set_backs,
        };
        (listener, state.published, start)
    }

    /// Has a listener that fell behind hear what comes from now on; behind which position that is.
    /// An error if the history was set back since it began to listen.
    pub(super) fn listen_again(&self, listener: &mut Listener) -> Result<Sequence, SetBack> {
        let state = self.state();
        let published = state.published.unwrap_or_default();
        if listener.set_backs != state.set_backs {
            return Err(SetBack { last: published });
        }
        listener.receiver = self.sender.subscribe();
        Ok(published)
    }

    /// The place of one more watch, unless there are too many, which is said once.
    pub(super) fn place(&self) -> Result<WatchPlace, StoreError> {
        let place = WatchPlace { watches: Arc::clone(&self.watches) };
        if self.watches.fetch_add(1, Ordering::Relaxed) >= self.watches_max {
            if !self.is_full.swap(true, Ordering::Relaxed) {
                let most = self.watches_max;
                tracing::warn!(most, "{most} watches are served; more are refused");
            }
            return Err(StoreError::Overloaded);
        }
        self.is_full.store(false, Ordering::Relaxed);
        Ok(place)
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
            *state = State { set_backs: state.set_backs, ..State::default() };
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

    /// Tells that the history was set back and ends with `last`; the next piece may begin anywhere.
    pub(super) fn set_back(&self, last: Sequence) {
        let mut state = self.state();
        state.published = None;
        state.set_backs += 1;
        let _ = self.sender.send(Item::SetBack(last));
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
    /// How often the history had been set back when it began to listen.
    set_backs: u64,
}

/// The history was set back: it ends with `last`, before what a listener has heard.
#[derive(Debug)]
pub(super) struct SetBack {
    pub(super) last: Sequence,
}

/// The place of a watch among those that there may be; given back when dropped.
#[derive(Debug)]
pub(super) struct WatchPlace {
    watches: Arc<AtomicUsize>,
}

impl Drop for WatchPlace {
    fn drop(&mut self) {
        self.watches.fetch_sub(1, Ordering::Relaxed);
    }
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
                    Ok(Item::SetBack(last)) => Heard::SetBack(last),
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
