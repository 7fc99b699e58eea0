//! What a scan means: which claims to expire now, and which to hold.

use claims::domain::{Brake, HoldReason};
use claims::store::{Candidate, Scan};

/// Claims of one round: those that became due after them wait until they are expired. So many that
/// several of a million live ones share a page of an index; so few that they take half a minute.
const ROUND: usize = 100_000;

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
        for round in self.expire.chunks(ROUND) {
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

    /// Due one after the other, in the reverse order of their keys.
    fn due(count: usize) -> Vec<Candidate> {
        let candidate = |number: usize| Candidate {
            id: claim_id(&format!("w{:07}", count - number), 1),
            active: true,
            due_at: Timestamp::from_unix_micros(i64::try_from(number).unwrap()),
        };
        (0..count).map(candidate).collect()
    }

    fn keys(batch: &[&Candidate]) -> Vec<String> {
        batch.iter().map(|candidate| candidate.id.consumer.as_str().to_owned()).collect()
    }

    #[test]
    fn batches_of_a_round_go_by_key() {
        let expire = due(5);
        let plan = Plan { expire: &expire, braked: &[], protected: &[] };
        let batches: Vec<_> = plan.batches(2).iter().map(|batch| keys(batch)).collect();
        assert_eq!(
            batches,
            [vec!["w0000001", "w0000002"], vec!["w0000003", "w0000004"], vec!["w0000005"]]
        );
    }

    #[test]
    fn no_claim_waits_for_one_that_became_due_a_round_later() {
        let expire = due(ROUND + 1);
        let plan = Plan { expire: &expire, braked: &[], protected: &[] };
        let batches = plan.batches(ROUND);
        let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
        assert_eq!(sizes, [ROUND, 1]);
        assert_eq!(keys(&batches[1]), ["w0000001"], "due last, though first by key");
    }
}
