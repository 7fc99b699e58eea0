//! Every order of every call, on the code that decides: model checking of `claims::domain`.
//!
//! Stateright walks through all states that a small world can get into, breadth first, and asks in
//! each what happens next. What decides is the code of the service itself: `decide`, `heartbeat` and
//! `authorize`, called as the store calls them. Small means: one entity or two, up to three
//! consumers, two authorities that give epochs beside the service that issues them, three epochs, a
//! bounded number of accepted mints. Within that nothing is left out: any call may come at any moment
//! ([`action`] says why that covers lost answers, retries, late duplicates and crashes), a lease may
//! lapse before or after any of them, and time has no end ([`state`] says how that stays finite, and
//! [`walks`] tests it).
//!
//! | what | is asked | by |
//! |---|---|---|
//! | I1, I2, I3, I6, I7, and I4 as far as one moment shows it | of every state, on its rows | `check_world` |
//! | I4, I6 … I11 | of every call, on the rows before and after | `check_step` |
//! | I5 | of every state: each token ever handed out, on each stream | `check_authorization` |
//! | I6 beyond retention and restore | of every mint, against every number ever answered | [`promises`] |
//! | M1 … M6, H1 … H5, H7, D1, D2, D5, D6, R1, R5, signals | of every call: it answers and does exactly that | [`promises`] |
//! | I12 | nothing: a decision never sees a token, only its digest; tests of the store look at its text | types |
//! | every claim of a dead holder ends | of every run with an end ([`scope::End`]) | `eventually` |
//!
//! In runs with an end nothing else is asked, so that whoever finds a fault there has found it by that
//! alone. Where time has no end the same follows step by step: only its own heartbeat or re-mint moves
//! the lease of a claim or the time when its holder was heard of (I8), and the reaper, asked at any
//! moment, ends a claim exactly if it is due (R1, R5).
//!
//! [`mutants`] are the proof that this finds anything: bugs that others had, planted one at a time.
//! [`meetings`] are the proof that something happens: every answer, every refusal, every step.
//!
//! Left out, and covered elsewhere: clocks that step back and graces of zero (`domain_rules`,
//! `domain_properties`), other tenants and more than one length of lease (the same), the brake of R7 (it
//! holds back, it decides nothing about a claim), SQL and concurrency below a decision (tests of the
//! store).
//! Stateright knows a state by 64 bits of its hash; two of a million states meet in these once in
//! thirty million runs.
//!
//! `scripts/test` runs the quick form. `scripts/test-model` runs the whole, in a release build, and
//! prints the numbers of states.

#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed, and every name here is a constant"
)]
#![expect(clippy::print_stdout, reason = "how many states were explored is the result")]

mod action;
mod machine;
mod meetings;
mod mutants;
mod names;
mod promises;
mod rows;
mod rules;
mod scope;
mod state;
mod surroundings;
mod walks;

use machine::Machine;
use mutants::Mutant;
use rules::Rules;
use scope::Scope;
use stateright::{Checker, HasDiscoveries, Model};
use std::collections::BTreeSet;
use std::thread;
use std::time::Instant;

/// Explores a whole scope with the real rules, fails with a way to what is wrong, and tells what it
/// met.
fn explore(scope: Scope) -> BTreeSet<String> {
    let began = Instant::now();
    let machine = Machine::new(scope, Rules::REAL);
    let checker = machine.checker().finish_when(HasDiscoveries::AnyFailures).spawn_bfs().join();
    let states = checker.unique_state_count();
    println!(
        "{}: {states} states, {} steps between them, at most {} in a row, {:.1} s",
        scope.name,
        checker.state_count(),
        checker.max_depth() - 1,
        began.elapsed().as_secs_f64(),
    );
    for (property, path) in checker.discoveries() {
        if checker.model().property(property).expectation.discovery_is_failure() {
            let wrong = checker.model().what_is_broken(path.last_state());
            let steps: Vec<_> =
                path.into_actions().iter().map(|action| format!("  {action:?}")).collect();
            panic!("{}: not: {property}: {wrong:?}, after\n{}", scope.name, steps.join("\n"));
        }
    }
    assert!(checker.is_done(), "{}: not all of it was explored", scope.name);
    checker.assert_properties();
    assert_eq!(states, scope.states, "{}: this is another model than it was", scope.name);
    checker.model().meetings.in_words()
}

/// Explores all scopes at the same time, and checks that everything happened.
fn explore_all(scopes: &[Scope]) {
    let met: BTreeSet<String> = thread::scope(|threads| {
        let runs: Vec<_> = scopes.iter().map(|scope| threads.spawn(|| explore(*scope))).collect();
        runs.into_iter().flat_map(|run| run.join().expect("a scope that keeps the rules")).collect()
    });
    let everything = meetings::everything();
    let never: Vec<_> = everything.difference(&met).collect();
    assert!(never.is_empty(), "never met: {never:#?}");
    let strange: Vec<_> = met.difference(&everything).collect();
    assert!(strange.is_empty(), "met, but not in the specification: {strange:#?}");
}

#[test]
fn no_order_of_calls_breaks_a_rule_and_no_claim_outlives_its_dead_holder() {
    explore_all(&Scope::QUICK);
}

#[test]
#[ignore = "minutes of a release build: scripts/test-model"]
fn the_whole_model_keeps_the_rules_too() {
    explore_all(&Scope::WHOLE);
}

#[test]
fn every_planted_bug_in_ends_is_found() {
    find_all(&mutants::ends::mutants());
}

#[test]
fn every_planted_bug_in_leases_is_found() {
    find_all(&mutants::leases::mutants());
}

#[test]
fn every_planted_bug_in_numbers_is_found() {
    find_all(&mutants::numbers::mutants());
}

#[test]
fn every_planted_bug_in_answers_is_found() {
    find_all(&mutants::answers::mutants());
}

fn find_all(mutants: &[Mutant]) {
    let began = Instant::now();
    let mut missed = vec![];
    for mutant in mutants {
        let found = find(mutant);
        println!(
            "lesson {}: {} breaks {}: {}",
            mutant.lesson.0,
            mutant.name,
            mutant.breaks,
            found.as_deref().unwrap_or("NOT FOUND"),
        );
        if found.is_none() {
            missed.push(mutant.name);
        }
    }
    println!("{} planted bugs, {:.1} s", mutants.len(), began.elapsed().as_secs_f64());
    assert!(missed.is_empty(), "a checker that misses planted bugs proves nothing: {missed:#?}");
}

/// How a planted bug shows, and how soon, if the rule that it breaks is seen broken.
fn find(mutant: &Mutant) -> Option<String> {
    let mut machine = Machine::new(mutant.scope, mutant.rules);
    machine.wanted = Some(mutant.breaks);
    let checker = machine.checker().finish_when(HasDiscoveries::Any).spawn_bfs().join();
    let (_, path) = checker.discoveries().into_iter().next()?;
    let problem = checker
        .model()
        .what_is_broken(path.last_state())
        .map_or("a claim is live though its holder has been silent", |broken| broken.problem);
    let calls = path.into_actions().len();
    Some(format!("{problem}, after {calls} steps, {} states", checker.unique_state_count()))
}
