//! Whether the daemon's passes still come to their end. A loop that hangs, or fails for ever, looks
//! alive from outside; the age of its last good pass tells.

use claims::program::Shutdown;
use claims::program::probes::Ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A daemon is not ready once its last good pass began to be older than this many intervals.
const INTERVALS: u32 = 3;

/// When the last good pass ended. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pulse {
    last: Arc<Mutex<Option<Instant>>>,
    limit: Duration,
    shutdown: Shutdown,
}

impl Pulse {
    /// No pass has ended yet.
    #[must_use]
    pub fn new(interval: Duration, shutdown: Shutdown) -> Self {
        Self { last: Arc::default(), limit: interval * INTERVALS, shutdown }
    }

    /// A pass came to its end.
    pub(crate) fn beat(&self) {
        // An instant is whole whatever happened to the thread that wrote it.
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// What `/readyz` says.
    #[must_use]
    pub fn ready(&self) -> Ready {
        if self.shutdown.is_asked() {
            return Ready::No("stopping");
        }
        match *self.last.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ready::No("no pass has come to its end yet"),
            Some(last) if last.elapsed() > self.limit => {
                Ready::No("the last good pass is older than three intervals")
            }
            Some(_) => Ready::Yes("ready"),
        }
    }
}
