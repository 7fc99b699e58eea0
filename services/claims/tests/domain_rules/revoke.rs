//! Revocation: an operator's act, a row of the table of states.

use super::support::{Stage, ask, secs};
use claims::domain::{ClaimState, EndReason, EntitySignal, EntityState, EventType, Refusal};

#[test]
fn a_revoked_current_claim_frees_its_entity() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(2));
    let told = stage.events.len();
    let ended = stage.revoke(&claim, "runs amok").expect("a revocation");
    assert!(!ended.already_ended);
    assert!(!ended.acks_recorded);
    assert_eq!(ended.entity_state, EntityState::Idle);
    assert_eq!(ended.claim.state, ClaimState::Revoked);
    let ending = ended.claim.ending.expect("an ending");
    assert_eq!(ending.reason, EndReason::Operator("runs amok".into()));
    assert!(ending.entity_cleared);
    assert_eq!(stage.entity().last_ended_at, Some(stage.now));
    assert_eq!(stage.write_by(&claim), Err(Refusal::WriteTokenInvalid));
    assert_eq!(stage.told_since(told), [(EventType::Revoked, "runs amok", "olga")]);
}

#[test]
fn a_revoked_superseded_claim_leaves_the_newer_one() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let new = stage.minted(&ask("w2").epoch(2).authority("s1"));
    let entity = stage.entity();
    let ended = stage.revoke(&old, "").expect("a revocation");
    assert_eq!(ended.entity_state, EntityState::Running);
    assert!(!ended.claim.ending.expect("an ending").entity_cleared);
    assert_eq!(stage.entity(), entity);
    stage.write_by(&new).expect("the newer holder goes on");
}

#[test]
fn a_revocation_without_a_reason_says_revoked() {
    let (stage, claim) = Stage::with_claim(ClaimState::Revoked, &ask("w1"));
    let ending = stage.claim(&claim).ending.expect("an ending");
    assert_eq!(ending.reason.to_string(), "revoked");
}

#[test]
fn a_revocation_does_not_leave_paused_and_stops_a_stopping_entity() {
    for (signal, after) in
        [(EntitySignal::Stop, EntityState::Paused), (EntitySignal::Term, EntityState::Stopped)]
    {
        let mut stage = Stage::new();
        let claim = stage.minted(&ask("w1"));
        stage.signal(signal).expect("a signal");
        let ended = stage.revoke(&claim, "").expect("a revocation");
        assert_eq!(ended.entity_state, after);
    }
}

#[test]
fn a_revocation_does_not_change_how_a_claim_ended() {
    for state in [ClaimState::Released, ClaimState::Failed, ClaimState::Expired] {
        let (mut stage, claim) = Stage::with_claim(state, &ask("w1"));
        let ended = stage.revoke(&claim, "late").expect("told");
        assert!(ended.already_ended);
        assert!(!ended.acks_recorded);
        assert_eq!(ended.claim, claim);
    }
}

#[test]
fn an_unknown_identity_is_not_revoked() {
    let (mut stage, claim) = Stage::with_claim(ClaimState::Released, &ask("w1"));
    stage.world.claims.remove(&claim.id);
    assert_eq!(stage.revoke(&claim, ""), Err(Refusal::ClaimNotFound));
}

#[test]
fn a_stored_reason_is_read_back_as_it_was() {
    let reasons = [
        (ClaimState::Released, EndReason::Done),
        (ClaimState::Failed, EndReason::Failed),
        (ClaimState::Expired, EndReason::LeaseLapsed),
        (ClaimState::Expired, EndReason::CeilingReached),
        (ClaimState::Revoked, EndReason::Killed),
        (ClaimState::Revoked, EndReason::Operator("done".into())),
        (ClaimState::Revoked, EndReason::Operator("".into())),
    ];
    for (state, reason) in reasons {
        assert_eq!(EndReason::from_stored(state, &reason.to_string()), reason);
    }
}
