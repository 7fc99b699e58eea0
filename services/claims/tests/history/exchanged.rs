//! Real histories with one answer exchanged: the checker must notice.

use super::after::{after, database, put_back_pruned_events};
use super::check::check;
use super::load::{Load, round};
use super::record::{Call, History};
use claims::domain::Command;
use std::mem::{Discriminant, discriminant};

const LOAD: Load = Load { seed: 80, clients: 8, calls_per_client: 300, families: 8, faults: false };
/// One call in so many gets the answer of another.
const ONE_IN: usize = 11;
/// The other was asked so many calls later, so that no overlap explains its answer.
const LATER: usize = 60;

/// An answer may be right at another place too: that of a call to an entity that was paused twice, say.
/// So a few may pass, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn the_answer_of_another_call_is_refused() {
    let db = database("").await;
    let mut round = round(&db, &LOAD).await;
    put_back_pruned_events(&db).await;
    let reader = db.store();
    let (mut exchanged, mut passed) = (0, 0);
    for history in &mut round.histories {
        after(&db, &reader, history).await;
        assert!(check(history, None).is_ok(), "the history as it was is explained");
        for place in (0..history.records.len().saturating_sub(LATER)).step_by(ONE_IN) {
            let Some(other) = with_the_answer_of_another(history, place) else {
                continue;
            };
            exchanged += 1;
            passed += usize::from(check(&other, None).is_ok());
        }
    }
    println!("{exchanged} answers were exchanged, {passed} of them went unnoticed");
    assert!(exchanged > 50, "only {exchanged} answers were exchanged");
    assert!(passed * 20 <= exchanged, "{passed} of {exchanged} went unnoticed");
}

/// What is asked, whatever it is asked about.
fn kind(call: &Call) -> (Discriminant<Call>, Option<Discriminant<Command>>) {
    let command = match call {
        Call::Decide(command) => Some(discriminant(command)),
        _ => None,
    };
    (discriminant(call), command)
}

/// The history, in which one call is told what a much later one of its kind was told.
fn with_the_answer_of_another(history: &History, place: usize) -> Option<History> {
    let record = &history.records[place];
    let (answered, said) = record.said.as_ref()?;
    let later = history.records.iter().skip(place + LATER);
    let same_kind = |call: &Call| kind(call) == kind(&record.call);
    let other = later
        .filter(|later| same_kind(&later.call))
        .filter_map(|later| later.said.as_ref())
        .find(|(_, other)| other != said)?;
    let mut exchanged = history.clone();
    exchanged.records[place].said = Some((*answered, other.1.clone()));
    Some(exchanged)
}
