//! D1 … D9, as done sees them.

use super::support::{MICRO, START, Stage, ask, consumer, done_of, epoch, failed, id, secs};
use claims::domain::{
    AckedStream, Claim, ClaimState, Done, EndReason, EntitySignal, EntityState, EventType, Refusal,
    TokenDigest,
};

fn ack(path: &str, offset: &str) -> AckedStream {
    AckedStream::parse(path.to_owned(), offset.to_owned()).expect("an ack")
}

fn with_acks(claim: &Claim, acks: &[AckedStream]) -> Done {
    Done { acked_streams: acks.to_vec(), ..done_of(claim) }
}

// D1, D2

#[test]
fn done_of_an_unknown_identity_changes_nothing() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    for stranger in [id("w1", 2), id("w2", 1)] {
        let done = Done { id: stranger, ..done_of(&claim) };
        assert_eq!(stage.done_with(done), Err(Refusal::ClaimNotFound));
    }
    assert_eq!(stage.entity().state, EntityState::Running);
    stage.write_by(&claim).expect("the holder goes on");
}

#[test]
fn done_does_not_find_the_same_identity_in_another_tenant() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let elsewhere = stage.minted(&ask("w1").of_tenant("other"));
    stage.done(&elsewhere).expect("a done");
    assert_eq!(stage.claim(&claim), claim);
}

#[test]
fn identity_alone_is_enough_for_done() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let ended = stage.done(&claim).expect("a done");
    assert!(!ended.already_ended);
    assert_eq!(ended.claim, stage.claim(&claim));
    assert_eq!(ended.claim.state, ClaimState::Released);
    assert_eq!(ended.entity_state, EntityState::Idle);
}

#[test]
fn a_wrong_token_ends_nothing_before_or_after_the_end() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let with = |token: TokenDigest| Done { token: Some(token), ..done_of(&claim) };
    let wrong = TokenDigest::from_bytes([9; 32]);
    assert_eq!(stage.done_with(with(wrong)), Err(Refusal::WriteTokenInvalid));
    assert_eq!(stage.claim(&claim), claim);
    let right = claim.token_digest;
    assert!(!stage.done_with(with(right)).expect("a done").already_ended);
    // The digest is kept after the end.
    assert_eq!(stage.done_with(with(wrong)), Err(Refusal::WriteTokenInvalid));
    assert!(stage.done_with(with(right)).expect("told").already_ended);
}

// D3, D4, the table of states

#[test]
fn done_of_the_current_claim_frees_the_entity_and_kills_the_token() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(3));
    let told = stage.events.len();
    let ended = stage.done(&claim).expect("a done");
    let ending = ended.claim.ending.clone().expect("an ending");
    assert!(ending.entity_cleared);
    assert_eq!(ending.at, START + secs(3));
    assert_eq!(ended.claim.lease, claim.lease, "the final lease is kept");
    let entity = stage.entity();
    assert_eq!(entity.state, EntityState::Idle);
    assert_eq!(entity.current, None);
    assert_eq!(entity.fence, claim.fence);
    assert_eq!(stage.write_by(&claim), Err(Refusal::WriteTokenInvalid));
    assert_eq!(stage.told_since(told), [(EventType::Released, "done", "holder")]);
}

#[test]
fn done_does_not_end_a_newer_claim() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let new = stage.minted(&ask("w2").epoch(2).authority("s1"));
    let entity = stage.entity();
    let ended = stage.done(&old).expect("a done");
    assert_eq!(ended.claim.state, ClaimState::Released);
    assert_eq!(ended.entity_state, EntityState::Running);
    let ending = ended.claim.ending.expect("an ending");
    assert!(!ending.entity_cleared);
    assert_eq!(stage.entity(), entity, "no column of the entity (D8)");
    assert_eq!(stage.claim(&new), new);
    stage.write_by(&new).expect("the newer holder goes on");
}

#[test]
fn done_does_not_end_a_newer_claim_of_the_same_consumer() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let new = stage.minted(&ask("w1").epoch(2).authority("s1"));
    stage.done(&old).expect("a done");
    assert_eq!(stage.entity().current, Some((consumer("w1"), epoch(2))));
    assert_eq!(stage.claim(&new), new);
}

