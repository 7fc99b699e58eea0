//! The calls of a history asked once more, one after the other: what fails then too needs no
//! concurrency, and is made as short as it can be.

use super::after::{after, database};
use super::asking::ask;
use super::check::check;
use super::record::{Call, History};
use super::shrink::shortest;
use super::told;
use claims::domain::Command;
use claims::store::ClaimStore;
use claims::testing::TestDatabase;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);

/// Where scripts are tried, each on empty tables.
struct Stand {
    db: TestDatabase,
    store: ClaimStore,
}

impl Stand {
    /// Asks the calls, one by one; what is wrong then, if anything.
    async fn fault_of(&self, whole: &History, calls: &[Call]) -> Option<String> {
        let empty = "TRUNCATE consumer_claims, claim_leases, entity_dispatch_state, entity_epochs,
             claim_events, test_renewals";
        self.db.sql.batch_execute(empty).await.expect("empty tables");
        let mut history = History { records: vec![], ..whole.clone() };
        for call in calls {
            history.records.extend(ask(&self.store, call.clone(), PATIENCE).await);
        }
        let after = after(&self.db, &self.store, &mut history).await;
        let broken = self.db.broken_invariants().await;
        if !broken.is_empty() {
            return Some(broken.join(", "));
        }
        let refuted = check(&history, Some(&after)).err()?;
        Some(told::refuted(&history, &refuted))
    }
}

/// The shortest of a history's scripts that fails when it is asked again, and how, on a database that
/// `stage` has prepared; none if the whole does not fail.
pub(crate) async fn shortest_script(history: &History, stage: &str) -> Option<(Vec<Call>, String)> {
    let db = database(stage).await;
    let stand = Stand { store: db.store(), db };
    let calls: Vec<Call> = in_order(history)
        .into_iter()
        .map(|place| history.records[place].call.clone())
        // Expiry and pruning are matters of time, and asked of a reaper.
        .filter(|call| !matches!(call, Call::Decide(Command::Expire(_)) | Call::Prune(..)))
        .collect();
    stand.fault_of(history, &calls).await?;
    let fails = async |part: &[Call]| stand.fault_of(history, part).await.is_some();
    let short = shortest(&calls, fails).await;
    let how = stand.fault_of(history, &short).await?;
    Some((short, how))
}

/// The calls in the order that explains their answers, or, if there is none, as they were asked.
fn in_order(history: &History) -> Vec<usize> {
    match check(history, None) {
        Ok(order) => order.into_iter().map(|(place, _)| place).collect(),
        Err(_) => (0..history.records.len()).collect(),
    }
}
