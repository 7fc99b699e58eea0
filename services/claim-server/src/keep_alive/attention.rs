//! Whether there are any streams, and whether the herald speaks to them. It follows the events only
//! while there is a stream, so that a server without any asks the database nothing; and a stream
//! waits for it before it reads its first request, so that it misses nothing.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a stream waits for the herald. A database that answers is followed within a fraction of
/// it; while it does not, there is nothing to be missed.
const HERALD_PATIENCE: Duration = Duration::from_secs(1);
/// For how long the events are followed after the last stream, so that one that comes back soon does
/// not make the herald begin anew.
const LINGER: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Attention {
    streams: Arc<watch::Sender<usize>>,
    is_paid: watch::Sender<bool>,
}

/// A stream that is there until this is dropped.
pub(super) struct Presence {
    streams: Arc<watch::Sender<usize>>,
}

/// The herald speaks.
pub(super) struct Paid<'a> {
    attention: &'a Attention,
}

impl Drop for Paid<'_> {
    fn drop(&mut self) {
        self.attention.is_paid.send_replace(false);
    }
}

impl Default for Attention {
    fn default() -> Self {
        Self { streams: Arc::new(watch::Sender::new(0)), is_paid: watch::Sender::new(false) }
    }
}

impl Attention {
    /// A stream comes.
    pub(super) fn come(&self) -> Presence {
        self.streams.send_modify(|count| *count += 1);
        Presence { streams: self.streams.clone() }
    }

    /// Completes when the herald speaks to the streams, or cannot be waited for any longer.
    pub(super) async fn paid(&self) {
        let mut is_paid = self.is_paid.subscribe();
        // Without it, heartbeats tell what it would have said.
        let _ = timeout(HERALD_PATIENCE, is_paid.wait_for(|is_paid| *is_paid)).await;
    }

    /// The herald speaks, until this is dropped: also by a panic.
    pub(super) fn pay(&self) -> Paid<'_> {
        self.is_paid.send_replace(true);
        Paid { attention: self }
    }

    /// Completes when there is a stream.
    pub(super) async fn wanted(&self) {
        self.until(|count| count > 0).await;
    }

    /// Completes when there has been no stream for a while.
    pub(super) async fn unwanted(&self) {
        loop {
            self.until(|count| count == 0).await;
            if timeout(LINGER, self.wanted()).await.is_err() {
                return;
            }
        }
    }

    async fn until(&self, holds: impl Fn(usize) -> bool) {
        // The sender is borrowed, so the channel cannot be closed.
        let _ = self.streams.subscribe().wait_for(|count| holds(*count)).await;
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.streams.send_modify(|count| *count -= 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use tokio::time::{Instant, advance};

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_for_the_herald_but_not_for_long() {
        let attention = Attention::default();
        let begin = Instant::now();
        attention.paid().await;
        assert_eq!(begin.elapsed(), HERALD_PATIENCE);
        let paid = attention.pay();
        attention.paid().now_or_never().unwrap();
        drop(paid);
        assert!(attention.paid().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_herald_that_panics_speaks_no_more() {
        let attention = Attention::default();
        let herald = std::panic::AssertUnwindSafe(async {
            let _paid = attention.pay();
            panic!("a bug");
        });
        herald.catch_unwind().now_or_never().unwrap().unwrap_err();
        assert!(attention.paid().now_or_never().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn the_herald_is_wanted_while_there_is_a_stream_and_for_a_while_after() {
        let attention = Attention::default();
        assert!(attention.wanted().now_or_never().is_none());
        let stream = attention.come();
        attention.wanted().now_or_never().unwrap();
        let mut unwanted = Box::pin(attention.unwanted());
        assert!(unwanted.as_mut().now_or_never().is_none());
        drop(stream);
        // One that comes in time keeps it.
        assert!(unwanted.as_mut().now_or_never().is_none());
        advance(LINGER / 2).await;
        let stream = attention.come();
        advance(LINGER).await;
        assert!(unwanted.as_mut().now_or_never().is_none());
        drop(stream);
        let begin = Instant::now();
        unwanted.await;
        assert_eq!(begin.elapsed(), LINGER);
    }
}
