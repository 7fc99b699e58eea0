//! A gate in a store's batches: where they stop with their locks held until a test lets them go on.

use crate::store::PauseHook;
use futures_util::FutureExt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{Semaphore, watch};

use super::PATIENCE;

/// Stops batches of decisions between load and write.
///
/// Postgres ends a session that stays in a transaction for longer than
/// [`IDLE_IN_TRANSACTION_TIMEOUT`](crate::store::IDLE_IN_TRANSACTION_TIMEOUT), so a test that wants
/// the batch to succeed opens the gate soon.
pub struct Gate {
    open: watch::Sender<bool>,
    entries: Arc<Semaphore>,
    /// Batches that may go on although the gate is closed.
    passes: Arc<Semaphore>,
}

impl Gate {
    /// A gate that lets every batch pass until it is closed.
    #[must_use]
    pub fn open() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self { open: watch::Sender::new(true), entries: none(), passes: none() }
    }

    /// A gate that stops every batch.
    #[must_use]
    pub fn closed() -> Self {
        let gate = Self::open();
        gate.close();
        gate
    }

    /// What the store runs between load and write.
    #[must_use]
    pub fn hook(&self) -> PauseHook {
        let (open, entries) = (self.open.subscribe(), Arc::clone(&self.entries));
        let passes = Arc::clone(&self.passes);
        Arc::new(move || {
            let (mut open, entries) = (open.clone(), Arc::clone(&entries));
            let passes = Arc::clone(&passes);
            async move {
                if *open.borrow() {
                    return;
                }
                entries.add_permits(1);
                let opened = async {
                    // A gate that is gone stays as it was.
                    if open.wait_for(|open| *open).await.is_err() {
                        std::future::pending::<()>().await;
                    }
                };
                tokio::select! {
                    () = opened => {}
                    Ok(pass) = passes.acquire() => pass.forget(),
                }
            }
            .boxed()
        })
    }

    /// Stops the batches that come.
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    /// Lets those that stopped go on, and those that come pass.
    pub fn let_pass(&self) {
        self.open.send_replace(true);
    }

    /// Lets one batch go on; those that come stop.
    pub fn let_one_pass(&self) {
        self.passes.add_permits(1);
    }

    /// Waits until one more batch has stopped here.
    pub async fn entered(&self) {
        let entry = tokio::time::timeout(PATIENCE, self.entries.acquire()).await;
        entry.expect("a batch comes to the gate").expect("the gate is there").forget();
    }
}

/// A call that has joined its queue.
pub type Queued<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Makes a call join its queue, which happens at the first poll of its future, and no more.
pub async fn queued<'a, T>(call: impl Future<Output = T> + Send + 'a) -> Queued<'a, T> {
    let mut call = Box::pin(call);
    let answered = poll_fn(|context| Poll::Ready(call.as_mut().poll(context).is_ready())).await;
    assert!(!answered, "the call waits for its answer");
    call
}

/// Waits for something else while a call has no answer; panics with the answer if one comes first.
pub async fn unanswered<T: std::fmt::Debug>(
    call: &mut Queued<'_, T>,
    until: impl Future<Output = ()>,
) {
    tokio::select! {
        biased;
        answer = call => panic!("the call was answered too early: {answer:?}"),
        () = until => {}
    }
}
