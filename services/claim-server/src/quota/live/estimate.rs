//! What a server knows of a tenant's live claims between two counts.

use super::{COUNT_AGE_MAX, COUNT_PAUSE, COUNT_PAUSE_TIMES};
use std::time::{Duration, Instant};

/// At least as many claims are live as this says, but for those of which other servers know.
#[derive(Clone, Debug, Default)]
pub(super) struct Estimate {
    counted: Option<Counted>,
    /// Added by this server since the count began, or perhaps added.
    since: u32,
    /// Mints without an answer yet.
    under_way: u32,
}

#[derive(Clone, Copy, Debug)]
struct Counted {
    live: u32,
    began: Instant,
    /// Not before then is counted again.
    again: Instant,
}

impl Estimate {
    /// Whether it is time to count.
    pub(super) fn is_due(&self, limit: u32, now: Instant) -> bool {
        let Some(counted) = self.counted else { return true };
        let room = limit.saturating_sub(counted.live);
        let is_used = self.since.saturating_add(self.under_way) >= room.div_ceil(10);
        now >= counted.again
            && (is_used || now.saturating_duration_since(counted.began) > COUNT_AGE_MAX)
    }

    /// Lets a mint in that would add a claim, if there is room.
    pub(super) fn enter(&mut self, limit: u32) -> bool {
        let live = self.counted.map_or(0, |counted| counted.live);
        let has_room = live.saturating_add(self.since).saturating_add(self.under_way) < limit;
        if has_room {
            self.enter_regardless();
        }
        has_room
    }

    /// Lets a mint in.
    pub(super) fn enter_regardless(&mut self) {
        self.under_way = self.under_way.saturating_add(1);
    }

    /// A mint has ended, and may have added a claim.
    pub(super) fn leave(&mut self, may_have_added: bool) {
        self.under_way = self.under_way.saturating_sub(1);
        self.since = self.since.saturating_add(u32::from(may_have_added));
    }

    /// Claims added since the last count.
    pub(super) fn since(&self) -> u32 {
        self.since
    }

    /// So many were live when it was counted. Those that had been added before the count began are
    /// among them; those that came meanwhile may be, and are counted twice until the next time.
    pub(super) fn counted(&mut self, live: u32, since_before: u32, began: Instant, now: Instant) {
        let took = now.saturating_duration_since(began);
        let pause = COUNT_PAUSE.max(took.saturating_mul(COUNT_PAUSE_TIMES));
        self.counted = Some(Counted { live, began, again: now + pause });
        self.since = self.since.saturating_sub(since_before);
    }

    /// Whether nothing is known that would not have to be counted again.
    pub(super) fn is_worthless(&self, now: Instant) -> bool {
        let age = |counted: &Counted| now.saturating_duration_since(counted.began);
        self.under_way == 0 && self.counted.as_ref().map_or(Duration::MAX, age) > COUNT_AGE_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 100;

    /// So many were live at that moment; counting took no time.
    fn counted(live: u32, at: Instant) -> Estimate {
        let mut estimate = Estimate::default();
        assert!(estimate.is_due(LIMIT, at), "nothing is known at first");
        estimate.counted(live, 0, at, at);
        estimate
    }

    fn minted(estimate: &mut Estimate, count: u32) {
        for _ in 0..count {
            assert!(estimate.enter(LIMIT));
            estimate.leave(true);
        }
    }

    #[test]
    fn far_from_the_limit_is_counted_when_a_tenth_of_the_room_is_used_or_the_count_is_old() {
        let begin = Instant::now();
        let mut estimate = counted(0, begin);
        let later = begin + COUNT_PAUSE;
        minted(&mut estimate, 9);
        assert!(!estimate.is_due(LIMIT, later));
        assert!(!estimate.is_due(LIMIT, begin + COUNT_AGE_MAX));
        assert!(estimate.is_due(LIMIT, begin + COUNT_AGE_MAX + Duration::from_millis(1)));
        minted(&mut estimate, 1);
        assert!(estimate.is_due(LIMIT, later));
        assert!(!estimate.is_due(LIMIT, later - Duration::from_millis(1)), "not without a pause");
    }

    #[test]
    fn the_limit_is_not_exceeded_by_mints_under_way_or_without_a_known_end() {
        let mut estimate = counted(97, Instant::now());
        assert!(estimate.enter(LIMIT) && estimate.enter(LIMIT) && estimate.enter(LIMIT));
        assert!(!estimate.enter(LIMIT), "three are under way");
        estimate.leave(true);
        assert!(!estimate.enter(LIMIT), "one was added");
        estimate.leave(false);
        assert!(estimate.enter(LIMIT), "one was not");
    }

    #[test]
    fn what_was_added_while_it_was_counted_still_counts() {
        let begin = Instant::now();
        let mut estimate = counted(90, begin);
        minted(&mut estimate, 4);
        let since = estimate.since();
        minted(&mut estimate, 2);
        estimate.counted(94, since, begin + COUNT_PAUSE, begin + COUNT_PAUSE);
        minted(&mut estimate, 4);
        assert!(!estimate.enter(LIMIT));
    }

    #[test]
    fn the_longer_a_count_takes_the_longer_is_the_pause_after_it() {
        let begin = Instant::now();
        let mut estimate = Estimate::default();
        let end = begin + Duration::from_secs(1);
        estimate.counted(LIMIT, 0, begin, end);
        assert!(!estimate.is_due(LIMIT, end + Duration::from_secs(9)));
        assert!(estimate.is_due(LIMIT, end + Duration::from_secs(10)));
    }

    #[test]
    fn nothing_is_forgotten_that_is_under_way_or_was_just_counted() {
        let begin = Instant::now();
        let mut estimate = counted(0, begin);
        let later = begin + COUNT_AGE_MAX * 2;
        assert!(!estimate.is_worthless(begin) && estimate.is_worthless(later));
        assert!(estimate.enter(LIMIT) && !estimate.is_worthless(later));
    }
}
