//! Makes a refused history short: its shortest beginning that is refused, without the calls that changed
//! nothing and are not needed for the refusal. And a list shorter by what is not needed, for whatever
//! can be tried again ([`shortest`], after Zeller's delta debugging).

use super::check::check;
use super::record::{After, Call, History, Record};
use claims::domain::Timestamp;

/// The shortest part of a history that is still refused. Of calls that changed something none is left
/// out, since without them others would be refused that were right.
pub(crate) async fn short(history: &History, after: Option<&After>) -> History {
    let mut ends: Vec<Timestamp> =
        history.records.iter().filter_map(|record| Some(record.said.as_ref()?.0)).collect();
    ends.sort_unstable();
    // What is refused stays refused, whatever comes after.
    let passed = ends.partition_point(|end| check(&upto(history, *end), after).is_ok());
    let shorter = ends.get(passed).map_or_else(|| history.clone(), |end| upto(history, *end));
    // A heartbeat that was refused may have renewed when it was sent first.
    let may_go = |record: &Record| {
        let changed_nothing = record.said.as_ref().is_some_and(|(_, said)| !said.says_changed());
        shorter.needs(record) && changed_nothing && !matches!(record.call, Call::Beat(_))
    };
    let with = |kept: &[Record]| {
        let others = shorter.records.iter().filter(|record| !may_go(record));
        let mut records: Vec<_> = others.chain(kept).cloned().collect();
        records.sort_by_key(|record| record.invoked);
        History { records, ..shorter.clone() }
    };
    let all: Vec<Record> = shorter.records.iter().filter(|it| may_go(it)).cloned().collect();
    let needed = shortest(&all, async |kept| check(&with(kept), after).is_err()).await;
    with(&needed)
}

/// A history as it stood at one moment.
fn upto(history: &History, end: Timestamp) -> History {
    let records = history.records.iter().filter(|record| record.invoked <= end).cloned();
    History { records: records.collect(), until: Some(end), ..history.clone() }
}

/// The smallest list that `fails` still, as far as leaving out parts of it in turn can find it.
pub(crate) async fn shortest<T: Clone>(
    whole: &[T],
    mut fails: impl AsyncFnMut(&[T]) -> bool,
) -> Vec<T> {
    let mut kept = whole.to_vec();
    let mut part = kept.len().max(1);
    loop {
        let before = kept.len();
        let mut from = 0;
        while from < kept.len() {
            let mut without = kept.clone();
            without.drain(from..(from + part).min(kept.len()));
            if fails(&without).await {
                kept = without;
            } else {
                from += part;
            }
        }
        if part > 1 {
            part = part.div_ceil(2);
        } else if kept.len() == before {
            return kept;
        }
    }
}
