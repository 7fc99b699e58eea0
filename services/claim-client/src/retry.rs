//! How long to wait before something is tried again.

use crate::error::Failure;
use crate::limits::{BACKOFF_FIRST, BACKOFF_MAX, SWITCH_PAUSE_MAX};
use std::time::Duration;
use tonic::Code;

/// Doublings after which [`BACKOFF_MAX`] is reached in any case.
const DOUBLINGS_MAX: u32 = 16;

/// How often something has failed in a row, and what follows from it. Pure; chance comes from
/// outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// How often it has failed.
    pub(crate) fn failures(self) -> u32 {
        self.failures
    }

    /// It went well: the next failure is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Counts a failure that concerns the server, and gives the pause before the next attempt, at
    /// the next server. While there are servers that have not been asked, nobody has to wait.
    pub(crate) fn elsewhere(&mut self, failure: &Failure, servers: usize, chance: f64) -> Duration {
        let asked = usize::try_from(self.failures).unwrap_or(usize::MAX).saturating_add(1);
        if may_help_elsewhere(failure) && asked < servers {
            self.failures += 1;
            return SWITCH_PAUSE_MAX.mul_f64(chance);
        }
        self.again(failure, chance)
    }

    /// Counts a failure, and gives the pause before the next attempt: doubled each time, between
    /// half and all of it at random, and never shorter than the service asks.
    pub(crate) fn again(&mut self, failure: &Failure, chance: f64) -> Duration {
        // Those who were turned away together do not come back together.
        let asked = failure.retry_after.unwrap_or_default();
        self.pause(chance).max(asked.saturating_add(asked.mul_f64(chance / 10.0)))
    }

    /// As [`Backoff::again`], where nobody asks for anything.
    pub(crate) fn pause(&mut self, chance: f64) -> Duration {
        let doublings = self.failures.min(DOUBLINGS_MAX);
        self.failures = self.failures.saturating_add(1);
        let longest = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_MAX);
        longest.mul_f64(0.5 + chance / 2.0)
    }
}

/// Whether another server may answer at once. If there is too much to do, more of it elsewhere is
/// no help.
pub(crate) fn may_help_elsewhere(failure: &Failure) -> bool {
    failure.code != Code::ResourceExhausted
}

/// A number between 0 and 1.
pub(crate) fn chance() -> f64 {
    fastrand::f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn failure(code: Code, retry_after: Option<Duration>) -> Failure {
        Failure { code, reason: None, request_id: None, retry_after, text: String::new() }
    }

    fn unavailable() -> Failure {
        failure(Code::Unavailable, None)
    }

    #[test]
    fn every_server_is_asked_once_before_anybody_waits() {
        let mut backoff = Backoff::default();
        assert!(backoff.elsewhere(&unavailable(), 3, 1.0) <= SWITCH_PAUSE_MAX);
        assert!(backoff.elsewhere(&unavailable(), 3, 1.0) <= SWITCH_PAUSE_MAX);
        assert!(backoff.elsewhere(&unavailable(), 3, 0.0) > SWITCH_PAUSE_MAX);
    }

    #[test]
    fn a_server_with_too_much_to_do_is_given_time_and_not_left_for_another() {
        let asked = Duration::from_millis(500);
        let overloaded = failure(Code::ResourceExhausted, Some(asked));
        assert!(Backoff::default().elsewhere(&overloaded, 3, 0.0) >= asked);
    }

    #[test]
    fn a_success_makes_the_next_failure_the_first_again() {
        let mut backoff = Backoff::default();
        let first = backoff.again(&unavailable(), 0.5);
        backoff.again(&unavailable(), 0.5);
        backoff.reset();
        assert_eq!(backoff.again(&unavailable(), 0.5), first);
    }

    #[test]
    fn pauses_of_two_callers_differ() {
        let pause = |chance| Backoff::default().again(&unavailable(), chance);
        assert_ne!(pause(0.1), pause(0.9));
        let asked = failure(Code::Unavailable, Some(Duration::from_secs(1)));
        let pause = |chance| Backoff::default().again(&asked, chance);
        assert_ne!(pause(0.1), pause(0.9));
    }

    proptest! {
        #[test]
        fn pauses_grow_up_to_a_bound_and_are_never_shorter_than_asked(
            failures in 0_u32..100,
            chance in 0.0..1.0_f64,
            asked_ms in 0_u64..20_000,
        ) {
            let asked = Duration::from_millis(asked_ms);
            let pause = Backoff { failures }.again(&failure(Code::Unavailable, Some(asked)), chance);
            prop_assert!(pause >= asked);
            prop_assert!(pause <= BACKOFF_MAX.max(asked.mul_f64(1.1) + Duration::from_micros(1)));
            prop_assert!(pause >= BACKOFF_FIRST / 2);
            let plain = Backoff { failures }.again(&unavailable(), chance);
            let next = Backoff { failures: failures + 1 }.again(&unavailable(), chance);
            prop_assert!(next >= plain);
        }
    }
}
