//! What a scan means: which claims to expire now, and which to hold.

use claims::domain::{Brake, HoldReason};
use claims::store::{Candidate, Scan};

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
