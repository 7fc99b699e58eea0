//! When each claim wants to be attended to.

use super::hold::HoldId;
use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

/// At most one for each claim.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    by_time: BTreeSet<(Instant, HoldId)>,
    of: HashMap<HoldId, Instant>,
}

impl Alarms {
    /// Sets a claim's next one, instead of the one before; with none there is none.
    pub(crate) fn set(&mut self, id: HoldId, at: Option<Instant>) {
        self.clear(id);
        if let Some(at) = at {
            self.of.insert(id, at);
            self.by_time.insert((at, id));
        }
    }

    /// Takes a claim's away.
    pub(crate) fn clear(&mut self, id: HoldId) {
        if let Some(at) = self.of.remove(&id) {
            self.by_time.remove(&(at, id));
        }
    }

    /// When the first goes off.
    pub(crate) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first away if it has gone off.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<HoldId> {
        let &(at, id) = self.by_time.first().filter(|(at, _)| *at <= now)?;
        self.by_time.remove(&(at, id));
        self.of.remove(&id);
        Some(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_claim_has_one_alarm_and_the_earliest_goes_off_first() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut alarms = Alarms::default();
        alarms.set(1, Some(at(1)));
        alarms.set(2, Some(at(2)));
        alarms.set(1, Some(at(3)));
        assert_eq!(alarms.first(), Some(at(2)));
        assert_eq!(alarms.pop_due(at(1)), None);
        assert_eq!(alarms.pop_due(at(3)), Some(2));
        assert_eq!(alarms.pop_due(at(3)), Some(1));
        assert_eq!(alarms.pop_due(at(3)), None);
    }

    #[test]
    fn an_alarm_that_was_taken_away_does_not_go_off() {
        let now = Instant::now();
        let mut alarms = Alarms::default();
        alarms.set(1, Some(now));
        alarms.set(1, None);
        alarms.set(2, Some(now));
        alarms.clear(2);
        assert_eq!(alarms.pop_due(now), None);
    }
}
