//! One heartbeat among many. Each goes through the store by itself, where those that wait at the
//! same time are renewed together, and each has an answer of its own.

use crate::calls::method::Method;
use crate::metrics::Metrics;
use crate::status;
use crate::wire::stream::Outcome;
use claims::domain::{Heartbeat, Renewal};
use claims::store::{ClaimStore, StoreError};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};
use tonic::Status;

/// The most time of a heartbeat, by contract: its holder sends it again after that.
pub(crate) const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the store says of a heartbeat, if it does so in time.
pub(crate) type Answer = Result<Result<Renewal, StoreError>, Elapsed>;

/// Puts a heartbeat through. One that is not answered in time is dropped, and its outcome is
/// unknown; it may be repeated at will (H6).
pub(crate) async fn one(store: &ClaimStore, heartbeat: Heartbeat, until: Instant) -> Answer {
    timeout_at(until, store.heartbeat(heartbeat)).await
}

/// Heartbeats among many, as they are answered and counted.
#[derive(Clone, Copy)]
pub(crate) struct Beats<'m> {
    /// What they came by.
    pub(crate) method: Method,
    /// Where the refused ones are counted.
    pub(crate) metrics: &'m Metrics,
}

impl Beats<'_> {
    /// Puts the heartbeats of a batch through, in its order. All wait together, so that one that cannot
    /// be answered keeps no other from its answer.
    pub(crate) async fn all(
        self,
        store: &ClaimStore,
        batch: Vec<Result<Heartbeat, Status>>,
        until: Instant,
    ) -> Vec<Outcome> {
        let each = batch.into_iter().map(async |heartbeat| match heartbeat {
            Ok(heartbeat) => self.outcome(one(store, heartbeat, until).await),
            Err(status) => self.refused(&status),
        });
        join_all(each).await
    }

    /// An answer as it is told.
    pub(crate) fn outcome(self, answer: Answer) -> Outcome {
        match answer {
            Ok(Ok(renewal)) => Ok(renewal),
            Ok(Err(error)) => self.refused(&status::of(error)),
            Err(Elapsed { .. }) => self.refused(&status::timed_out()),
        }
    }

    /// What becomes of a heartbeat that is not renewed.
    pub(crate) fn refused(self, status: &Status) -> Outcome {
        self.metrics.refused_with(self.method, status);
        Err(status::told(status))
    }
}
