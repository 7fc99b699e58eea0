//! The queue between callers and the lanes of one kind.

use super::standing::Standing;
use crate::store::error::StoreError;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};

/// How often one call is tried before its caller is told that the database is unavailable. Each
/// try waits at most the lock timeout of 250 ms, so all of them outlast the second after which
/// Postgres frees the locks of a frozen server.
const TRIES_MAX: usize = 8;

/// A call in a queue: what is asked, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Call<Ask, Answer> {
    pub(crate) ask: Ask,
    /// When it joined the queue, and behind how many.
    joined: Instant,
    ahead: usize,
    /// How often it has been tried in vain.
    tries: usize,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl<Ask, Answer> Call<Ask, Answer> {
    /// Whether the caller still waits.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.reply.is_closed()
    }

    /// Answers the caller, if it still waits.
    pub(crate) fn answer(self, answer: Result<Answer, StoreError>) {
        // A caller that left in the meantime needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// The way into a kind of lane.
#[derive(Debug)]
pub(crate) struct Queue<Ask, Answer> {
    sender: mpsc::Sender<Call<Ask, Answer>>,
    standing: Arc<Standing>,
}

impl<Ask, Answer> Clone for Queue<Ask, Answer> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), standing: Arc::clone(&self.standing) }
    }
}

impl<Ask, Answer> Queue<Ask, Answer> {
    /// A queue in which at most `bound` calls wait.
    pub(crate) fn bounded(bound: usize) -> (Self, Waiting<Ask, Answer>) {
        let (sender, receiver) = mpsc::channel(bound);
        let standing = Arc::new(Standing::new(Instant::now()));
        let waiting = Inbox {
            calls: Mutex::new(Calls { seen: None, receiver, standing: Arc::clone(&standing) }),
            turn: Mutex::new(()),
            connected: Arc::default(),
        };
        (Self { sender, standing }, Arc::new(waiting))
    }

    /// Whether a newcomer that can come later would be refused now: the queue is full, or it stands
    /// and is as long as it may be.
    pub(crate) fn refuses_newcomers(&self) -> bool {
        self.sender.capacity() == 0 || self.standing.refuses(self.waiting(), Instant::now())
    }

    /// As [`Queue::call`], for one that can come later.
    pub(crate) async fn newcomer(&self, ask: Ask) -> Result<Answer, StoreError> {
        if self.refuses_newcomers() {
            return Err(StoreError::Overloaded);
        }
        self.call(ask).await
    }

    /// Joins the queue and waits for the answer.
    pub(crate) async fn call(&self, ask: Ask) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let (joined, ahead) = (Instant::now(), self.waiting());
        self.standing.joined(ahead, joined);
        self.pass_on(Call { ask, joined, ahead, tries: 0, reply });
        // A lane that died without an answer has logged why.
        answer.await.unwrap_or(Err(StoreError::Internal))
    }

    fn waiting(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }

    /// The way back for calls that the lanes of this queue try in vain.
    pub(crate) fn way_back(&self) -> WayBack<Ask, Answer> {
        WayBack { sender: self.sender.downgrade(), standing: Arc::clone(&self.standing) }
    }

    /// Puts a call into this queue, keeping its caller; beyond the bound the caller is refused.
    pub(crate) fn pass_on(&self, call: Call<Ask, Answer>) {
        match self.sender.try_send(call) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(call)) => call.answer(Err(StoreError::Overloaded)),
            Err(mpsc::error::TrySendError::Closed(call)) => {
                call.answer(Err(StoreError::Unavailable));
            }
        }
    }
}

/// The way back into a queue for a call that was tried in vain. It does not keep the queue open.
pub(crate) struct WayBack<Ask, Answer> {
    sender: mpsc::WeakSender<Call<Ask, Answer>>,
    standing: Arc<Standing>,
}

impl<Ask, Answer> Clone for WayBack<Ask, Answer> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), standing: Arc::clone(&self.standing) }
    }
}

impl<Ask, Answer> WayBack<Ask, Answer> {
    /// Puts a call behind those that wait, so that it does not keep them from their turn; after
    /// its last try its caller gets `answer`.
    pub(crate) fn try_again(&self, mut call: Call<Ask, Answer>, answer: StoreError) {
        call.tries += 1;
        match self.sender.upgrade() {
            Some(sender) if call.tries < TRIES_MAX => {
                Queue { sender, standing: Arc::clone(&self.standing) }.pass_on(call);
            }
            _ => {
                let tries = call.tries;
                tracing::error!(tries, error = %answer, "a call was tried {tries} times in vain");
                call.answer(Err(answer));
            }
        }
    }
}

/// The lanes' end of a queue, shared by the lanes of one kind.
pub(crate) type Waiting<Ask, Answer> = Arc<Inbox<Ask, Answer>>;

/// The calls that wait, and which lanes may take them: those that have a connection.
#[derive(Debug)]
pub(crate) struct Inbox<Ask, Answer> {
    calls: Mutex<Calls<Ask, Answer>>,
    /// Held by the one lane without a connection that may look for calls and connect.
    turn: Mutex<()>,
    /// How many lanes have a connection.
    connected: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Calls<Ask, Answer> {
    /// The first that waits, if somebody has looked.
    seen: Option<Call<Ask, Answer>>,
    receiver: mpsc::Receiver<Call<Ask, Answer>>,
    standing: Arc<Standing>,
}

impl<Ask, Answer> Inbox<Ask, Answer> {
    /// Waits for a call and takes all that wait, at most `most`. None means that no more will come.
    pub(super) async fn take(&self, most: usize) -> Vec<Call<Ask, Answer>> {
        self.calls.lock().await.take(most).await
    }

    /// Waits until a call waits, and leaves it there. False means that no more will come.
    pub(super) async fn arrival(&self) -> bool {
        let mut calls = self.calls.lock().await;
        if calls.seen.is_none() {
            calls.seen = calls.receiver.recv().await;
        }
        calls.seen.is_some()
    }

    /// Waits for the turn to connect. Lanes connect one by one, so that the one that fails knows
    /// whether another has succeeded, and a database that comes back is not stormed.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Tells all that wait that the database is unavailable, unless a connected lane will come for
    /// them.
    pub(super) async fn refuse_if_none_is_connected(&self) {
        let mut calls = self.calls.lock().await;
        if self.connected.load(Ordering::Acquire) > 0 {
            return;
        }
        let count = calls.receiver.len() + usize::from(calls.seen.is_some());
        if count > 0 {
            for call in calls.take(count).await {
                call.answer(Err(StoreError::Unavailable));
            }
        }
    }

    /// Where lanes are counted that have a connection.
    pub(super) fn connected(&self) -> &Arc<AtomicUsize> {
        &self.connected
    }
}

impl<Ask, Answer> Calls<Ask, Answer> {
    async fn take(&mut self, most: usize) -> Vec<Call<Ask, Answer>> {
        let mut taken = Vec::with_capacity(most);
        taken.extend(self.seen.take());
        if taken.is_empty() || !self.receiver.is_empty() {
            let room = most - taken.len();
            self.receiver.recv_many(&mut taken, room).await;
        }
        if let Some(first) = taken.first() {
            self.standing.taken(first.joined, first.ahead, self.receiver.len(), Instant::now());
        }
        taken
    }
}

#[cfg(test)]
mod tests;
