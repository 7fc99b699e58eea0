//! The situations that the service grew out of, A to G, as far as the rules alone show them. What
//! takes a process to die or a transaction to fail is played again over the store.

use super::support::{ENTITY, START, Stage, ask, consumer, done_of, epoch, id, key, secs};
use claims::domain::{ClaimState, Done, EntityState, EventType, Expiry, Refusal};

#[test]
fn a_mint_then_done() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    stage.done(&claim).expect("a done");
    assert_eq!(stage.claim(&claim).state, ClaimState::Released);
    assert_eq!(stage.entity().state, EntityState::Idle);
    assert_eq!(stage.write_by(&claim), Err(Refusal::WriteTokenInvalid));
}

#[test]
fn b_nothing_but_the_rows_is_needed_for_done() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    // Every process is gone; the rows are read back by another.
    let mut restarted = Stage::new();
    restarted.world = stage.world;
    restarted.now = stage.now + secs(3);
    restarted.write_by(&claim).expect("valid until done");
    let done = Done { id: id("w1", 1), ..done_of(&claim) };
    restarted.done_with(done).expect("a done");
    assert_eq!(restarted.claim(&claim).state, ClaimState::Released);
    assert_eq!(restarted.entity().state, EntityState::Idle);
    assert_eq!(restarted.write_by(&claim), Err(Refusal::WriteTokenInvalid));
}

#[test]
fn c_done_of_a_displaced_claim_leaves_the_newer_one_working() {
    let mut stage = Stage::new();
    let first = stage.minted(&ask("w1").epoch(1).authority("s1"));
    let second = stage.minted(&ask("w2").epoch(2).authority("s1"));
    assert_eq!(stage.write_by(&first), Err(Refusal::WriteTokenInvalid));
    stage.done(&first).expect("a done");
    assert_eq!(stage.claim(&first).state, ClaimState::Released);
    assert_eq!(stage.entity().state, EntityState::Running);
    assert_eq!(stage.entity().current, Some((consumer("w2"), epoch(2))));
    stage.write_by(&second).expect("token 2 goes on working");
    stage.done(&second).expect("a done");
    assert_eq!(stage.entity().state, EntityState::Idle);
}

#[test]
fn d_done_twice_releases_once() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1"));
    let first = stage.done(&claim).expect("a done");
    stage.wait(secs(2));
    let second = stage.done(&claim).expect("told");
    assert!(second.already_ended && !first.already_ended);
    assert_eq!(second.claim, first.claim);
    let released = stage.events.iter().filter(|event| event.event_type == EventType::Released);
    assert_eq!(released.count(), 1);
    assert_eq!(stage.entity().state, EntityState::Idle);
}

#[test]
fn e_done_of_an_identity_without_a_row_does_not_touch_the_live_claim() {
    let mut stage = Stage::new();
    let live = stage.minted(&ask("w2").epoch(2).authority("s1"));
    let done = Done { id: id("w1", 1), ..done_of(&live) };
    assert_eq!(stage.done_with(done), Err(Refusal::ClaimNotFound));
    assert_eq!(stage.entity().state, EntityState::Running);
    assert_eq!(stage.claim(&live), live);
    stage.write_by(&live).expect("the live one goes on working");
}

#[test]
fn f_a_heartbeat_without_a_ttl_moves_the_lease_and_never_clears_it() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(10));
    stage.beat(&claim).expect("renewed");
    assert_eq!(stage.claim(&claim).lease.expires_at, START + secs(40));
    assert_eq!(stage.entity().state, EntityState::Running);
    stage.write_by(&claim).expect("valid");
}

#[test]
fn g_a_dead_runners_claim_is_reaped_and_its_token_died_before() {
    let mut stage = Stage::new();
    let claim = stage.minted(&ask("w1").ttl(secs(30)));
    stage.wait(secs(30));
    assert_eq!(stage.write_by(&claim), Err(Refusal::LeaseLapsed));
    stage.wait(secs(5));
    assert!(matches!(stage.expire(&claim), Expiry::Expired { .. }));
    assert_eq!(stage.claim(&claim).state, ClaimState::Expired);
    assert_eq!(stage.world.entity(&key(ENTITY)).state, EntityState::Idle);
    assert_eq!(stage.write_by(&claim), Err(Refusal::WriteTokenInvalid));
}
