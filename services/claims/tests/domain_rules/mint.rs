//! M1, M4, M5, M6, and the order in which a mint is checked.

use super::support::{
    ENTITY, MICRO, OUTAGE_GRACE, START, STREAM, Stage, ask, authority, consumer, epoch, key, secs,
    ttl,
};
use claims::domain::{ClaimState, EndReason, EntitySignal, EntityState, EventType, Fence, Refusal};

fn fence(number: i64) -> Fence {
    Fence::parse(number).expect("a fence")
}

#[test]
fn the_first_mint_makes_an_active_claim_and_a_running_entity() {
    let mut stage = Stage::new();
    let minted = stage.mint(&ask("w1").runner("r1")).expect("accepted");
    assert!(!minted.reminted);
    assert_eq!(minted.ended_predecessor, None);
    let claim = minted.claim;
    assert_eq!(claim.state, ClaimState::Active);
    assert_eq!(claim.id.epoch, epoch(1));
    assert_eq!(claim.fence, fence(1));
    assert_eq!(claim.stream.as_str(), STREAM);
    assert_eq!(claim.claimed_at, START);
    assert_eq!(claim.lease.heard_at, START);
    assert_eq!(claim.lease.last_heartbeat_at, None);
    assert_eq!(claim, stage.claim(&claim));

    let entity = stage.entity();
    assert_eq!(entity.state, EntityState::Running);
    assert_eq!(entity.current, Some((consumer("w1"), epoch(1))));
    assert_eq!(entity.fence, fence(1));
    assert_eq!(entity.last_claimed_at, Some(START));
    assert_eq!(entity.last_ended_at, None);
    assert_eq!(stage.told_since(0), [(EventType::Minted, "", "holder")]);
}

#[test]
fn a_claim_of_another_tenant_is_no_obstacle() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(7).authority("s1"));
    let other = stage.minted(&ask("w1").of_tenant("other").epoch(1).authority("s1"));
    assert_eq!(other.fence, fence(1));
    assert_eq!(stage.world.entities.len(), 2);
}

// M1

#[test]
fn a_paused_stopping_stopped_or_killed_entity_takes_no_claim() {
    let cases = [
        (EntityState::Paused, false),
        (EntityState::Paused, true),
        (EntityState::Stopping, true),
        (EntityState::Stopped, false),
        (EntityState::Stopped, true),
        (EntityState::Killed, false),
        (EntityState::Killed, true),
    ];
    for (state, had_claim) in cases {
        let mut stage = match state {
            EntityState::Stopped if had_claim => {
                let mut stage = Stage::with_entity(EntityState::Stopping, true);
                let id = stage.entity().current_id(&key(ENTITY).tenant);
                let claim = stage.world.claims[&id.expect("a current claim")].clone();
                stage.done(&claim).expect("a done");
                stage
            }
            _ => Stage::with_entity(state, had_claim),
        };
        let refusal = Refusal::EntityNotClaimable(state);
        assert_eq!(stage.refused(&ask("w2")), refusal);
        let insistent = ask("w2").epoch(99).authority("s1").supersede();
        assert_eq!(stage.refused(&insistent), refusal);
        // Not even once the claim is takeable.
        stage.wait(secs(3_600));
        assert_eq!(stage.refused(&insistent), refusal);
    }
}

#[test]
fn a_stopping_entity_with_a_lapsed_claim_is_left_to_the_reaper() {
    let mut stage = Stage::with_entity(EntityState::Stopping, true);
    stage.wait(secs(3_600));
    let refusal = Refusal::EntityNotClaimable(EntityState::Stopping);
    assert_eq!(stage.refused(&ask("w2")), refusal);
    assert_eq!(stage.entity().state, EntityState::Stopping);
}

#[test]
fn a_refused_mint_writes_no_mark_and_draws_no_fence() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1"));
    let before = stage.world.clone();
    stage.refused(&ask("w2").epoch(9).authority("s2"));
    assert_eq!(stage.world, before);
    assert_eq!(stage.world.mark(&key(ENTITY), &authority("s2")), None);
}

// M4

#[test]
fn a_held_entity_is_not_given_away_for_the_asking() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").ttl(secs(40)));
    stage.wait(secs(15));
    let refusal =
        Refusal::AlreadyClaimed { holder: consumer("w1"), epoch: epoch(1), takeable_in: secs(25) };
    assert_eq!(stage.refused(&ask("w2")), refusal);
    // The same consumer, without naming its claim, is a stranger too.
    assert_eq!(stage.refused(&ask("w1")), refusal);
}

