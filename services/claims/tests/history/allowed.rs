//! Histories that look wrong and are not: what the store may do that one call after the other would not.

use super::check::{check, check_strictly};
use super::record::Call;
use super::spec::beginning;
use super::truth::Truth;
use claims::domain::Command;
use claims::testing::{MintBuilder, entity_key, heartbeat, mint};
use std::mem;
use std::time::Duration;

/// A renewal that waits for a row which a decision holds and leaves as it is keeps the time at which it
/// began to wait. Who was told of the lease meanwhile was told of the older one.
#[test]
fn a_renewal_may_take_effect_after_a_decision_with_a_later_time() {
    let mut truth = Truth::new();
    let (old, _) = truth.mint(mint("/e", "w1").lengths(Some(60), None));
    let (current, _) = truth.mint(mint("/e", "w2").lengths(Some(60), None).supersede());
    truth.done(&old);
    truth.call(Call::Decide(Command::Mint(mint("/e", "w3").mint)));
    let told_at = truth.now;
    truth.now = told_at - Duration::from_millis(2_500);
    truth.beat(&current);
    let answer = truth.history.records[4].said.as_mut().expect("an answer");
    answer.0 = told_at + Duration::from_millis(20);
    truth.assert_explained();
    // Had it been answered before the mint was asked, the mint had to know of it.
    let answer = truth.history.records[4].said.as_mut().expect("an answer");
    answer.0 = told_at - Duration::from_millis(500);
    truth.assert_refused();
}

/// A heartbeat whose connection was lost is sent again, and may find that the claim has ended.
#[test]
fn a_heartbeat_may_renew_and_be_refused_when_it_is_sent_again() {
    let mut truth = Truth::new();
    let (id, _) = truth.mint(mint("/e", "w1").lengths(Some(60), None));
    truth.beat(&id);
    let first = truth.history.records.remove(1);
    truth.done(&id);
    truth.call(Call::Beat(heartbeat(&id)));
    truth.assert_refused();
    truth.history.records[2].invoked = first.invoked;
    truth.assert_explained();
    // Nothing was renewed: then the done tells of a heartbeat that never was.
    truth.history.written.renewals.clear();
    truth.assert_refused();
    assert!(check(&truth.history, Some(&truth.after())).is_err());
}

/// A mint that is to be given an epoch does not know of the claim that its consumer is granted for another
/// entity while it commits.
#[test]
fn an_issued_epoch_may_come_to_light_after_a_higher_one_that_was_granted_elsewhere_meanwhile() {
    let mut truth = of_two_entities();
    let (_, token) = truth.mint(mint("/e", "w1"));
    truth.mint(mint("/f", "w1").epoch("s", 7));
    // Who looks then does not see the first of them yet.
    let world = mem::replace(&mut truth.world, beginning());
    truth.write(token);
    truth.world = world;
    truth.assert_refused();
    truth.answered_last(0);
    truth.assert_explained();
    assert!(check_strictly(&truth.history, None).is_err());
}

#[test]
fn an_issued_epoch_is_above_those_that_were_granted_elsewhere_before() {
    let truth = unaware_of(mint("/f", "w1").epoch("s", 7));
    truth.assert_refused();
}

#[test]
fn an_identity_is_not_issued_twice_even_if_neither_mint_knows_of_the_other() {
    let mut truth = unaware_of(mint("/f", "w1").epoch("s", 1));
    truth.answered_last(0);
    truth.assert_refused();
}

/// Nor does it know that the highest claim of its consumer is pruned while it commits.
#[test]
fn an_epoch_may_be_issued_above_one_that_was_pruned_meanwhile() {
    let mut truth = Truth::new();
    let (old, _) = truth.mint(mint("/e", "w1").epoch("s", 10));
    truth.done(&old);
    let before = truth.world.clone();
    let (_, token) = truth.mint(mint("/e", "w1"));
    truth.prune(&old);
    let world = mem::replace(&mut truth.world, before);
    truth.write(token);
    truth.world = world;
    truth.assert_refused();
    truth.answered_last(2);
    truth.assert_explained();
    assert!(check_strictly(&truth.history, None).is_err());
}

#[test]
fn an_epoch_is_not_issued_above_one_that_was_pruned_before() {
    let mut truth = Truth::new();
    let (old, _) = truth.mint(mint("/e", "w1").epoch("s", 10));
    truth.done(&old);
    let before = truth.world.clone();
    truth.prune(&old);
    truth.world = before;
    truth.mint(mint("/e", "w1"));
    truth.assert_refused();
}

/// A mint for `/e` that was answered as if the other had not been.
fn unaware_of(other: MintBuilder) -> Truth {
    let mut truth = of_two_entities();
    truth.mint(other);
    truth.world = beginning();
    truth.mint(mint("/e", "w1"));
    truth
}

fn of_two_entities() -> Truth {
    let mut truth = Truth::new();
    truth.history.entities.push(entity_key("/f"));
    truth
}
