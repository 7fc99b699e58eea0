//! When a queue stands.
//!
//! A queue that is never empty for a while *stands*: more comes than the lanes serve, and whatever
//! joins only makes everybody wait longer. A number alone cannot tell that from a burst, which an
//! idle service takes in and works off. So a standing queue takes newcomers only up to the length
//! that its lanes serve in [`WAIT`], as the calls that left it have found (Little's law: who waited w while n
//! others were taken shows that n / w are served in a second).
//!
//! What counts is how many are taken before a newcomer, which is fewer than wait if these are mostly of
//! one tenant: the queue serves tenants in turn, and a tenant that floods it makes itself wait.
//!
//! It is for newcomers that can come later as well. Who has something already, a claim to keep or to
//! end, is bounded by number only.

use std::time::{Duration, Instant};

/// How long a call may wait in a queue that stands: a fraction of what a refused one is told to stay
/// away, so that waiting is better for it than being refused, and several times what a batch takes, so
/// that lanes never wait for calls. Measured with ten times as many mints as the server manages: with
/// 100 ms and [`NEWCOMERS_MAX`] of 1 024, refusals had a p99 of 43 ms; with 250 ms and 2 048, 94 ms;
/// with 250 ms and 8 192, 133 ms. Goodput was 89 % of peak or more with each.
const WAIT: Duration = Duration::from_millis(100);
/// A queue that was empty so lately does not stand: what comes is a burst.
const BURST: Duration = Duration::from_millis(500);
/// Most newcomers that wait, however short the burst. Taking each in costs the server some ten times
/// what a refusal does, so that who comes behind them waits for it, refused or not; and the rest of the
/// queue is left to those who have something.
pub(super) const NEWCOMERS_MAX: usize = 1_024;
/// What a standing queue takes at least: a batch for each lane, lest a slow one finds none.
const LEAST: usize = 256;
/// The fewest calls that tell a pace.
const LEAST_MEASURED: u64 = 256;

/// What is known of a queue's pace.
#[derive(Debug)]
pub(super) struct Standing {
    /// When it was last seen empty.
    empty: Instant,
    /// How many calls are served in [`WAIT`].
    fits: usize,
}

impl Standing {
    pub(super) fn new(now: Instant) -> Self {
        Self { empty: now, fits: LEAST }
    }

    /// Whether a newcomer is to come later, when so many would be taken before it.
    pub(super) fn refuses(&self, ahead: usize, now: Instant) -> bool {
        ahead >= NEWCOMERS_MAX || ahead >= self.fits && self.stands(now)
    }

    /// Nobody waits.
    pub(super) fn is_empty(&mut self, now: Instant) {
        self.empty = now;
    }

    /// A call that has waited since it joined has its turn, after so many others.
    pub(super) fn taken(&mut self, joined: Instant, after: u64, now: Instant) {
        // Few calls say nothing of the pace.
        if after >= LEAST_MEASURED {
            let waited = now.saturating_duration_since(joined).as_micros().max(1);
            let fits = u128::from(after) * WAIT.as_micros() / waited;
            self.fits = usize::try_from(fits).unwrap_or(usize::MAX).max(LEAST);
        }
    }

    /// How many newcomers it takes while it stands.
    #[cfg(test)]
    pub(super) fn fits(&self) -> usize {
        self.fits
    }

    /// As if it had been empty earlier.
    #[cfg(test)]
    pub(super) fn age(&mut self, by: Duration) {
        self.empty = self.empty.checked_sub(by).unwrap();
    }

    fn stands(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.empty) > BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    /// A queue that was empty at `begin` and whose lanes serve four calls a millisecond.
    fn busy(begin: Instant) -> Standing {
        let mut standing = Standing::new(begin);
        standing.taken(begin, 4_000, begin + 1_000 * MILLI);
        standing
    }

    #[test]
    fn a_burst_is_taken_in_whole_by_a_queue_that_was_empty() {
        let begin = Instant::now();
        let mut standing = Standing::new(begin);
        let later = begin + 3_600_000 * MILLI;
        standing.is_empty(later);
        assert!((1..NEWCOMERS_MAX).all(|ahead| !standing.refuses(ahead, later + BURST)));
    }

    #[test]
    fn a_queue_that_is_never_empty_takes_what_its_lanes_serve_in_the_wait() {
        let begin = Instant::now();
        let standing = busy(begin);
        let now = begin + 1_000 * MILLI;
        assert!(!standing.refuses(399, now));
        assert!(standing.refuses(400, now));
    }

    #[test]
    fn a_slower_pace_lets_fewer_wait_and_never_less_than_the_least() {
        let begin = Instant::now();
        let mut standing = busy(begin);
        let now = begin + 20_000 * MILLI;
        standing.taken(begin, 60_000, now);
        assert!(standing.refuses(300, now) && !standing.refuses(299, now));
        standing.taken(begin, LEAST_MEASURED, now);
        assert!(standing.refuses(LEAST, now) && !standing.refuses(LEAST - 1, now));
    }

    #[test]
    fn a_queue_that_was_empty_again_does_not_stand() {
        let begin = Instant::now();
        let mut standing = busy(begin);
        let now = begin + 2_000 * MILLI;
        assert!(standing.refuses(1_000, now));
        standing.is_empty(now);
        assert!(!standing.refuses(1_000, now));
    }
}
