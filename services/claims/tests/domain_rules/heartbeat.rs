//! H1 … H7.

use super::support::{
    ENTITY, MICRO, START, STREAM, Stage, ask, beat_of, consumer, epoch, id, key, secs, ttl,
};
use claims::domain::{
    Claim, ClaimState, Directive, EntitySignal, Heartbeat, Refusal, Text, TokenDigest, heartbeat,
};
use std::time::Duration;

fn wrong_token() -> TokenDigest {
    TokenDigest::from_bytes([9; 32])
}

// H1

#[test]
fn a_heartbeat_of_an_unknown_identity_is_refused() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    for stranger in [id("w1", 2), id("w2", 1)] {
        let beat = Heartbeat { id: stranger, token: Some(wrong_token()), ..beat_of(&claim) };
        assert_eq!(stage.beat_with(&beat), Err(Refusal::ClaimNotFound));
    }
}

#[test]
fn only_an_active_claim_is_renewed() {
    let ends = [
        (ClaimState::Released, "done"),
        (ClaimState::Failed, "failed"),
        (ClaimState::Expired, "lease_lapsed"),
        (ClaimState::Revoked, "revoked"),
    ];
    for (state, end_reason) in ends {
        let (mut stage, claim) = Stage::with_claim(state, &ask("w1"));
        let refusal =
            Refusal::ClaimEnded { state, end_time: stage.now, end_reason: end_reason.to_owned() };
        assert_eq!(stage.beat(&claim), Err(refusal));
        assert_eq!(stage.claim(&claim), claim);
    }
    let (mut stage, claim) = Stage::with_claim(ClaimState::Superseded, &ask("w1"));
    let refusal = Refusal::ClaimSuperseded { by_consumer: consumer("newer"), by_epoch: epoch(2) };
    assert_eq!(stage.beat(&claim), Err(refusal));
    assert_eq!(stage.claim(&claim), claim);
}

#[test]
fn a_superseded_claim_that_ended_is_told_so() {
    let (mut stage, claim) = Stage::with_claim(ClaimState::Superseded, &ask("w1"));
    stage.done(&claim).expect("a done");
    assert!(matches!(
        stage.beat(&claim),
        Err(Refusal::ClaimEnded { state: ClaimState::Released, .. })
    ));
}

#[test]
fn the_token_is_checked_before_the_state_and_the_state_before_the_ceiling() {
    let (mut stage, claim) = Stage::with_claim(ClaimState::Released, &ask("w1").ceiling(secs(60)));
    stage.wait(secs(60));
    let with_wrong_token = Heartbeat { token: Some(wrong_token()), ..beat_of(&claim) };
    assert_eq!(stage.beat_with(&with_wrong_token), Err(Refusal::WriteTokenInvalid));
    assert!(matches!(stage.beat(&claim), Err(Refusal::ClaimEnded { .. })));
}

// H2

#[test]
fn a_heartbeat_renews_by_the_claims_own_length() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(40)));
    stage.wait(secs(10));
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(50));
    assert_eq!(renewal.remaining, secs(40));
    assert_eq!(renewal.ttl, ttl(40));
    assert_eq!(renewal.directive, Directive::Continue);
    assert!(!renewal.had_lapsed);
    assert_eq!(renewal.ceiling_remaining, None);
    let lease = stage.claim(&claim).lease;
    assert_eq!(lease.expires_at, renewal.expires_at);
    assert_eq!(lease.last_heartbeat_at, Some(stage.now));
    assert_eq!(lease.heard_at, stage.now);
}

#[test]
fn a_heartbeats_own_length_counts_once_and_does_not_become_the_claims() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    let beat = Heartbeat { ttl: Some(ttl(120)), ..beat_of(&claim) };
    let renewal = stage.beat_with(&beat).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(120));
    assert_eq!(renewal.ttl, ttl(120));
    stage.wait(secs(100));
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(130));
    assert_eq!(renewal.ttl, ttl(30));
}

#[test]
fn a_lease_never_moves_back() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(600)));
    stage.wait(secs(1));
    let short = Heartbeat { ttl: Some(ttl(1)), ..beat_of(&claim) };
    let renewal = stage.beat_with(&short).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(600));
    assert_eq!(renewal.remaining, secs(599));
}

#[test]
fn a_heartbeat_after_a_small_step_back_of_the_clock_keeps_the_lease() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.now = START - secs(4);
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(30));
}

#[test]
fn a_lease_more_than_ten_minutes_ahead_is_cut_by_the_next_heartbeat() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(600)));
    stage.now = START - MICRO;
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.expires_at, stage.now + secs(600));
    assert_eq!(renewal.remaining, secs(600));

    stage.now = START - secs(86_400);
    let short = Heartbeat { ttl: Some(ttl(1)), ..beat_of(&claim) };
    let renewal = stage.beat_with(&short).expect("renewed");
    assert_eq!(renewal.expires_at, stage.now + secs(600), "cut, not reset");
}

#[test]
fn until_a_heartbeat_cuts_it_a_lease_far_ahead_is_not_takeable() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.now = START - secs(86_400);
    stage.resume();
    stage.wait(secs(3_600));
    assert!(matches!(stage.refused(&ask("w2")), Refusal::AlreadyClaimed { .. }));
    stage.minted(&ask("w2").supersede());
    assert_eq!(stage.claim(&claim).state, ClaimState::Superseded);
}

// H3

