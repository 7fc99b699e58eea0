//! What a scan means: which claims to expire now, and which to hold.

use claims::domain::{Brake, HoldReason};
use claims::store::{Candidate, Scan};
use std::time::Duration;

/// How far apart claims may have become due that are expired in one round. A pass comes every 5 s, so
/// which of them is first tells nothing; and of a mass death within it, many share a page of an index.
const ROUND: Duration = Duration::from_secs(10);

/// What one pass intends. Each claim is judged again on its locked row before anything happens
/// (R1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan<'s> {
    /// To be expired, the longest due first.
    pub(crate) expire: &'s [Candidate],
    /// Due, and held by the brake (R7).
    pub(crate) braked: &'s [Candidate],
    /// Lapsed, and protected for now by the outage grace (R6).
    pub(crate) protected: &'s [Candidate],
}

impl<'s> Plan<'s> {
    pub(crate) fn of(scan: &'s Scan, brake: &Brake) -> Self {
        let is_due = |candidate: &Candidate| candidate.due_at <= scan.now;
        let (due, protected) = scan.candidates.split_at(scan.candidates.partition_point(is_due));
        let is_stale = |candidate: &Candidate| !brake.is_fresh(candidate.due_at, scan.now);
        let (stale, fresh) = due.split_at(due.partition_point(is_stale));

        let fresh_and_active = fresh.iter().filter(|candidate| candidate.active).count();
        let became_due = crate::count(fresh_and_active) + scan.expired_lately;
        if brake.engages(became_due, scan.active + scan.expired_lately) {
            Self { expire: stale, braked: fresh, protected }
        } else {
            Self { expire: due, braked: &[], protected }
        }
    }

    /// What is to be expired, at most `size` claims at a time: the longest due first, round by round
    /// (R2), and within a round in the order of the claims' keys. Neighbours then share pages of the
    /// indexes by key, so that after a mass death each of these is read, changed and logged once and
    /// not again and again.
    pub(crate) fn batches(&self, size: usize) -> Vec<Vec<&'s Candidate>> {
        let mut batches = Vec::new();
        let mut left = self.expire;
        while let Some(oldest) = left.first() {
            let is_of_round = |due: &Candidate| due.due_at.since(oldest.due_at) < ROUND;
            let (round, later) = left.split_at(left.partition_point(is_of_round));
            left = later;
            let mut round: Vec<&Candidate> = round.iter().collect();
            round.sort_by(|one, other| one.id.cmp(&other.id));
            batches.extend(round.chunks(size.max(1)).map(<[_]>::to_vec));
        }
        batches
    }

    /// How many lapsed claims are left alone on purpose.
    pub(crate) fn held_back(&self) -> u64 {
        crate::count(self.braked.len() + self.protected.len())
    }

    /// Why; the brake is the louder reason.
    pub(crate) fn hold_reason(&self) -> Option<HoldReason> {
        if !self.braked.is_empty() {
            return Some(HoldReason::Brake);
        }
        (!self.protected.is_empty()).then_some(HoldReason::OutageGrace)
    }

    /// The claim that has been due longest.
    pub(crate) fn oldest_due(&self) -> Option<&'s Candidate> {
        self.expire.first().or(self.braked.first())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claims::domain::Timestamp;
    use claims::testing::claim_id;

    /// Due `apart` after each other, in the reverse order of their keys.
    fn due(count: i64, apart: Duration) -> Vec<Candidate> {
        let apart = i64::try_from(apart.as_micros()).unwrap();
        let candidate = |number: i64| Candidate {
            id: claim_id(&format!("w{}", count - number), 1),
            active: true,
            due_at: Timestamp::from_unix_micros(number * apart),
        };
        (0..count).map(candidate).collect()
    }

    fn keys(batch: &[&Candidate]) -> Vec<String> {
        batch.iter().map(|candidate| candidate.id.consumer.as_str().to_owned()).collect()
    }

    fn batches(expire: &[Candidate], size: usize) -> Vec<Vec<String>> {
        let plan = Plan { expire, braked: &[], protected: &[] };
        plan.batches(size).iter().map(|batch| keys(batch)).collect()
    }

    #[test]
    fn claims_that_became_due_together_go_by_key() {
        let together = due(5, ROUND / 5);
        assert_eq!(batches(&together, 2), [vec!["w1", "w2"], vec!["w3", "w4"], vec!["w5"]]);
    }

    #[test]
    fn no_claim_waits_for_one_that_became_due_a_round_later() {
        let one_by_one = due(3, ROUND);
        assert_eq!(batches(&one_by_one, 2), [["w3"], ["w2"], ["w1"]]);
        let two_by_two = due(5, ROUND / 2);
        assert_eq!(batches(&two_by_two, 9), [vec!["w4", "w5"], vec!["w2", "w3"], vec!["w1"]]);
    }
}
