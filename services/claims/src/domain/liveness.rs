//! When the service was last able to hear a heartbeat (R6).
//!
//! Every server signs a one-row record every two seconds over the path that serves heartbeats. A
//! hole in the signatures is an outage: while it lasts nobody could heartbeat, so nobody may be
//! held to a lease. *Resumed* is the moment the last outage ended.

use super::time::Timestamp;
use std::time::Duration;

/// A signature this far from now, either way, no longer shows that the service is up (R6).
pub const SIGNATURE_STALE_AFTER: Duration = Duration::from_secs(5);
/// The outage grace while no server has left its own in the record.
pub const OUTAGE_GRACE_DEFAULT: Duration = Duration::from_secs(30);

/// The liveness record as one transaction read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Liveness {
    /// The last signature of any server.
    pub last_signed_at: Timestamp,
    /// The end of the last outage.
    pub resumed_at: Timestamp,
    /// How long after `resumed_at` a claim that was last heard of before it is protected.
    pub outage_grace: Duration,
}

/// A missing record is an outage that has not ended.
pub type LivenessRecord = Option<Liveness>;

/// No server is known to be up at this moment: the record is missing or its signature is stale.
#[must_use]
pub fn is_outage(record: &LivenessRecord, now: Timestamp) -> bool {
    record.is_none_or(|liveness| {
        now.since(liveness.last_signed_at) > SIGNATURE_STALE_AFTER
            || liveness.last_signed_at.since(now) > SIGNATURE_STALE_AFTER
    })
}

/// When the service last came back: now, as long as an outage lasts.
#[must_use]
pub fn resumed(record: &LivenessRecord, now: Timestamp) -> Timestamp {
    match record {
        Some(liveness) if !is_outage(record, now) => liveness.resumed_at,
        _ => now,
    }
}

/// The outage grace in force.
#[must_use]
pub fn outage_grace(record: &LivenessRecord) -> Duration {
    record.map_or(OUTAGE_GRACE_DEFAULT, |liveness| liveness.outage_grace)
}