#[test]
fn a_lapsed_claim_that_nobody_ended_is_renewed_and_told_so() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30) - MICRO);
    assert!(!heartbeat_now(&stage, &claim).1, "one microsecond before");
    stage.wait(MICRO);
    assert!(heartbeat_now(&stage, &claim).1, "exactly at the end");
    stage.wait(secs(3_600));
    let renewal = stage.beat(&claim).expect("renewed");
    assert!(renewal.had_lapsed);
    assert_eq!(renewal.expires_at, stage.now + secs(30));
    stage.write_by(&claim).expect("the token works again");
    assert!(!stage.beat(&claim).expect("renewed").had_lapsed);
}

/// What a heartbeat would say, without its happening: remaining time and whether it had lapsed.
fn heartbeat_now(stage: &Stage, claim: &Claim) -> (Duration, bool) {
    let row = stage.world.claims.get(&claim.id);
    let (_, renewal) = heartbeat::heartbeat(row, &beat_of(claim), stage.now).expect("renewed");
    (renewal.remaining, renewal.had_lapsed)
}

#[test]
fn a_taken_claim_is_lost_to_its_holder() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(30));
    stage.minted(&ask("w2"));
    assert!(matches!(
        stage.beat(&claim),
        Err(Refusal::ClaimEnded { state: ClaimState::Expired, .. })
    ));
}

// H4

#[test]
fn no_lease_goes_beyond_the_ceiling() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)).ceiling(secs(60)));
    stage.wait(secs(40));
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(60));
    assert_eq!(renewal.remaining, secs(20));
    assert_eq!(renewal.ceiling_remaining, Some(secs(20)));
    let long = Heartbeat { ttl: Some(ttl(600)), ..beat_of(&claim) };
    let renewal = stage.beat_with(&long).expect("renewed");
    assert_eq!(renewal.expires_at, START + secs(60));
}

#[test]
fn a_heartbeat_at_or_after_the_ceiling_is_refused() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ceiling(secs(60)));
    stage.wait(secs(60) - MICRO);
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.ceiling_remaining, Some(MICRO));
    let before = stage.claim(&claim);
    stage.wait(MICRO);
    assert_eq!(stage.beat(&claim), Err(Refusal::CeilingReached));
    stage.wait(secs(1));
    assert_eq!(stage.beat(&claim), Err(Refusal::CeilingReached));
    assert_eq!(stage.claim(&claim), before);
    // It may still say done (D6).
    assert!(!stage.done(&claim).expect("a done").already_ended);
}

// H5

#[test]
fn the_holder_of_a_paused_or_stopping_entity_is_asked_to_stop() {
    for signal in [EntitySignal::Stop, EntitySignal::Term] {
        let mut stage = Stage::new();
        let claim = stage.minted(&ask("w1"));
        let directive = |stage: &mut Stage| stage.beat(&claim).expect("renewed").directive;
        assert_eq!(directive(&mut stage), Directive::Continue);
        stage.signal(signal).expect("a signal");
        assert_eq!(directive(&mut stage), Directive::Stop);
        assert_eq!(directive(&mut stage), Directive::Stop, "until it is taken back");
    }
}

#[test]
fn cont_takes_the_directive_back() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(EntitySignal::Stop).expect("paused");
    stage.signal(EntitySignal::Cont).expect("running");
    let renewal = stage.beat(&claim).expect("renewed");
    assert_eq!(renewal.directive, Directive::Continue);
}

// H6

#[test]
fn a_heartbeat_changes_one_lease_and_may_be_repeated() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.minted(&ask("w1").of("/chat/b"));
    let before = stage.world.clone();
    stage.wait(secs(10));
    let first = stage.beat(&claim).expect("renewed");
    let second = stage.beat(&claim).expect("renewed");
    assert_eq!(first, second);
    let mut expected = before;
    expected.liveness = stage.world.liveness;
    let row = expected.claims.get_mut(&claim.id).expect("a row");
    row.lease.expires_at = START + secs(40);
    row.lease.heard_at = stage.now;
    row.lease.last_heartbeat_at = Some(stage.now);
    assert_eq!(stage.world, expected);
    assert_eq!(stage.world.entity(&key(ENTITY)).fence, claim.fence);
    assert_eq!(stage.events.len(), 2, "heartbeats have no events");
}

#[test]
fn progress_is_kept_until_another_is_given() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let says = |text: &str| Heartbeat {
        progress: Some(Text::parse("progress", text).expect("a text")),
        ..beat_of(&claim)
    };
    stage.beat_with(&says("half way")).expect("renewed");
    stage.beat(&claim).expect("renewed");
    assert_eq!(stage.claim(&claim).progress.as_deref(), Some("half way"));
    stage.beat_with(&says("")).expect("renewed");
    assert_eq!(stage.claim(&claim).progress.as_deref(), Some(""));
    stage.done(&claim).expect("a done");
    assert_eq!(stage.claim(&claim).progress.as_deref(), Some(""));
}

// H7

#[test]
fn a_wrong_token_is_not_a_heartbeat() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").request("q1"));
    let with = |token| Heartbeat { token: Some(token), ..beat_of(&claim) };
    stage.wait(secs(10));
    let before = stage.claim(&claim);
    assert_eq!(stage.beat_with(&with(wrong_token())), Err(Refusal::WriteTokenInvalid));
    assert_eq!(stage.claim(&claim), before);
    stage.beat_with(&with(claim.token_digest)).expect("its own");

    // After a re-mint the older token is wrong.
    let again = stage.minted(&ask("w1").request("q1"));
    assert_eq!(stage.beat_with(&with(claim.token_digest)), Err(Refusal::WriteTokenInvalid));
    stage.beat_with(&with(again.token_digest)).expect("the fresh one");
    stage.write(STREAM, &again.token_digest).expect("it writes");
}
