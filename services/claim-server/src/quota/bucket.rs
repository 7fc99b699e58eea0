//! How many calls came lately, by name.
//!
//! A bucket fills at the pace that its limits name, and each call takes from it what one interval
//! brings. It is known by the moment at which it will be full (the generic cell rate algorithm), so it
//! is a number, is filled by nobody, and one that is full is the same as none: those are forgotten.
//!
//! The crate `governor` has the same algorithm, for one pace that all names share and that cannot change.
//! Here names have paces of their own, a changed file changes them without emptying the buckets, and a
//! bucket is looked at without taking from it.

use super::kind::Kind;
use super::limits::Pace;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most names whose buckets are kept, some 10 MiB. Names are chosen by callers; those beyond share
/// buckets, so that nobody gains by making them up.
const NAMES_MAX: usize = 65_536;
/// Below so many nobody looks which may be forgotten.
const NAMES_KEPT: usize = 1_024;
/// From one look at all names to the next.
const FORGET_INTERVAL: Duration = Duration::from_secs(1);

/// By when a bucket will be full, since the buckets were made.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    full_at: Duration,
}

impl Bucket {
    /// Takes what a call costs, or tells when it could.
    fn take(&mut self, pace: Pace, now: Duration) -> Result<(), Duration> {
        self.look(pace, now)?;
        self.full_at += pace.interval;
        Ok(())
    }

    /// As [`Bucket::take`], but takes nothing.
    fn look(&mut self, pace: Pace, now: Duration) -> Result<(), Duration> {
        // A slower pace of before leaves nobody with less than an empty bucket. That is kept, or else it
        // would be empty at each look until the slower pace had filled it.
        self.full_at = self.full_at.clamp(now, now + pace.capacity);
        match (self.full_at + pace.interval).saturating_sub(now + pace.capacity) {
            Duration::ZERO => Ok(()),
            wait => Err(wait),
        }
    }
}

/// The buckets of one name.
#[derive(Clone, Copy, Debug, Default)]
struct Set {
    begin: Bucket,
    keep: Bucket,
    authorize: Bucket,
}

impl Set {
    fn of(&mut self, kind: Kind) -> &mut Bucket {
        match kind {
            Kind::Begin => &mut self.begin,
            Kind::Keep => &mut self.keep,
            Kind::Authorize => &mut self.authorize,
        }
    }

    fn is_full(&self, now: Duration) -> bool {
        [self.begin, self.keep, self.authorize].iter().all(|bucket| bucket.full_at <= now)
    }
}

/// Buckets by name.
#[derive(Debug)]
pub(super) struct Buckets {
    made: Instant,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    by_name: HashMap<Arc<str>, Set>,
    /// Those of all names that found no room.
    others: Set,
    /// When and at how many names it is looked which may be forgotten.
    forget_at: Duration,
    forget_beyond: usize,
}

impl Buckets {
    /// All full.
    pub(super) fn new(now: Instant) -> Self {
        Self { made: now, kept: Mutex::default() }
    }

    /// Takes what a call costs, or tells how long it takes until it could.
    pub(super) fn take(
        &self,
        name: &str,
        kind: Kind,
        pace: Pace,
        now: Instant,
    ) -> Result<(), Duration> {
        let now = now.saturating_duration_since(self.made);
        self.lock().set(name, now).of(kind).take(pace, now)
    }

