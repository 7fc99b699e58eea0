//! Lengths of time that differ a little each time, so that callers who began together do not come
//! back together.

use std::time::Duration;

/// The length, up to a tenth shorter or longer (H5), in whole milliseconds where that is possible.
pub(crate) fn by_a_tenth(length: Duration) -> Duration {
    let tenth = u64::try_from(length.as_millis() / 10).unwrap_or(u64::MAX / 4);
    length.saturating_sub(Duration::from_millis(tenth))
        + Duration::from_millis(fastrand::u64(..=tenth.saturating_mul(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jittered_length_stays_within_a_tenth() {
        let length = Duration::from_secs(10);
        for _ in 0..1000 {
            let jittered = by_a_tenth(length);
            assert!(
                (Duration::from_secs(9)..=Duration::from_secs(11)).contains(&jittered),
                "{jittered:?}"
            );
        }
    }

    #[test]
    fn jittered_lengths_differ() {
        let length = Duration::from_secs(10);
        let first = by_a_tenth(length);
        assert!((0..100).any(|_| by_a_tenth(length) != first));
    }
}
