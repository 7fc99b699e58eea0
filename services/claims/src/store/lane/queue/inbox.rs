//! The lanes' end of a queue.

use super::Call;
use super::shared::{Joined, Shared};
use crate::store::error::StoreError;
use crate::store::metrics::LaneMetrics;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard};

/// The lanes' end of a queue, shared by the lanes of one kind.
pub(crate) type Waiting<Ask, Answer> = Arc<Inbox<Ask, Answer>>;

/// The calls that wait, and which lanes may take them: those that have a connection.
#[derive(Debug)]
pub(crate) struct Inbox<Ask, Answer> {
    shared: Arc<Shared<Ask, Answer>>,
    /// Held by the one lane that waits for calls; it takes all that have come when it is woken.
    taking: Mutex<()>,
    /// Held by the one lane without a connection that may look for calls and connect.
    turn: Mutex<()>,
    /// How many lanes have a connection.
    connected: Arc<AtomicUsize>,
    metrics: LaneMetrics,
}

impl<Ask, Answer> Drop for Inbox<Ask, Answer> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_served = false;
        let left = state.take(usize::MAX, Instant::now());
        drop(state);
        for joined in left {
            joined.call.answer(Err(StoreError::Unavailable));
        }
    }
}

impl<Ask, Answer> Inbox<Ask, Answer> {
    /// Of a queue that nobody serves yet.
    pub(super) fn of(shared: &Arc<Shared<Ask, Answer>>, metrics: LaneMetrics) -> Self {
        Self {
            shared: Arc::clone(shared),
            taking: Mutex::default(),
            turn: Mutex::default(),
            connected: Arc::default(),
            metrics,
        }
    }

    /// Waits for a call and takes all whose turn it is, at most `most`. None means that no more will
    /// come.
    pub(in crate::store::lane) async fn take(&self, most: usize) -> Vec<Call<Ask, Answer>> {
        let _taking = self.taking.lock().await;
        while self.shared.wait().await {
            let now = Instant::now();
            let taken = self.shared.lock().take(most, now);
            if !taken.is_empty() {
                return taken.into_iter().map(|joined| self.waited(joined, now)).collect();
            }
        }
        Vec::new()
    }

    /// A call whose turn has come.
    fn waited(&self, joined: Joined<Ask, Answer>, now: Instant) -> Call<Ask, Answer> {
        let waited = now.saturating_duration_since(joined.at).as_secs_f64();
        self.metrics.wait.observe(waited);
        if !joined.call.span().is_disabled() {
            joined.call.span().record("waited_ms", waited * 1000.0);
        }
        joined.call
    }

    /// Waits until a call waits, and leaves it there. False means that no more will come.
    pub(in crate::store::lane) async fn arrival(&self) -> bool {
        let _taking = self.taking.lock().await;
        self.shared.wait().await
    }

    /// Waits for the turn to connect. Lanes connect one by one, so that the one that fails knows
    /// whether another has succeeded, and a database that comes back is not stormed.
    pub(in crate::store::lane) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Tells all that wait that the database is unavailable, unless a connected lane will come for
    /// them.
    pub(in crate::store::lane) fn refuse_if_none_is_connected(&self) {
        let mut state = self.shared.lock();
        if self.connected.load(Ordering::Acquire) > 0 {
            return;
        }
        let left = state.take(usize::MAX, Instant::now());
        drop(state);
        for joined in left {
            joined.call.answer(Err(StoreError::Unavailable));
        }
    }

    /// What is counted here.
    pub(in crate::store::lane) fn metrics(&self) -> &LaneMetrics {
        &self.metrics
    }

    /// Where lanes are counted that have a connection.
    pub(in crate::store::lane) fn connected(&self) -> &Arc<AtomicUsize> {
        &self.connected
    }
}
