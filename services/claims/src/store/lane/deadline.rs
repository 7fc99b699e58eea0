//! Until when a call may be begun: the deadline of its caller, which goes with it into the queues.
//!
//! A caller whose time is up drops its call. But a process that was stopped finds both due when it goes
//! on, the calls in its queues and the timers that would drop them. Whatever it did then nobody waits for
//! any more; and a mint would take the token of the one that its caller was granted elsewhere meanwhile.

use std::time::Instant;

tokio::task_local! {
    static DEADLINE: Instant;
}

/// Runs `call`. What it asks a store to decide or to renew is not begun after `deadline`, and then is
/// answered with [`StoreError::TimedOut`](crate::store::StoreError::TimedOut). A decision is not
/// begun again either when its session was lost; a heartbeat may be, since it may be repeated (H6).
pub async fn until<T>(deadline: Instant, call: impl Future<Output = T>) -> T {
    DEADLINE.scope(deadline, call).await
}

/// The deadline of the call that runs here, if it has one.
pub(super) fn deadline() -> Option<Instant> {
    DEADLINE.try_with(|deadline| *deadline).ok()
}
