//! One round and all that is checked of it.

use super::after::{after, database, put_back_pruned_events};
use super::check::{Refuted, check, check_excused, check_strictly};
use super::load::{Load, round};
use super::met::{Met, count};
use super::odd::Odd;
use super::record::{After, History};
use super::rerun::shortest_script;
use super::{shrink, told};
use std::time::Instant;

/// Most calls of an undisturbed round that may have no answer: a busy machine may let a statement run
/// into its time limit.
const UNANSWERED_MAX: usize = 5;

/// Plays a round, on a database whose clock is slow to read if that is wished; panics with the shortest
/// trace of what nothing explains.
pub(crate) async fn play(load: Load, slow_clock: bool) -> Met {
    let began = Instant::now();
    let db = database(if slow_clock { include_str!("slow_clock.sql") } else { "" }).await;
    let mut round = round(&db, &load).await;
    let asked = began.elapsed();
    let broken = db.broken_invariants().await;
    if !broken.is_empty() {
        let again = broken_again(&round.histories, &broken).await;
        panic!("{load:?}\nbreaks {broken:#?}\nasked again: {again:?}");
    }
    db.check_transactions();
    put_back_pruned_events(&db).await;
    let reader = db.store();
    let mut all = vec![];
    for mut history in std::mem::take(&mut round.histories) {
        let after = after(&db, &reader, &mut history).await;
        all.push((history, after));
    }
    let (families, events) = (all.len(), all.iter().map(|(_, after)| after.count_events()));
    let events: usize = events.sum();
    // The other clients of this process go on meanwhile.
    let checked = tokio::task::spawn_blocking(move || check_all(all)).await.expect("a verdict");
    let (mut met, odd) = match checked {
        Ok(found) => found,
        Err(refusal) => {
            let (history, after, refuted) = *refusal;
            panic!("{load:?}\n{}", tell(&history, &after, &refuted).await)
        }
    };
    let unanswered = met.get("no answer").copied().unwrap_or_default();
    assert!(load.faults || unanswered <= UNANSWERED_MAX, "{load:?}: {met:#?}");
    for (what, often) in [("fault", round.faults), ("history", families), ("event", events)] {
        *met.entry(what.to_owned()).or_default() += often;
    }
    odd.add_to(&mut met);
    let (calls, faults) = (met["call"], round.faults);
    let whole = began.elapsed();
    println!(
        "{load:?}, slow clock {slow_clock}: {calls} calls of {families} families and {faults} faults in \
         {asked:.1?}, {unanswered} without an answer; invariants, orders, {events} events and all rows \
         checked, {whole:.1?} in all; {odd:?}"
    );
    met
}

type Refusal = Box<(History, After, Box<Refuted>)>;

fn check_all(all: Vec<(History, After)>) -> Result<(Met, Odd), Refusal> {
    let (mut met, mut odd) = (Met::new(), Odd::default());
    for (history, after) in all {
        // What rows and events explain is explained without them too.
        let verdict = check_strictly(&history, Some(&after)).or_else(|refuted| {
            let order = check_excused(&history, Some(&after)).map_err(|_| refuted)?;
            odd.unaware += 1;
            Ok(order)
        });
        match verdict {
            Ok(order) => odd.count(&history, &order),
            Err(refuted) => return Err(Box::new((history, after, refuted))),
        }
        count(&history, &mut met);
    }
    Ok((met, odd))
}

/// What is wrong with a refused history, in few calls if possible.
async fn tell(history: &History, after: &After, refuted: &Refuted) -> String {
    println!("refused: {}", told::refuted(history, refuted));
    let short = shrink::short(history, Some(after)).await;
    let what = match check(history, None) {
        Ok(_) => "does not refine",
        Err(_) => "is not linearizable",
    };
    let told = check(&short, Some(after)).err().map(|refuted| told::refuted(&short, &refuted));
    let again = shortest_script(history, "").await.map(|(calls, how)| {
        format!("{} calls one by one: {how}\n{}", calls.len(), told::calls(&calls))
    });
    format!("{what}: {}\nasked again: {again:?}", told.unwrap_or_default())
}

/// The shortest script of an entity that broken invariants name, if it breaks them without concurrency.
async fn broken_again(histories: &[History], broken: &[String]) -> Option<String> {
    for history in histories {
        // A row tells its tenant, then an entity or a consumer.
        let (tenant, name) = (format!(": {} ", history.tenant()), history.name());
        let [of_entity, of_consumer] = [format!("/{name} "), format!("@{name} ")];
        let names = |row: &String| {
            let row = format!("{row} ");
            row.contains(&tenant) && (row.contains(&of_entity) || row.contains(&of_consumer))
        };
        if broken.iter().any(names)
            && let Some((calls, how)) = shortest_script(history, "").await
        {
            return Some(format!(
                "{} calls one by one: {how}\n{}",
                calls.len(),
                told::calls(&calls)
            ));
        }
    }
    None
}