#[test]
fn a_given_higher_epoch_of_the_same_authority_supersedes() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1").ttl(secs(40)));
    stage.wait(secs(10));
    let told = stage.events.len();
    let minted = stage.mint(&ask("w2").epoch(2).authority("s1")).expect("accepted");
    let superseded = stage.claim(&old);
    assert_eq!(superseded.state, ClaimState::Superseded);
    assert_eq!(superseded.superseded_by, Some((consumer("w2"), epoch(2))));
    assert_eq!(superseded.ending, None);
    assert_eq!(superseded.lease, old.lease);
    assert_eq!(minted.ended_predecessor, Some(superseded));
    assert_eq!(minted.claim.fence, fence(2));
    assert_eq!(
        stage.told_since(told),
        [(EventType::Superseded, "newer_epoch", "mint"), (EventType::Minted, "", "holder"),]
    );
    let entity = stage.entity();
    assert_eq!(entity.state, EntityState::Running);
    assert_eq!(entity.current, Some((consumer("w2"), epoch(2))));
    assert_eq!(entity.last_claimed_at, Some(stage.now));
    assert_eq!(entity.last_ended_at, None, "a superseded claim has not ended");
}

#[test]
fn a_superseded_claims_token_is_dead_at_once() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    stage.write_by(&old).expect("the holder writes");
    let new = stage.minted(&ask("w2").epoch(2).authority("s1"));
    assert_eq!(stage.write_by(&old), Err(Refusal::WriteTokenInvalid));
    stage.write_by(&new).expect("the newer holder writes");
}

#[test]
fn a_higher_epoch_of_the_empty_authority_supersedes_if_it_is_given() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1"));
    stage.minted(&ask("w2").epoch(2));
    assert_eq!(stage.claim(&old).state, ClaimState::Superseded);
}

#[test]
fn an_issued_epoch_does_not_supersede_though_it_is_higher() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1"));
    let refusal = stage.refused(&ask("w2"));
    assert!(matches!(refusal, Refusal::AlreadyClaimed { .. }));
}

#[test]
fn a_higher_epoch_of_another_authority_does_not_supersede() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(1).authority("s1"));
    for stranger in [ask("w2").epoch(9).authority("s2"), ask("w2").epoch(9), ask("w2")] {
        let refusal = stage.refused(&stranger);
        let holder = consumer("w1");
        assert!(
            matches!(refusal, Refusal::AlreadyClaimed { holder: named, .. } if named == holder)
        );
    }
}

#[test]
fn supersede_takes_over_from_any_authority_with_or_without_an_epoch() {
    for newer in [ask("w2"), ask("w2").epoch(1).authority("s2"), ask("w2").epoch(1)] {
        let mut stage = Stage::new();
        let old = stage.minted(&ask("w1").epoch(5).authority("s1"));
        let told = stage.events.len();
        let minted = stage.mint(&newer.supersede()).expect("accepted");
        assert_eq!(stage.claim(&old).state, ClaimState::Superseded);
        assert_eq!(minted.ended_predecessor, Some(stage.claim(&old)));
        assert_eq!(minted.claim.fence, fence(2));
        let events = stage.told_since(told);
        assert_eq!(events[0], (EventType::Superseded, "supersede_requested", "mint"));
    }
}

#[test]
fn a_third_mint_does_not_touch_the_first_superseded_claim() {
    let mut stage = Stage::new();
    let first = stage.minted(&ask("w1").epoch(1).authority("s1"));
    stage.minted(&ask("w2").epoch(2).authority("s1"));
    let superseded = stage.claim(&first);
    stage.minted(&ask("w3").epoch(3).authority("s1"));
    assert_eq!(stage.claim(&first), superseded);
}

#[test]
fn takeable_in_counts_the_outage_grace_of_a_claim_not_heard_of_since() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").ttl(secs(10)));
    stage.silence(secs(20));
    stage.resume();
    stage.wait(secs(4));
    let refusal = stage.refused(&ask("w2"));
    let Refusal::AlreadyClaimed { takeable_in, .. } = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(takeable_in, OUTAGE_GRACE - secs(4));
}

// M5

#[test]
fn a_lapsed_claim_is_taken_without_a_reaper() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30));
    let told = stage.events.len();
    let minted = stage.mint(&ask("w2")).expect("accepted");
    let expired = stage.claim(&old);
    assert_eq!(expired.state, ClaimState::Expired);
    assert_eq!(expired.superseded_by, None);
    assert_eq!(expired.lease, old.lease);
    let ending = expired.ending.clone().expect("an ending");
    assert_eq!(ending.reason, EndReason::LeaseLapsed);
    assert_eq!(ending.at, stage.now);
    assert!(ending.entity_cleared, "it was current when it ended (D4)");
    assert_eq!(minted.ended_predecessor, Some(expired));
    assert_eq!(minted.claim.fence, fence(2));
    assert_eq!(
        stage.told_since(told),
        [(EventType::Expired, "lease_lapsed", "mint"), (EventType::Minted, "", "holder"),]
    );
    let entity = stage.entity();
    assert_eq!(entity.state, EntityState::Running);
    assert_eq!(entity.current, Some((consumer("w2"), epoch(2))));
    assert_eq!(entity.last_ended_at, Some(stage.now));
    assert_eq!(entity.last_completed_at, None);
    assert_eq!(entity.last_error, None);
}

