//! R1 and R3, as far as they are decided; how due claims are found and counted is the reaper's.

use super::support::{MICRO, OUTAGE_GRACE, REAP_GRACE, START, Stage, ask, id, secs};
use claims::domain::{
    ClaimState, EndReason, EntitySignal, EntityState, EventType, Expiry, Refusal,
};

#[test]
fn a_claim_is_due_once_it_has_been_takeable_for_the_reap_grace() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30));
    assert_eq!(stage.expire(&claim), Expiry::NotDue, "takeable is not due");
    stage.wait(REAP_GRACE - MICRO);
    assert_eq!(stage.expire(&claim), Expiry::NotDue);
    assert_eq!(stage.claim(&claim), claim);
    stage.wait(MICRO);
    let due_at = START + secs(30) + REAP_GRACE;
    assert_eq!(stage.expire(&claim), Expiry::Expired { due_at, expired_at: stage.now });
}

#[test]
fn due_at_tells_since_when() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(3_600));
    let due_at = START + secs(35);
    assert_eq!(stage.expire(&claim), Expiry::Expired { due_at, expired_at: stage.now });
}

#[test]
fn an_expired_claim_frees_its_entity_and_says_why() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(60));
    let told = stage.events.len();
    stage.expire(&claim);
    let expired = stage.claim(&claim);
    assert_eq!(expired.state, ClaimState::Expired);
    assert_eq!(expired.lease, claim.lease);
    let ending = expired.ending.expect("an ending");
    assert_eq!(ending.reason, EndReason::LeaseLapsed);
    assert_eq!(ending.at, stage.now);
    assert!(ending.entity_cleared);
    assert_eq!(ending.acked_streams, None);
    let entity = stage.entity();
    assert_eq!(entity.state, EntityState::Idle);
    assert_eq!(entity.current, None);
    assert_eq!(entity.last_ended_at, Some(stage.now));
    assert_eq!(entity.last_completed_at, None, "R3");
    assert_eq!(stage.told_since(told), [(EventType::Expired, "lease_lapsed", "reaper")]);
}

#[test]
fn a_claim_that_lapsed_at_its_ceiling_is_told_apart() {
    let cases = [
        (ask("w1").ttl(secs(30)).ceiling(secs(30)), "ceiling_reached"),
        (ask("w1").ceiling(secs(20)), "ceiling_reached"),
        (ask("w1").ttl(secs(30)).ceiling(secs(31)), "lease_lapsed"),
        (ask("w1").ttl(secs(30)), "lease_lapsed"),
    ];
    for (ask, reason) in cases {
        let mut stage = Stage::new();
        let claim = stage.minted(&ask);
        // Long past the ceiling: what counts is where the lease ended, not what time it is.
        stage.wait(secs(3_600));
        stage.expire(&claim);
        let ending = stage.claim(&claim).ending.expect("an ending");
        assert_eq!(ending.reason.to_string(), reason);
        assert_eq!(stage.events[1].reason, reason);
    }
}

#[test]
fn a_claim_renewed_up_to_its_ceiling_ends_as_ceiling_reached() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)).ceiling(secs(50)));
    stage.wait(secs(25));
    stage.beat(&claim).expect("renewed");
    stage.wait(secs(60));
    stage.expire(&claim);
    let ending = stage.claim(&claim).ending.expect("an ending");
    assert_eq!(ending.reason, EndReason::CeilingReached);
}

#[test]
fn a_heartbeat_between_finding_and_locking_saves_the_claim() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.wait(secs(3_600));
    stage.beat(&claim).expect("renewed");
    assert_eq!(stage.expire(&claim), Expiry::NotDue);
    assert_eq!(stage.claim(&claim).state, ClaimState::Active);
}

#[test]
fn a_superseded_claim_is_expired_and_the_newer_one_survives() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1").ttl(secs(10)));
    let new = stage.minted(&ask("w2").epoch(2).authority("s1").ttl(secs(600)));
    let entity = stage.entity();
    stage.wait(secs(15) - MICRO);
    assert_eq!(stage.expire(&old), Expiry::NotDue);
    stage.wait(MICRO);
    assert!(matches!(stage.expire(&old), Expiry::Expired { .. }));
    let ended = stage.claim(&old);
    assert_eq!(ended.state, ClaimState::Expired);
    assert!(!ended.ending.expect("an ending").entity_cleared);
    assert_eq!(stage.entity(), entity, "no column of the entity (D8)");
    stage.write_by(&new).expect("the newer holder goes on");
}

#[test]
fn the_reaper_does_not_leave_paused_and_stops_a_stopping_entity() {
    for (signal, after) in
        [(EntitySignal::Stop, EntityState::Paused), (EntitySignal::Term, EntityState::Stopped)]
    {
        let mut stage = Stage::new();
        let claim = stage.minted(&ask("w1"));
        stage.signal(signal).expect("a signal");
        stage.wait(secs(60));
        stage.expire(&claim);
        assert_eq!(stage.entity().state, after);
        assert_eq!(stage.entity().current, None);
    }
}

#[test]
fn an_ended_claim_is_not_ended_twice() {
    for state in
        [ClaimState::Released, ClaimState::Failed, ClaimState::Expired, ClaimState::Revoked]
    {
        let (mut stage, claim) = Stage::with_claim(state, &ask("w1"));
        stage.wait(secs(3_600));
        let told = stage.events.len();
        assert_eq!(stage.expire(&claim), Expiry::AlreadyEnded);
        assert_eq!(stage.claim(&claim), claim);
        assert_eq!(stage.events.len(), told);
    }
}

#[test]
fn a_claim_that_is_gone_is_not_found() {
    let mut stage = Stage::new();
    let outcome = stage.expire_after(&id("w1", 1), REAP_GRACE);
    assert_eq!(outcome, Err(Refusal::ClaimNotFound));
}

#[test]
fn without_a_reap_grace_due_is_takeable() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30) - MICRO);
    assert_eq!(stage.expire_after(&claim.id, secs(0)), Ok(Expiry::NotDue));
    stage.wait(MICRO);
    let due_at = START + secs(30);
    assert_eq!(
        stage.expire_after(&claim.id, secs(0)),
        Ok(Expiry::Expired { due_at, expired_at: stage.now })
    );
}

#[test]
fn nobody_is_expired_during_an_outage() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(1)));
    stage.silence(secs(86_400));
    assert_eq!(stage.expire(&claim), Expiry::NotDue);
    stage.world.liveness = None;
    assert_eq!(stage.expire(&claim), Expiry::NotDue);
}

#[test]
fn after_an_outage_the_reap_grace_comes_on_top_of_the_outage_grace() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(600));
    stage.resume();
    stage.wait(OUTAGE_GRACE + REAP_GRACE - MICRO);
    assert_eq!(stage.expire(&claim), Expiry::NotDue);
    stage.wait(MICRO);
    let due_at = stage.now;
    assert_eq!(stage.expire(&claim), Expiry::Expired { due_at, expired_at: stage.now });
}
