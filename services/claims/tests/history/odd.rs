//! What is allowed and should be rare: how often an order needed it is told with every run.

use super::check::Order;
use super::met::Met;
use super::record::{Call, History, Said};
use claims::domain::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

const LATE_RENEWAL: &str = "renewal that counts from before it waited";
const RENEWAL_OF_ONE_ENTITY: &str = "renewal in a history of one entity";
const REPEATED_RENEWAL: &str = "renewal that took effect once more";
const UNAWARE_HISTORY: &str = "history in which a mint does not know all claims";

/// What was odd in the orders that explain histories.
#[derive(Debug, Default)]
pub(crate) struct Odd {
    /// Renewals that took effect after a decision about their entity with a later time, where a history
    /// has but one entity.
    pub(crate) late_renewals: usize,
    /// All renewals that could have been such ones.
    pub(crate) renewals_of_one_entity: usize,
    /// By how much, at most.
    pub(crate) latest_by: Duration,
    /// Renewals that took effect once more than was answered.
    pub(crate) repeated_renewals: usize,
    /// Histories that no order explains in which mints know all claims of their consumers.
    pub(crate) unaware: usize,
    /// Calls without an answer that took effect.
    pub(crate) untold: usize,
}

impl Odd {
    pub(crate) fn count(&mut self, history: &History, order: &Order) {
        let has_one_entity = history.entities.len() == 1;
        let mut latest = Timestamp::BEFORE_ALL;
        let mut placed = BTreeSet::new();
        for (place, at) in order {
            let record = &history.records[*place];
            let said = record.said.as_ref().map(|(_, said)| said);
            let is_renewal = matches!(record.call, Call::Beat(_))
                && said.is_none_or(|said| matches!(said, Said::Beat(Ok(_))));
            let decides =
                matches!(record.call, Call::Decide(_)) && said.is_none_or(Said::says_changed);
            self.untold += usize::from(said.is_none());
            self.repeated_renewals += usize::from(!placed.insert(*place));
            self.renewals_of_one_entity += usize::from(is_renewal && has_one_entity);
            if is_renewal && *at < latest && has_one_entity {
                self.late_renewals += 1;
                self.latest_by = self.latest_by.max(latest.since(*at));
            }
            if decides {
                latest = latest.max(*at);
            }
        }
    }

    /// Tells of it with what was met.
    pub(crate) fn add_to(&self, met: &mut Met) {
        for (what, often) in [
            (LATE_RENEWAL, self.late_renewals),
            (RENEWAL_OF_ONE_ENTITY, self.renewals_of_one_entity),
            (REPEATED_RENEWAL, self.repeated_renewals),
            (UNAWARE_HISTORY, self.unaware),
        ] {
            *met.entry(what.to_owned()).or_default() += often;
        }
    }
}

/// Asserts that what is allowed was rare in a whole run.
pub(crate) fn is_rare(met: &Met) {
    assert!(met[LATE_RENEWAL] * 100 <= met[RENEWAL_OF_ONE_ENTITY], "{met:#?}");
    assert!(met[REPEATED_RENEWAL] * 100 <= met["heartbeat Renewed"], "{met:#?}");
    assert!(met[UNAWARE_HISTORY] * 100 <= met["history"], "{met:#?}");
}
