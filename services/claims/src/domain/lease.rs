//! The lease: the time to which a holder is trusted, by the database clock.

use super::liveness::{self, LivenessRecord};
use super::names::InvalidField;
use super::refusal::Refusal;
use super::time::Timestamp;
use std::time::Duration;

/// Shortest lease (M6).
pub const LEASE_TTL_MIN: Duration = Duration::from_secs(1);
/// Longest lease (M6), and the furthest a lease may lie ahead (H2).
pub const LEASE_TTL_MAX: Duration = Duration::from_secs(600);
/// Lease of a claim whose caller gave none (M6).
pub const LEASE_TTL_DEFAULT: Duration = Duration::from_secs(30);
/// Longest life of a claim that has a ceiling (M6).
pub const MAX_DURATION_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Length of a lease, 1 s … 10 min, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseTtl(Duration);

impl LeaseTtl {
    /// Checks the bounds of M6; a fraction of a millisecond is dropped.
    pub fn parse(length: Duration) -> Result<Self, InvalidField> {
        if !(LEASE_TTL_MIN..=LEASE_TTL_MAX).contains(&length) {
            return Err(InvalidField::new("lease_ttl", "must be between 1 s and 10 min"));
        }
        Ok(Self(whole_millis(length)))
    }

    /// The length.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The lengths of a claim by M6: its lease, and its whole life if that is limited.
    ///
    /// A ceiling below the default lease, without a given lease, makes the lease equal to it.
    pub fn of_claim(
        lease_ttl: Option<Duration>,
        max_duration: Option<Duration>,
    ) -> Result<(Self, Option<Duration>), InvalidField> {
        let ceiling = max_duration.map(whole_millis);
        let ttl = match (lease_ttl, max_duration) {
            (Some(length), _) => Self::parse(length)?,
            (None, Some(max)) if max < LEASE_TTL_DEFAULT => {
                Self::parse(max).map_err(|_| out_of_bounds())?
            }
            (None, _) => Self(LEASE_TTL_DEFAULT),
        };
        match max_duration {
            Some(max) if max < ttl.0 || max > MAX_DURATION_MAX => Err(out_of_bounds()),
            _ => Ok((ttl, ceiling)),
        }
    }
}

fn out_of_bounds() -> InvalidField {
    InvalidField::new("max_duration", "must be at least lease_ttl and at most 24 h")
}

fn whole_millis(length: Duration) -> Duration {
    let below_a_milli = Duration::from_nanos(u64::from(length.subsec_nanos() % 1_000_000));
    length.saturating_sub(below_a_milli)
}

/// The living half of a claim. A terminal claim keeps the final one (I7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// When the lease lapses; never absent.
    pub expires_at: Timestamp,
    /// The claim's own length of lease.
    pub ttl: LeaseTtl,
    /// The end of the claim's whole life, if that is limited.
    pub ceiling_at: Option<Timestamp>,
    /// The last heartbeat, if there was any.
    pub last_heartbeat_at: Option<Timestamp>,
    /// When the holder was last heard of: mint, re-mint or heartbeat.
    pub heard_at: Timestamp,
    /// The holder is asked to finish at its next checkpoint (H5).
    pub stop: bool,
}

impl Lease {
    /// The first lease of a claim minted at `now` ends at min(now + ttl, ceiling) (M6).
    #[must_use]
    pub fn first(now: Timestamp, ttl: LeaseTtl, max_duration: Option<Duration>) -> Self {
        let ceiling_at = max_duration.map(|max| now + max);
        let wished = now + ttl.get();
        Self {
            expires_at: ceiling_at.map_or(wished, |ceiling| wished.min(ceiling)),
            ttl,
            ceiling_at,
            last_heartbeat_at: None,
            heard_at: now,
            stop: false,
        }
    }

    /// H2 and H4: the lease after a renewal at `now`; never earlier than it was, never beyond the
    /// ceiling, refused at or after the ceiling.
    ///
    /// A lease further ahead than now + 10 min can only mean that the database clock stepped back;
    /// it is cut to that.
    pub fn renewed(&self, now: Timestamp, ttl: Option<LeaseTtl>) -> Result<Self, Refusal> {
        if self.ceiling_at.is_some_and(|ceiling| ceiling <= now) {
            return Err(Refusal::CeilingReached);
        }
        let wished = now + ttl.unwrap_or(self.ttl).get();
        let wished = self.ceiling_at.map_or(wished, |ceiling| wished.min(ceiling));
        let kept = self.expires_at.min(now + LEASE_TTL_MAX);
        Ok(Self { expires_at: kept.max(wished), heard_at: now, ..*self })
    }

    /// A fact of time: the holder is no longer trusted.
    #[must_use]
    pub fn has_lapsed(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// The moment from which the claim may be ended without its holder; see [`takeable_at`].
    #[must_use]
    pub fn takeable_at(&self, record: &LivenessRecord, now: Timestamp) -> Timestamp {
        takeable_at(self.expires_at, self.heard_at, record, now)
    }

    /// Whether a mint or the reaper may end the claim at `now`.
    #[must_use]
    pub fn is_takeable(&self, record: &LivenessRecord, now: Timestamp) -> bool {
        self.takeable_at(record, now) <= now
    }
}

/// The moment from which a claim may be ended without its holder: lapsed, and its holder had its
/// chance to say otherwise after the last outage.
///
/// While an outage lasts, the moment moves along with `now`. With an outage grace of zero, outages
/// play no part.
#[must_use]
pub fn takeable_at(
    lease_expires_at: Timestamp,
    heard_at: Timestamp,
    record: &LivenessRecord,
    now: Timestamp,
) -> Timestamp {
    let grace = liveness::outage_grace(record);
    let resumed = liveness::resumed(record, now);
    if grace.is_zero() || heard_at >= resumed {
        return lease_expires_at;
    }
    lease_expires_at.max(resumed + grace)
}