#[test]
fn done_does_not_end_a_newer_claim_of_the_same_epoch() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let new = stage.minted(&ask("w2").epoch(1).authority("s2").supersede());
    stage.done(&old).expect("a done");
    assert_eq!(stage.entity().current, Some((consumer("w2"), epoch(1))));
    assert_eq!(stage.claim(&new), new);
}

#[test]
fn a_failed_done_of_a_superseded_claim_leaves_the_entity_alone() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    stage.minted(&ask("w2").epoch(2).authority("s1"));
    let entity = stage.entity();
    let ended = stage.done_with(failed(&old, "too late")).expect("a done");
    assert_eq!(ended.claim.state, ClaimState::Failed);
    assert_eq!(stage.entity(), entity);
}

#[test]
fn a_superseded_claim_may_say_done_after_its_entity_ended() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let new = stage.minted(&ask("w2").epoch(2).authority("s1"));
    stage.signal(EntitySignal::Term).expect("stopping");
    stage.done(&new).expect("a done");
    assert_eq!(stage.entity().state, EntityState::Stopped);
    let ended = stage.done(&old).expect("a done");
    assert_eq!(ended.claim.state, ClaimState::Released);
    assert_eq!(ended.entity_state, EntityState::Stopped);
}

#[test]
fn done_leaves_a_paused_entity_paused() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(EntitySignal::Stop).expect("paused");
    let ended = stage.done(&claim).expect("a done");
    assert_eq!(ended.entity_state, EntityState::Paused);
    assert_eq!(stage.entity().current, None);
    stage.signal(EntitySignal::Cont).expect("continued");
    assert_eq!(stage.entity().state, EntityState::Idle);
}

#[test]
fn done_stops_a_stopping_entity() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.signal(EntitySignal::Term).expect("stopping");
    let ended = stage.done(&claim).expect("a done");
    assert_eq!(ended.entity_state, EntityState::Stopped);
    assert_eq!(stage.entity().state, EntityState::Stopped);
}

// D5

#[test]
fn the_first_ending_wins_and_the_caller_is_told() {
    for state in
        [ClaimState::Released, ClaimState::Failed, ClaimState::Expired, ClaimState::Revoked]
    {
        let (mut stage, claim) = Stage::with_claim(state, &ask("w1"));
        let before = stage.world.clone();
        let told = stage.events.len();
        stage.now = stage.now + secs(9);
        for done in [done_of(&claim), failed(&claim, "no")] {
            let ended = stage.done_with(done).expect("told");
            assert!(ended.already_ended);
            assert_eq!(ended.claim, claim, "the stored claim");
            assert_eq!(ended.entity_state, EntityState::Idle);
        }
        assert_eq!(stage.world, before);
        assert_eq!(stage.events.len(), told);
    }
}

#[test]
fn acks_are_recorded_only_if_an_accepted_done_stored_the_same() {
    let acks = [ack("/chat/a/in", "17"), ack("/chat/b/in", "")];
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let recorded = |stage: &mut Stage, acks: &[AckedStream]| {
        stage.done_with(with_acks(&claim, acks)).expect("a done").acks_recorded
    };
    assert!(recorded(&mut stage, &acks), "the accepted one");
    assert!(recorded(&mut stage, &acks), "the same again");
    assert!(!recorded(&mut stage, &acks[..1]));
    assert!(!recorded(&mut stage, &[]));
    let moved = [ack("/chat/a/in", "18"), acks[1].clone()];
    assert!(!recorded(&mut stage, &moved));
    let stored = stage.claim(&claim).ending.expect("an ending");
    assert_eq!(stored.acked_streams.as_deref(), Some(acks.as_slice()));
}

#[test]
fn no_acks_are_recorded_as_such() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    assert!(stage.done(&claim).expect("a done").acks_recorded);
    assert!(stage.done(&claim).expect("told").acks_recorded);
}

