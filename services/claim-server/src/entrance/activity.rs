//! What goes on on a connection: whether there are calls, and whether their answers are taken.
//!
//! Counted, and not timed: a call costs a few additions. Looks at regular intervals tell from the
//! counts what has not moved since the look before.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::sleep;

/// The counts of one connection.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    /// Streams that are open.
    open: AtomicUsize,
    /// How often a stream began or ended.
    changes: AtomicUsize,
    /// Which look for answers that are not taken comes next.
    look: AtomicUsize,
    /// Answers that are still to be taken, by the look that came next when they were given.
    untaken: [AtomicUsize; 3],
}

impl Activity {
    /// A stream begins.
    pub(crate) fn begin(self: &Arc<Self>) -> OpenStream {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
        OpenStream { activity: Arc::clone(self), untaken_since: None }
    }

    /// Whether a stream is open.
    pub(crate) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Relaxed) > 0
    }

    /// Waits until there has been no stream for `limit`, which takes at most twice as long.
    pub(crate) async fn idle(&self, limit: Duration) {
        let mut seen = 0;
        loop {
            sleep(limit).await;
            let changes = self.changes.load(Ordering::Relaxed);
            if changes == seen && !self.is_busy() {
                return;
            }
            seen = changes;
        }
    }

    /// Waits until an answer has not been taken for `limit`, which takes at most twice as long.
    pub(crate) async fn untaken(&self, limit: Duration) {
        loop {
            sleep(limit).await;
            let look = self.look.load(Ordering::Relaxed);
            // Those that were there in the look before. Their place, if it is empty, is the next but
            // one to be used.
            if self.untaken_at(look.wrapping_add(2)).load(Ordering::Relaxed) > 0 {
                return;
            }
            self.look.store(next(look), Ordering::Relaxed);
        }
    }

    fn untaken_at(&self, look: usize) -> &AtomicUsize {
        let [first, second, third] = &self.untaken;
        match look % 3 {
            0 => first,
            1 => second,
            _ => third,
        }
    }
}

/// The number of the next look; the numbers need only tell three looks in a row apart.
const fn next(look: usize) -> usize {
    (look + 1) % 3
}

/// A stream, for as long as it is open.
#[derive(Debug)]
pub(crate) struct OpenStream {
    activity: Arc<Activity>,
    untaken_since: Option<usize>,
}

impl OpenStream {
    /// Its answer is complete, and is to be taken.
    pub(crate) fn answered(&mut self) {
        let look = self.activity.look.load(Ordering::Relaxed);
        self.activity.untaken_at(look).fetch_add(1, Ordering::Relaxed);
        self.untaken_since = Some(look);
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        if let Some(look) = self.untaken_since {
            self.activity.untaken_at(look).fetch_sub(1, Ordering::Relaxed);
        }
        self.activity.changes.fetch_add(1, Ordering::Relaxed);
        self.activity.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::{Instant, advance, timeout};

    const LIMIT: Duration = Duration::from_secs(10);

    async fn ends_within(waited: impl Future<Output = ()>, limit: Duration) -> bool {
        timeout(limit, waited).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_not_idle_while_a_stream_is_open_or_has_just_ended() {
        let activity = Arc::<Activity>::default();
        let stream = activity.begin();
        assert!(!ends_within(activity.idle(LIMIT), LIMIT * 100).await);
        let idle = activity.idle(LIMIT);
        tokio::pin!(idle);
        assert!(!ends_within(idle.as_mut(), LIMIT / 2 * 3).await);
        drop(stream);
        let began = Instant::now();
        // The end is seen in the next look, and nothing more in the one after it.
        idle.await;
        assert!(began.elapsed() >= LIMIT, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_any_stream_is_idle_after_the_limit() {
        let activity = Arc::<Activity>::default();
        assert!(ends_within(activity.idle(LIMIT), LIMIT + Duration::from_millis(1)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_its_time_to_be_taken_and_not_much_more() {
        for delay in [Duration::ZERO, LIMIT / 2, LIMIT, LIMIT * 7 / 2] {
            let activity = Arc::<Activity>::default();
            let looks = Arc::clone(&activity);
            let looking = tokio::spawn(async move { looks.untaken(LIMIT).await });
            sleep(delay + Duration::from_millis(1)).await;
            let mut stream = activity.begin();
            stream.answered();
            let given = Instant::now();
            looking.await.unwrap();
            let waited = given.elapsed();
            assert!((LIMIT..=LIMIT * 2).contains(&waited), "{delay:?}: {waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_are_taken_in_time_are_none_that_wait() {
        let activity = Arc::<Activity>::default();
        // A stream that goes on gives no answer that is complete.
        let _stream = activity.begin();
        let calls = async {
            for _ in 0..100 {
                let mut stream = activity.begin();
                stream.answered();
                advance(LIMIT * 4 / 5).await;
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            () = activity.untaken(LIMIT) => unreachable!("every answer was taken"),
            () = calls => {}
        }
    }
}
