//! Histories that nothing explains. The checker must refuse each of them, or it would prove nothing.

use super::check::check;
use super::record::{Call, Log, Said};
use super::shrink::short;
use super::spec::{beginning, effect};
use super::truth::{Truth, a_life};
use claims::domain::{Answer, Command, EntitySignal, Heartbeat, Refusal, TokenDigest};
use claims::testing::{MintBuilder, claim_id, expire, heartbeat, mint, signal};
use std::time::Duration;

#[test]
fn two_holders_at_once_are_refused() {
    let mut truth = Truth::new();
    truth.mint(mint("/e", "w1"));
    // As a second server would answer that does not know of the first.
    let mut other = Truth::new();
    other.pass(Duration::from_secs(1));
    let asked = mint("/e", "w2");
    other.mint(MintBuilder { mint: asked.mint.clone(), token: asked.token });
    truth.call(Call::Decide(Command::Mint(asked.mint)));
    truth.assert_explained();
    truth.history.records[1].said = other.history.records[0].said.clone();
    truth.assert_refused();
}

#[test]
fn a_done_that_was_acknowledged_and_lost_is_refused() {
    let mut truth = Truth::new();
    let (id, _) = truth.mint(mint("/e", "w1"));
    let before = (truth.world.clone(), truth.events.clone());
    truth.done(&id);
    (truth.world, truth.events) = before;
    truth.call(Call::Decide(Command::Mint(mint("/e", "w2").mint)));
    truth.assert_refused();
    // Without an answer it may never have taken effect.
    truth.history.records[1].said = None;
    truth.assert_explained();
}

#[test]
fn a_done_without_an_answer_may_take_effect_late_but_not_before_it_was_asked() {
    let mut truth = Truth::new();
    let (id, _) = truth.mint(mint("/e", "w1"));
    truth.done(&id);
    truth.mint(mint("/e", "w2"));
    truth.history.records[1].said = None;
    truth.assert_explained();
    truth.history.records[1].invoked = truth.now + Duration::from_secs(1);
    truth.assert_refused();
}

#[test]
fn a_write_by_who_has_been_superseded_is_refused() {
    let mut truth = Truth::new();
    let (_, token) = truth.mint(mint("/e", "w1").epoch("s", 1));
    truth.write(token);
    let before = truth.world.clone();
    truth.mint(mint("/e", "w2").epoch("s", 2));
    truth.assert_explained();
    truth.world = before;
    truth.write(token);
    truth.assert_refused();
}

#[test]
fn a_write_beyond_the_lease_is_refused() {
    let mut truth = Truth::new();
    let (_, token) = truth.mint(mint("/e", "w1").lengths(Some(2), None));
    truth.write(token);
    let allowed = truth.said(1);
    truth.pass(Duration::from_secs(5));
    truth.write(token);
    truth.assert_explained();
    truth.instead(2, allowed);
    truth.assert_refused();
}

#[test]
fn swapped_answers_are_refused() {
    let truth = a_life();
    let count = truth.history.records.len();
    for (one, other) in (0..count).flat_map(|one| (0..one).map(move |other| (one, other))) {
        let mut swapped = truth.clone();
        let (a, b) = (truth.said(one), truth.said(other));
        swapped.instead(one, b);
        swapped.instead(other, a);
        swapped.assert_refused();
    }
}

#[test]
fn an_expiry_before_its_time_is_refused() {
    let mut truth = Truth::new();
    let (id, _) = truth.mint(mint("/e", "w1").lengths(Some(10), None));
    let mut early = Truth::new();
    early.world = truth.world.clone();
    early.now = truth.now + Duration::from_secs(30);
    early.call(Call::Decide(Command::Expire(expire(&id))));
    let Said::Decided(Ok(Answer::Expiry(claims::domain::Expiry::Expired { due_at, .. }))) =
        early.said(0)
    else {
        panic!("it is due");
    };
    truth.call(Call::Decide(Command::Expire(expire(&id))));
    truth.assert_explained();
    let expired_at = truth.now;
    let expiry = claims::domain::Expiry::Expired { due_at, expired_at };
    truth.instead(1, Said::Decided(Ok(Answer::Expiry(expiry))));
    truth.assert_refused();
}