    /// How long it takes until a call could come; none if it can come now.
    pub(super) fn look(
        &self,
        name: &str,
        kind: Kind,
        pace: Pace,
        now: Instant,
    ) -> Option<Duration> {
        let now = now.saturating_duration_since(self.made);
        self.lock().by_name.get_mut(name)?.of(kind).look(pace, now).err()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics in between that leaves it half-done.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn set(&mut self, name: &str, now: Duration) -> &mut Set {
        if !self.by_name.contains_key(name) {
            self.forget(now);
            if self.by_name.len() >= NAMES_MAX {
                return &mut self.others;
            }
            self.by_name.insert(name.into(), Set::default());
        }
        self.by_name.get_mut(name).unwrap_or(&mut self.others)
    }

    /// Forgets those that are full, now and then.
    fn forget(&mut self, now: Duration) {
        if self.by_name.len() < self.forget_beyond.max(NAMES_KEPT) || now < self.forget_at {
            return;
        }
        self.by_name.retain(|_, set| !set.is_full(now));
        self.forget_beyond = (self.by_name.len() * 2).min(NAMES_MAX);
        self.forget_at = now + FORGET_INTERVAL;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// So many calls a second, and at once.
    fn pace(a_second: u32, burst: u32) -> Pace {
        let interval = SECOND / a_second;
        Pace { interval, capacity: interval * burst }
    }

    fn begun(buckets: &Buckets, name: &str, pace: Pace, after: Duration) -> Result<(), Duration> {
        buckets.take(name, Kind::Begin, pace, buckets.made + after)
    }

    #[test]
    fn a_burst_is_let_through_and_what_comes_after_waits_its_time() {
        let buckets = Buckets::new(Instant::now());
        let pace = pace(10, 5);
        for _ in 0..5 {
            assert_eq!(begun(&buckets, "a", pace, SECOND), Ok(()));
        }
        let wait = Duration::from_millis(100);
        assert_eq!(begun(&buckets, "a", pace, SECOND), Err(wait));
        assert_eq!(begun(&buckets, "a", pace, SECOND), Err(wait), "a refusal costs nothing");
        let later = SECOND + wait - Duration::from_millis(1);
        assert_eq!(begun(&buckets, "a", pace, later), Err(Duration::from_millis(1)));
        assert_eq!(begun(&buckets, "a", pace, SECOND + wait), Ok(()));
        assert_eq!(begun(&buckets, "a", pace, SECOND + wait), Err(wait));
    }

    #[test]
    fn what_one_name_or_kind_takes_is_not_taken_from_another() {
        let buckets = Buckets::new(Instant::now());
        let (pace, now) = (pace(1, 1), buckets.made + SECOND);
        for name in ["a", "b"] {
            for kind in [Kind::Begin, Kind::Keep, Kind::Authorize] {
                assert_eq!(buckets.take(name, kind, pace, now), Ok(()), "{name} {kind:?}");
                assert_eq!(buckets.take(name, kind, pace, now), Err(SECOND));
            }
        }
    }

    #[test]
    fn to_look_takes_nothing() {
        let buckets = Buckets::new(Instant::now());
        let (pace, now) = (pace(1, 1), buckets.made);
        assert_eq!(buckets.look("a", Kind::Keep, pace, now), None);
        buckets.take("a", Kind::Keep, pace, now).unwrap();
        for _ in 0..2 {
            assert_eq!(buckets.look("a", Kind::Keep, pace, now), Some(SECOND));
        }
        assert_eq!(buckets.look("a", Kind::Keep, pace, now + SECOND), None);
    }

    #[test]
    fn another_pace_keeps_the_level_and_a_faster_one_frees_who_waited_for_a_slow_one() {
        let buckets = Buckets::new(Instant::now());
        let slow = pace(1, 60);
        for _ in 0..60 {
            begun(&buckets, "a", slow, SECOND).unwrap();
        }
        // 60 s of the slow pace are no more than an empty bucket of the fast one.
        let fast = pace(10, 10);
        assert_eq!(begun(&buckets, "a", fast, SECOND), Err(Duration::from_millis(100)));
        assert_eq!(begun(&buckets, "a", fast, SECOND + Duration::from_millis(100)), Ok(()));
        assert!(begun(&buckets, "a", slow, SECOND + Duration::from_millis(100)).is_ok());
    }

    #[test]
    fn names_are_forgotten_when_they_are_quiet_and_never_more_than_the_most() {
        let buckets = Buckets::new(Instant::now());
        let pace = pace(1, 2);
        for number in 0..NAMES_MAX * 2 {
            let _ = begun(&buckets, &number.to_string(), pace, Duration::ZERO);
        }
        let (next, last) = ("next", "last");
        assert_eq!(buckets.lock().by_name.len(), NAMES_MAX);
        // Made-up names share what is left.
        assert!(begun(&buckets, next, pace, Duration::ZERO).is_err());
        let later = SECOND * 3;
        assert_eq!(begun(&buckets, last, pace, later), Ok(()));
        assert_eq!(buckets.lock().by_name.len(), 1);
    }

    #[test]
    fn a_name_is_not_forgotten_while_it_owes() {
        let buckets = Buckets::new(Instant::now());
        let slow = pace(1, 10);
        for _ in 0..10 {
            begun(&buckets, "busy", slow, Duration::ZERO).unwrap();
        }
        for number in 0..NAMES_KEPT * 4 {
            let _ = begun(&buckets, &number.to_string(), pace(1000, 1), SECOND * 2);
        }
        assert!(buckets.lock().by_name.contains_key("busy"));
    }

    proptest! {
        /// Over any stretch of time no more than the burst and what the pace brings.
        #[test]
        fn never_more_than_the_burst_and_the_pace_allow(
            a_second in 1u32..50, burst in 1u32..20, steps in prop::collection::vec(0u64..200, 1..300),
        ) {
            let buckets = Buckets::new(Instant::now());
            let pace = pace(a_second, burst);
            let mut now = Duration::ZERO;
            let mut let_in = Vec::new();
            for step in steps {
                now += Duration::from_millis(step);
                match begun(&buckets, "a", pace, now) {
                    Ok(()) => let_in.push(now),
                    Err(wait) => {
                        let mut set = buckets.lock().by_name["a"];
                        let early = now + wait - Duration::from_nanos(1);
                        prop_assert!(set.begin.look(pace, early).is_err(), "not before it was told");
                        prop_assert!(set.begin.look(pace, now + wait).is_ok(), "but then");
                    }
                }
            }
            for (first, begin) in let_in.iter().enumerate() {
                for (count, end) in let_in[first..].iter().enumerate() {
                    let allowed = (*end - *begin).as_nanos() / pace.interval.as_nanos();
                    let count = u128::try_from(count + 1).unwrap();
                    prop_assert!(count <= allowed + u128::from(burst));
                }
            }
        }
    }
}
