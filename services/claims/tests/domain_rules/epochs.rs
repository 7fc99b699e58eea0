//! M3: epochs rise within one (tenant, entity, authority), and only there.

use super::support::{
    ENTITY, MICRO, Stage, ask, authority, consumer, epoch, id, key, secs, tenant,
};
use claims::domain::{ClaimState, Epoch, NumberFloor, Refusal};

fn fenced(highest: i64) -> Refusal {
    Refusal::EpochFenced { highest: epoch(highest) }
}

// Given epochs

#[test]
fn an_epoch_below_the_mark_is_fenced() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").epoch(5).authority("s1"));
    assert_eq!(stage.refused(&ask("w2").epoch(4).authority("s1")), fenced(5));
    stage.done(&claim).expect("a done");
    assert_eq!(stage.refused(&ask("w2").epoch(4).authority("s1")), fenced(5));
    assert_eq!(stage.refused(&ask("w1").epoch(1).authority("s1")), fenced(5));
}

#[test]
fn the_epoch_of_an_active_claim_is_taken_until_it_is_takeable_then_spent() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(5).authority("s1"));
    let equal = ask("w2").epoch(5).authority("s1");
    stage.wait(secs(30) - MICRO);
    assert_eq!(
        stage.refused(&equal),
        Refusal::AlreadyClaimed { holder: consumer("w1"), epoch: epoch(5), takeable_in: MICRO }
    );
    // Even an explicit wish to supersede does not make an epoch rise.
    assert!(matches!(stage.refused(&equal.clone().supersede()), Refusal::AlreadyClaimed { .. }));
    stage.wait(MICRO);
    assert_eq!(stage.refused(&equal), fenced(5));
    assert_eq!(stage.refused(&equal.supersede()), fenced(5));
}

#[test]
fn the_epoch_of_a_superseded_or_ended_claim_is_spent() {
    let first = ask("w1").epoch(5).authority("s1");
    let states = ClaimState::ALL.into_iter().filter(|state| *state != ClaimState::Active);
    for state in states {
        let (mut stage, _) = Stage::with_claim(state, &first);
        assert_eq!(stage.refused(&ask("w2").epoch(5).authority("s1")), fenced(5));
    }
}

#[test]
fn the_current_claim_of_another_authority_does_not_hold_an_equal_epoch() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(5).authority("s1"));
    stage.minted(&ask("w2").epoch(5).authority("s2").supersede());
    // w2 is active with epoch 5, but not of s1.
    assert_eq!(stage.refused(&ask("w3").epoch(5).authority("s1")), fenced(5));
}

#[test]
fn a_higher_epoch_is_accepted_and_need_not_be_the_next() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(1).authority("s1"));
    let claim = stage.minted(&ask("w2").epoch(900).authority("s1"));
    assert_eq!(claim.id, id("w2", 900));
    assert_eq!(stage.world.mark(&key(ENTITY), &authority("s1")), Some(epoch(900)));
}

#[test]
fn another_authority_starts_again_at_1() {
    let mut stage = Stage::new();
    let old = stage.minted(&ask("w1").epoch(70).authority("s1"));
    stage.done(&old).expect("a done");
    let moved = stage.minted(&ask("w2").epoch(1).authority("s2"));
    assert_eq!(moved.id, id("w2", 1));
    assert!(moved.fence > old.fence, "fences go on");
    // And each authority's numbering is remembered.
    stage.done(&moved).expect("a done");
    assert_eq!(stage.refused(&ask("w3").epoch(70).authority("s1")), fenced(70));
    assert_eq!(stage.refused(&ask("w3").epoch(1).authority("s2")), fenced(1));
    stage.minted(&ask("w3").epoch(71).authority("s1"));
}

#[test]
fn the_same_authority_starts_again_at_1_on_another_entity_or_tenant() {
    let mut stage = Stage::new();
    stage.minted(&ask("w1").epoch(70).authority("s1"));
    stage.minted(&ask("w2").epoch(1).authority("s1").of("/chat/b"));
    stage.minted(&ask("w2").epoch(1).authority("s1").of_tenant("other"));
}

#[test]
fn the_mark_outlives_its_claims() {
    let (mut stage, claim) =
        Stage::with_claim(ClaimState::Released, &ask("w1").epoch(5).authority("s1"));
    stage.world.claims.remove(&claim.id);
    assert_eq!(stage.refused(&ask("w1").epoch(5).authority("s1")), fenced(5));
    assert_eq!(stage.refused(&ask("w1").epoch(4).authority("s1")), fenced(5));
    stage.minted(&ask("w1").epoch(6).authority("s1"));
}

// Issued epochs

#[test]
fn issued_epochs_go_on_from_the_mark() {
    let mut stage = Stage::new();
    for expected in 1..=3 {
        let claim = stage.minted(&ask("w1"));
        assert_eq!(claim.id, id("w1", expected));
        stage.done(&claim).expect("a done");
    }
    let other = stage.minted(&ask("w2"));
    assert_eq!(other.id, id("w2", 4), "the mark is the entity's, not the consumer's");
}

