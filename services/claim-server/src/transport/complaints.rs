//! Complaints about others, of whom there may be any number: one line of log now and then, that says
//! how many there were.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// From one line to the next.
const COMPLAINT_INTERVAL: Duration = Duration::from_secs(10);

/// Complaints of one kind.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    count: u64,
    told_at: Option<Instant>,
}

impl Complaints {
    /// Counts one more. If it is time to say something: how many there were since the last line.
    pub(crate) fn one_more(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.count += 1;
        if state.told_at.is_some_and(|at| at.elapsed() < COMPLAINT_INTERVAL) {
            return None;
        }
        state.told_at = Some(Instant::now());
        Some(std::mem::take(&mut state.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn none_is_lost_although_few_are_told() {
        let complaints = Complaints::default();
        assert_eq!(complaints.one_more(), Some(1));
        for _ in 0..1000 {
            assert_eq!(complaints.one_more(), None);
        }
        tokio::time::advance(COMPLAINT_INTERVAL).await;
        assert_eq!(complaints.one_more(), Some(1001));
        assert_eq!(complaints.one_more(), None);
    }
}