#[test]
fn a_refusal_for_a_holder_that_nobody_is_is_refused() {
    let mut truth = a_life();
    let holder = claim_id("w1", 1);
    let refusal = Refusal::AlreadyClaimed {
        holder: holder.consumer,
        epoch: holder.epoch,
        takeable_in: Duration::from_secs(1),
    };
    truth.instead(4, Said::Decided(Err(refusal)));
    truth.assert_refused();
}

#[test]
fn an_answer_from_before_a_call_that_was_answered_earlier_is_refused() {
    let mut truth = Truth::new();
    let (id, token) = truth.mint(mint("/e", "w1"));
    truth.done(&id);
    truth.write(token);
    truth.assert_explained();
    // Had the two overlapped, the write could have come first.
    let mut other = Truth::new();
    let minted_at = truth.now - Duration::from_secs(2);
    let minted = effect(&beginning(), &truth.history.records[0].call, minted_at);
    other.world.apply(&minted.changes);
    other.now = truth.now - Duration::from_secs(1);
    other.write(token);
    truth.instead(2, other.said(0));
    truth.assert_refused();
    truth.history.records[2].invoked = truth.history.records[1].invoked;
    truth.assert_explained();
}

#[test]
fn a_heartbeat_that_was_acknowledged_and_lost_is_refused() {
    let mut truth = Truth::new();
    let (id, token) = truth.mint(mint("/e", "w1").lengths(Some(3), None));
    let before = truth.world.clone();
    truth.beat(&id);
    truth.world = before;
    truth.pass(Duration::from_secs(1));
    truth.write(token);
    truth.assert_refused();
}

#[test]
fn a_token_in_another_letter_is_refused_in_the_rows() {
    let truth = a_life();
    let mut after = truth.after();
    let id = claim_id("w2", 2);
    let claim = after.world.claims.get_mut(&id).expect("the second claim");
    claim.token_digest = TokenDigest::from_bytes([7; 32]);
    assert!(check(&truth.history, Some(&after)).is_err());
}

#[test]
fn events_that_are_missing_doubled_or_swapped_are_refused() {
    let mut truth = a_life();
    truth.call(Call::Decide(Command::Signal(signal("/e", EntitySignal::Stop))));
    let count = truth.events.len();
    let assert_refused = |tamper: &dyn Fn(&mut Log)| {
        let mut after = truth.after();
        after.events.values_mut().for_each(tamper);
        assert!(check(&truth.history, Some(&after)).is_err());
    };
    for place in 0..count {
        assert_refused(&|events| drop(events.remove(place)));
        assert_refused(&|events| events.insert(place, events[place].clone()));
        assert_refused(&|events| events.swap(place, (place + 1) % count));
    }
}

#[tokio::test]
async fn a_refused_history_is_shown_without_what_is_not_needed() {
    let mut truth = a_life();
    for _ in 0..20 {
        truth.write(TokenDigest::from_bytes([9; 32]));
    }
    let wrong = truth.history.records.len();
    let other = Heartbeat {
        token: Some(TokenDigest::from_bytes([9; 32])),
        ..heartbeat(&claim_id("w2", 2))
    };
    truth.call(Call::Beat(other));
    truth.instead(wrong, Said::Beat(Err(Refusal::ClaimNotFound)));
    for _ in 0..20 {
        truth.write(TokenDigest::from_bytes([9; 32]));
    }
    truth.assert_refused();
    let short = short(&truth.history, None).await;
    assert!(check(&short, None).is_err());
    // Two mints, two renewals and a done changed something; the sixth is the one that is wrong.
    assert_eq!(short.records.len(), 6);
}
