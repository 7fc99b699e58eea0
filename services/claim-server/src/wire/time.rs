//! Durations and moments. Callers send durations only; moments are told, never asked.

use claims::domain::{InvalidField, Timestamp};
use std::time::Duration;

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i64 = 1_000;
const NANOS_PER_SECOND: u32 = 1_000_000_000;

/// A duration that a caller sent. One that is negative or not in normal form (nanoseconds of a
/// second or more) is refused under the field's name; how long it may be is the domain's business.
pub(super) fn duration(
    field: &'static str,
    value: prost_types::Duration,
) -> Result<Duration, InvalidField> {
    let seconds = u64::try_from(value.seconds);
    let nanos = u32::try_from(value.nanos).map(|nanos| (nanos, nanos < NANOS_PER_SECOND));
    match (seconds, nanos) {
        (Ok(seconds), Ok((nanos, true))) => Ok(Duration::new(seconds, nanos)),
        (Ok(_), Ok((_, false))) => {
            Err(InvalidField::new(field, "has nanoseconds of a second or more"))
        }
        (Err(_), _) | (_, Err(_)) => Err(InvalidField::new(field, "must not be negative")),
    }
}

/// A length as it is told. What no message can hold, some 292 billion years, becomes the longest.
pub(super) fn told_duration(length: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(length.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(length.subsec_nanos()).unwrap_or(i32::MAX),
    }
}

/// A moment as it is told.
pub(super) fn told_time(moment: Timestamp) -> prost_types::Timestamp {
    let micros = moment.unix_micros();
    let nanos = micros.rem_euclid(MICROS_PER_SECOND) * NANOS_PER_MICRO;
    prost_types::Timestamp {
        seconds: micros.div_euclid(MICROS_PER_SECOND),
        nanos: i32::try_from(nanos).unwrap_or(i32::MAX),
    }
}

/// A moment in RFC 3339 and UTC, as it stands in the metadata of a refusal.
pub(crate) fn rfc3339(moment: Timestamp) -> String {
    told_time(moment).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(seconds: i64, nanos: i32) -> Result<Duration, InvalidField> {
        duration("lease_ttl", prost_types::Duration { seconds, nanos })
    }

    #[test]
    fn a_duration_in_normal_form_is_taken_as_it_is() {
        assert_eq!(sent(0, 0), Ok(Duration::ZERO));
        assert_eq!(sent(30, 999_999_999), Ok(Duration::new(30, 999_999_999)));
        assert_eq!(sent(i64::MAX, 0).unwrap().subsec_nanos(), 0);
    }

    #[test]
    fn a_duration_that_is_negative_or_not_normal_is_refused() {
        let cases = [
            (-1, 0),
            (0, -1),
            (1, -1),
            (-1, 999_999_999),
            (i64::MIN, i32::MIN),
            (30, 1_000_000_000),
            (0, i32::MAX),
        ];
        for (seconds, nanos) in cases {
            let refused = sent(seconds, nanos).unwrap_err();
            assert_eq!(refused.field, "lease_ttl", "{seconds} s {nanos} ns");
        }
    }

    #[test]
    fn a_length_is_told_exactly() {
        let told = told_duration(Duration::new(7, 8));
        assert_eq!((told.seconds, told.nanos), (7, 8));
        assert_eq!(told_duration(Duration::MAX).seconds, i64::MAX);
    }

    #[test]
    fn a_moment_before_1970_has_nanoseconds_that_count_forward() {
        let told = told_time(Timestamp::from_unix_micros(-1));
        assert_eq!((told.seconds, told.nanos), (-1, 999_999_000));
    }

    #[test]
    fn a_moment_prints_in_rfc_3339_and_utc() {
        let moment = |micros| rfc3339(Timestamp::from_unix_micros(micros));
        assert_eq!(moment(1_764_580_705_000_000), "2025-12-01T09:18:25Z");
        assert_eq!(moment(1_764_580_705_250_000), "2025-12-01T09:18:25.250Z");
        assert_eq!(moment(1_764_580_705_000_001), "2025-12-01T09:18:25.000001Z");
    }
}