#[test]
fn a_claim_is_not_takeable_one_microsecond_before_its_lease_ends() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30) - MICRO);
    let refusal = stage.refused(&ask("w2"));
    assert_eq!(
        refusal,
        Refusal::AlreadyClaimed { holder: consumer("w1"), epoch: epoch(1), takeable_in: MICRO }
    );
    stage.wait(MICRO);
    stage.minted(&ask("w2"));
}

#[test]
fn a_lapsed_claim_is_expired_not_superseded_however_it_is_asked() {
    for newer in [
        ask("w2").epoch(2).authority("s1"),
        ask("w2").epoch(1).authority("s2"),
        ask("w2").supersede(),
    ] {
        let mut stage = Stage::new();
        let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
        stage.wait(secs(30));
        stage.minted(&newer);
        assert_eq!(stage.claim(&old).state, ClaimState::Expired);
    }
}

#[test]
fn a_claim_taken_at_its_ceiling_ends_as_ceiling_reached() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").ttl(secs(30)).ceiling(secs(30)));
    stage.wait(secs(30));
    stage.minted(&ask("w2"));
    let ending = stage.claim(&old).ending.expect("an ending");
    assert_eq!(ending.reason, EndReason::CeilingReached);
    assert_eq!(stage.events[1].reason, "ceiling_reached");
}

#[test]
fn during_an_outage_a_lapsed_claim_is_not_taken_but_may_be_superseded() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1").ttl(secs(10)));
    stage.silence(secs(600));
    let refusal = stage.refused(&ask("w2"));
    assert_eq!(
        refusal,
        Refusal::AlreadyClaimed {
            holder: consumer("w1"),
            epoch: epoch(1),
            takeable_in: OUTAGE_GRACE,
        }
    );
    stage.minted(&ask("w2").epoch(2).authority("s1"));
    assert_eq!(stage.claim(&old).state, ClaimState::Superseded);
}

// M6, as far as it is not a matter of validation

#[test]
fn the_first_lease_ends_at_ttl_or_ceiling_whichever_is_earlier() {
    let ends = |ask| Stage::new().minted(&ask).lease.expires_at;
    assert_eq!(ends(ask("w1")), START + secs(30));
    assert_eq!(ends(ask("w1").ttl(secs(600))), START + secs(600));
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(40)).ceiling(secs(60)));
    assert_eq!(claim.lease.expires_at, START + secs(40));
    assert_eq!(claim.lease.ceiling_at, Some(START + secs(60)));
    assert_eq!(claim.lease.ttl, ttl(40));
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ceiling(secs(12)));
    assert_eq!(claim.lease.expires_at, START + secs(12));
    assert_eq!(claim.lease.ttl, ttl(12));
}

#[test]
fn a_first_lease_is_cut_to_its_ceiling() {
    // Validation lets no such lengths through; the lease does not depend on that.
    let lease = claims::domain::Lease::first(START, ttl(40), Some(secs(25)));
    assert_eq!(lease.expires_at, START + secs(25));
}

// Order of the checks

#[test]
fn m1_is_checked_before_m2() {
    let again = ask("w1").request("q1");
    let mut stage = Stage::new();
    let claim = stage.minted(&again);
    stage.signal(EntitySignal::Stop).expect("paused");
    let refusal = Refusal::EntityNotClaimable(EntityState::Paused);
    assert_eq!(stage.refused(&again), refusal);
    assert_eq!(stage.refused(&again.clone().epoch(1)), refusal);
    stage.done(&claim).expect("a done");
    assert_eq!(stage.refused(&again), refusal);
}

#[test]
fn m2_is_checked_before_m3() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(1).authority("s1"));
    stage.minted(&ask("w2").epoch(5).authority("s1"));
    // By M3 epoch 1 would be fenced; by M2 the caller learns who took over.
    assert_eq!(
        stage.refused(&ask("w1").epoch(1).authority("s1")),
        Refusal::ClaimSuperseded { by_consumer: consumer("w2"), by_epoch: epoch(5) }
    );
    assert_eq!(old.id.epoch, epoch(1));
}

#[test]
fn m3_is_checked_before_m4_and_m5() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(5).authority("s1"));
    let stale = ask("w2").epoch(4).authority("s1").supersede();
    let refusal = Refusal::EpochFenced { highest: epoch(5) };
    assert_eq!(stage.refused(&stale), refusal);
    stage.wait(secs(30));
    assert_eq!(stage.refused(&stale), refusal);
}
