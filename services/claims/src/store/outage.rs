//! An outage in the log: one error at its beginning, one line at its end.

use crate::chain;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says once that reads fail, and once that they do not any more.
#[derive(Default)]
pub(super) struct Outage {
    has_begun: AtomicBool,
}

impl Outage {
    /// Something has failed: an error at first, then as long as nothing succeeds only for debugging.
    pub(super) fn goes_on(&self, error: &(dyn Error + 'static), what: &str) {
        let error = chain(error);
        if self.has_begun.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "{what} again");
        } else {
            tracing::error!(%error, "{what}");
        }
    }

    /// Something has succeeded.
    pub(super) fn is_over(&self) {
        if self.has_begun.load(Ordering::Relaxed) && self.has_begun.swap(false, Ordering::Relaxed) {
            tracing::info!("reads are served again");
        }
    }
}
