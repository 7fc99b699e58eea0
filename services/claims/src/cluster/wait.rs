//! Waiting for a condition of another process, which can only be asked for again and again.

use std::thread;
use std::time::{Duration, Instant};

/// Short beside the tenth of a second a start takes, long beside the cost of asking.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Asks until the answer is yes; false if it is still no after the limit.
pub(super) fn until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() > limit {
            return false;
        }
        thread::sleep(POLL_INTERVAL);
    }
}
