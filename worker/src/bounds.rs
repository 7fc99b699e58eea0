//! When a pass has to come to its end, between two steps.

use claims::program::Shutdown;
use std::time::{Duration, Instant};

/// Until when a part of a pass may begin another step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Until<'s> {
    deadline: Option<Instant>,
    shutdown: &'s Shutdown,
}

impl<'s> Until<'s> {
    /// Until then, if that is limited, and not beyond the moment at which the program is asked to
    /// stop.
    pub(crate) fn new(deadline: Option<Instant>, shutdown: &'s Shutdown) -> Self {
        Self { deadline, shutdown }
    }

    /// The program is asked to stop.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shutdown.is_asked()
    }

    /// No other step may begin.
    pub(crate) fn is_over(&self) -> bool {
        self.is_stopped() || self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// What is left, or `most` if that is less.
    pub(crate) fn remaining(&self, most: Duration) -> Duration {
        let left = |deadline: Instant| deadline.saturating_duration_since(Instant::now()).min(most);
        self.deadline.map_or(most, left)
    }
}