#[test]
fn issued_epochs_go_on_from_a_given_one_of_the_empty_authority() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").epoch(40));
    stage.done(&claim).expect("a done");
    assert_eq!(stage.minted(&ask("w2")).id, id("w2", 41));
}

#[test]
fn issued_epochs_do_not_follow_another_authoritys_mark() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").epoch(40).authority("s1"));
    stage.done(&claim).expect("a done");
    assert_eq!(stage.minted(&ask("w2")).id, id("w2", 1));
}

#[test]
fn an_issued_epoch_is_above_every_kept_claim_of_the_consumer() {
    let mut stage = Stage::new();
    // The consumer's own claims elsewhere, of whatever authority and state.
    let done = stage.minted(&ask("w1").epoch(12).authority("s1").of("/chat/b"));
    stage.done(&done).expect("a done");
    assert_eq!(stage.minted(&ask("w1")).id, id("w1", 13));
    stage.minted(&ask("w1").epoch(20).authority("s1").of("/chat/b"));
    assert_eq!(stage.minted(&ask("w1").of("/chat/c")).id, id("w1", 21));
    // Nobody else's.
    assert_eq!(stage.minted(&ask("w2").of("/chat/d")).id, id("w2", 1));
    let elsewhere = ask("w1").of_tenant("other");
    assert_eq!(stage.minted(&elsewhere).id.epoch, epoch(1));
}

#[test]
fn an_issued_epoch_is_above_kept_claims_that_were_not_loaded() {
    let mut stage = Stage::new();
    let kept = (tenant("default"), consumer("w1"));
    stage.world.consumer_epochs.insert(kept, epoch(30));
    let claim = stage.minted(&ask("w1"));
    assert_eq!(claim.id, id("w1", 31));
    stage.done(&claim).expect("a done");
    // What is loaded counts too, if it is higher.
    assert_eq!(stage.minted(&ask("w1").of("/chat/b")).id, id("w1", 32));
    assert_eq!(stage.minted(&ask("w2").of("/chat/c")).id, id("w2", 1));
}

// The top of the range

#[test]
fn an_epoch_never_wraps() {
    let top = ask("w1").epoch(Epoch::LAST.get());
    let mut stage = Stage::new();
    let claim = stage.minted(&top);
    stage.done(&claim).expect("a done");
    let highest = Epoch::LAST;
    assert_eq!(stage.refused(&ask("w2")), Refusal::EpochFenced { highest });
    // Nor by way of the consumer's other claims.
    let elsewhere = ask("w1").of("/chat/b");
    assert_eq!(stage.refused(&elsewhere), Refusal::EpochFenced { highest });
    stage.minted(&ask("w2").of("/chat/b"));
}

#[test]
fn the_epoch_before_the_last_is_followed_by_the_last() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").epoch(Epoch::LAST.get() - 1));
    stage.done(&claim).expect("a done");
    assert_eq!(stage.minted(&ask("w2")).id.epoch, Epoch::LAST);
}

#[test]
fn a_fence_never_wraps() {
    let named = ask("w1").request("q1");
    let mut stage = Stage::new();
    let claim = stage.minted(&named);
    let top = claims::domain::Fence::parse(i64::MAX).expect("a fence");
    let mut entity = stage.entity();
    entity.fence = top;
    stage.world.entities.insert(key(ENTITY), entity);
    let at_top = claims::domain::Claim { fence: top, ..claim };
    stage.world.claims.insert(at_top.id.clone(), at_top.clone());
    assert!(matches!(stage.refused(&named), Refusal::EpochFenced { .. }));
    stage.done(&at_top).expect("a done");
    assert!(matches!(stage.refused(&ask("w2")), Refusal::EpochFenced { .. }));
}

// After a restore to an earlier point

#[test]
fn what_is_unknown_is_numbered_above_what_a_lost_history_may_have_handed_out() {
    let mut stage = Stage::new();
    stage.world.floor = NumberFloor::parse(1_000).expect("a number");
    let claim = stage.minted(&ask("w1"));
    assert_eq!((claim.id.epoch, claim.fence.get()), (epoch(1_001), 1_001));
    stage.done(&claim).expect("a done");
    let next = stage.minted(&ask("w2"));
    assert_eq!((next.id.epoch, next.fence.get()), (epoch(1_002), 1_002), "and goes on from there");
}

#[test]
fn an_authority_that_is_new_to_an_entity_begins_at_1_after_a_restore_too() {
    let mut stage = Stage::new();
    stage.world.floor = NumberFloor::parse(1_000).expect("a number");
    let claim = stage.minted(&ask("w1").epoch(1).authority("s1"));
    assert_eq!((claim.id.epoch, claim.fence.get()), (epoch(1), 1_001));
}
