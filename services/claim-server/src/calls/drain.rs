//! The drain: once it has begun, new calls are turned away and the ones in flight are waited for.
//! Health checks are served to the end, since they are how balancers learn of it.
//!
//! A stream is a call in flight only until it begins. From then on it stays, and its part is to end
//! by itself when it is told so; it is waited for separately, because a client that does not read
//! can make that take as long as it likes.

use super::method::Method;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Whether the server drains, and which calls it still owes an answer. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    begun: CancellationToken,
    in_flight: TaskTracker,
    streams: TaskTracker,
}

impl Drain {
    /// Lets a call in and counts it until the token is dropped; none if it is to be turned away.
    pub(super) fn admit(&self, method: Method) -> Option<InFlight> {
        if method.stays_while_draining() {
            return Some(InFlight(None));
        }
        // Counted before the look, so that no call slips in between the look and the wait.
        let counted = self.in_flight.token();
        (!self.begun.is_cancelled()).then_some(InFlight(Some(counted)))
    }

    /// Whether new calls are turned away.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.is_cancelled()
    }

    /// Lets a stream stay until it is told to end, and counts it until the token is dropped.
    pub(crate) fn stay(&self) -> Stay {
        Stay { begun: self.begun.clone(), _counted: self.streams.token() }
    }

    /// Turns new calls away from now on, and tells streams to end.
    pub(crate) fn begin(&self) {
        self.begun.cancel();
        self.in_flight.close();
        self.streams.close();
    }

    /// Completes when the drain has begun and the last call has its answer.
    pub(crate) async fn finished(&self) {
        self.in_flight.wait().await;
    }

    /// Calls that have no answer yet.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Completes when the drain has begun and the last stream has ended.
    pub(crate) async fn streams_ended(&self) {
        self.streams.wait().await;
    }

    /// Streams that have not ended.
    pub(crate) fn streams(&self) -> usize {
        self.streams.len()
    }
}

/// A stream that may last until the server drains.
pub(crate) struct Stay {
    begun: CancellationToken,
    _counted: TaskTrackerToken,
}

impl Stay {
    /// Completes when the stream is to end.
    pub(crate) async fn over(&self) {
        self.begun.cancelled().await;
    }
}

/// A call that was let in; health checks are not counted, since a watch has no end.
pub(super) struct InFlight(
    #[expect(dead_code, reason = "counts while it lives")] Option<TaskTrackerToken>,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn heartbeat() -> Method {
        Method::of("/claim.v1.ClaimService/Heartbeat")
    }

    #[tokio::test]
    async fn a_drain_waits_for_calls_in_flight_and_for_no_health_watch() {
        let drain = Drain::default();
        let call = drain.admit(heartbeat());
        let watch = drain.admit(Method::of("/grpc.health.v1.Health/Watch"));
        drain.begin();
        assert_eq!(drain.in_flight(), 1);
        drop(call);
        drain.finished().await;
        drop(watch);
    }

    #[tokio::test]
    async fn a_stream_is_told_to_end_and_is_no_call_in_flight() {
        let drain = Drain::default();
        let stay = drain.stay();
        drain.begin();
        stay.over().await;
        drain.finished().await;
        assert_eq!(drain.streams(), 1);
        drop(stay);
        drain.streams_ended().await;
    }

    #[test]
    fn a_draining_server_turns_calls_away_but_not_health_checks() {
        let drain = Drain::default();
        drain.begin();
        assert!(drain.admit(heartbeat()).is_none());
        assert!(drain.admit(Method::of("/unknown")).is_none());
        assert!(drain.admit(Method::of("/grpc.health.v1.Health/Check")).is_some());
    }
}
