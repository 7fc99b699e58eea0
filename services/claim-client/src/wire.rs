//! From what the wire says to what a lease takes note of. None where the contract's fields are
//! missing: what was not promised is not assumed.

use crate::lease::Renewal;
use claim_proto::v1;
use std::time::Duration;

/// A length that is to come; none if it is missing or negative.
pub(crate) fn length(told: Option<prost_types::Duration>) -> Option<Duration> {
    told.and_then(|told| told.try_into().ok())
}

/// What an accepted heartbeat promises.
pub(crate) fn renewed(answer: &v1::HeartbeatResponse) -> Option<Renewal> {
    Some(Renewal {
        remaining: length(answer.lease_remaining)?,
        interval: length(answer.heartbeat_interval)?,
        ceiling_remaining: length(answer.ceiling_remaining),
        stop: answer.directive() == v1::HeartbeatDirective::Stop,
    })
}

/// What an accepted mint promises.
pub(crate) fn minted(
    claim: &v1::Claim,
    interval: Option<prost_types::Duration>,
) -> Option<Renewal> {
    Some(Renewal {
        remaining: length(claim.lease_remaining)?,
        interval: length(interval)?,
        ceiling_remaining: ceiling_remaining(claim),
        stop: false,
    })
}

/// The time to the ceiling. No clock of one's own is needed: both times are the database's.
fn ceiling_remaining(claim: &v1::Claim) -> Option<Duration> {
    let (ceiling, lease_end) = (claim.ceiling_time?, claim.lease_expire_time?);
    let nanos = |time: prost_types::Timestamp| {
        i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
    };
    let beyond = (nanos(ceiling) - nanos(lease_end)).max(0);
    let beyond = Duration::from_nanos(u64::try_from(beyond).unwrap_or(u64::MAX));
    Some(length(claim.lease_remaining)?.saturating_add(beyond))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(seconds: i64, nanos: i32) -> Option<prost_types::Timestamp> {
        Some(prost_types::Timestamp { seconds, nanos })
    }

    fn seconds(seconds: i64) -> Option<prost_types::Duration> {
        Some(prost_types::Duration { seconds, nanos: 0 })
    }

    #[test]
    fn the_time_to_the_ceiling_is_the_leases_and_what_lies_between_their_ends() {
        let claim = v1::Claim {
            lease_remaining: seconds(30),
            lease_expire_time: time(1000, 700_000_000),
            ceiling_time: time(1010, 200_000_000),
            ..v1::Claim::default()
        };
        let promised = minted(&claim, seconds(10)).unwrap();
        assert_eq!(promised.ceiling_remaining, Some(Duration::from_millis(39_500)));
    }

    #[test]
    fn an_answer_that_promises_no_lease_promises_nothing() {
        let answer =
            v1::HeartbeatResponse { heartbeat_interval: seconds(10), ..Default::default() };
        assert_eq!(renewed(&answer), None);
        let negative = v1::HeartbeatResponse { lease_remaining: seconds(-1), ..answer };
        assert_eq!(renewed(&negative), None);
    }
}