#[test]
fn acks_after_an_expiry_or_revocation_are_not_recorded() {
    for state in [ClaimState::Expired, ClaimState::Revoked] {
        let (mut stage, claim) = Stage::with_claim(state, &ask("w1"));
        for acks in [&[][..], &[ack("/chat/a/in", "17")]] {
            let ended = stage.done_with(with_acks(&claim, acks)).expect("told");
            assert!(ended.already_ended);
            assert!(!ended.acks_recorded);
        }
        let stored = stage.claim(&claim).ending.expect("an ending");
        assert_eq!(stored.acked_streams, None);
    }
}

#[test]
fn a_late_done_tells_the_present_entity_state_and_the_stored_clearing() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(30));
    stage.minted(&ask("w2"));
    let ended = stage.done(&claim).expect("told");
    assert!(ended.already_ended);
    assert_eq!(ended.entity_state, EntityState::Running, "the newer claim's");
    // A mint replaced it at once, yet it was current when it ended (D4).
    assert!(ended.claim.ending.expect("an ending").entity_cleared);
}

// D6

#[test]
fn a_lapsed_even_takeable_claim_may_still_say_done() {
    for late in [secs(30), secs(30) + MICRO, secs(86_400)] {
        let mut stage = Stage::new();
        let claim = stage.minted(&ask("w1").ceiling(secs(60)));
        stage.wait(late);
        let ended = stage.done(&claim).expect("a done");
        assert!(!ended.already_ended);
        assert_eq!(ended.claim.state, ClaimState::Released);
        let ending = ended.claim.ending.expect("an ending");
        assert_eq!(ending.reason, EndReason::Done);
        assert!(ending.entity_cleared);
    }
}

// D7, D8, D9

#[test]
fn acks_are_stored_as_given_and_with_a_failed_done_too() {
    let acks = [ack("/b", "2"), ack("/a", "1"), ack("/a", "1"), ack("", "")];
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let done = Done { acked_streams: acks.to_vec(), ..failed(&claim, "half") };
    stage.done_with(done).expect("a done");
    let stored = stage.claim(&claim).ending.expect("an ending");
    assert_eq!(stored.acked_streams.as_deref(), Some(acks.as_slice()));
    assert_eq!(stored.error_message, "half");
    assert_eq!(stored.reason, EndReason::Failed);
}

#[test]
fn a_completed_done_writes_when_and_no_error() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(5));
    stage.done(&claim).expect("a done");
    let entity = stage.entity();
    assert_eq!(entity.last_claimed_at, Some(START));
    assert_eq!(entity.last_ended_at, Some(stage.now));
    assert_eq!(entity.last_completed_at, Some(stage.now));
    assert_eq!(entity.last_error, None);
}

#[test]
fn a_failed_done_writes_the_error_and_no_completion() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(5));
    let told = stage.events.len();
    stage.done_with(failed(&claim, "out of memory")).expect("a done");
    let entity = stage.entity();
    assert_eq!(entity.last_ended_at, Some(stage.now));
    assert_eq!(entity.last_completed_at, None);
    assert_eq!(entity.last_error.as_deref(), Some("out of memory"));
    assert_eq!(stage.claim(&claim).state, ClaimState::Failed);
    assert_eq!(stage.told_since(told), [(EventType::Failed, "failed", "holder")]);
}

#[test]
fn an_expiry_or_revocation_keeps_the_last_completion_and_error() {
    for state in [ClaimState::Expired, ClaimState::Revoked] {
        let mut stage = Stage::new();
        let completed = stage.minted(&ask("w1"));
        stage.done(&completed).expect("a done");
        let broken = stage.minted(&ask("w1"));
        stage.wait(secs(1));
        stage.done_with(failed(&broken, "broken")).expect("a done");
        let last = stage.minted(&ask("w1"));
        stage.wait(secs(3_600));
        match state {
            ClaimState::Expired => {
                stage.expire(&last);
            }
            _ => {
                stage.revoke(&last, "").expect("a revocation");
            }
        }
        let entity = stage.entity();
        assert_eq!(entity.last_ended_at, Some(stage.now));
        assert_eq!(entity.last_completed_at, Some(START));
        assert_eq!(entity.last_error.as_deref(), Some("broken"));
    }
}
