//! Definite losses, as the service tells them.

use crate::support::operator::Operator;
use crate::support::programs::Server;
use crate::support::{TTL, claim, client, entity, heard, id, in_time, may_write, mint};
use claim_client::v1::{ClaimState, EntitySignal};
use claim_client::{Done, HoldState, MintRequest, NotHeld, Refusal};
use claims::testing::{TestDatabase, claim_id};
use std::time::{Duration, Instant};

/// A lease so long that no heartbeat of its own would tell in time.
const LONG: Duration = Duration::from_secs(60);

fn lost(state: HoldState) -> Refusal {
    match state {
        HoldState::Lost(refusal) => refusal,
        other => panic!("lost: {other:?}"),
    }
}

#[tokio::test]
async fn a_newer_claim_fires_the_token_and_done_is_accepted_all_the_same() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let older = client.mint(claim("w_1")).await.unwrap();
    heard(&client, &older).await;
    let newer = client.mint(MintRequest::new(entity("w_1"), "w_2").supersede()).await.unwrap();
    assert_eq!(newer.ended_predecessor().unwrap().consumer_id, "w_1");

    in_time("a loss", older.cancellation().cancelled()).await;
    let refusal = Refusal::ClaimSuperseded { by_consumer_id: "w_2".into(), by_epoch: 2 };
    assert_eq!(lost(older.state()), refusal);
    assert_eq!(older.may_write().await, Err(NotHeld::Lost(refusal)));
    let ended = older.done(Done::completed()).await.unwrap();
    assert!(!ended.already_ended && !ended.entity_cleared);
    assert!(may_write(&newer), "the newer one is left alone");
    db.check_invariants().await;
}

#[tokio::test]
async fn a_loss_is_pushed_long_before_the_next_heartbeat_is_due() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    // The first heartbeat comes after 4 s and the next one 4 s later.
    let guard = client.mint(claim("w_1").lease_ttl(TTL * 4)).await.unwrap();
    heard(&client, &guard).await;
    let asked = Instant::now();
    Operator::at(&server).await.revoke("w_1", 1, "wrong account").await;
    in_time("a loss", guard.cancellation().cancelled()).await;
    assert!(asked.elapsed() < TTL, "{:?}", asked.elapsed());
    match lost(guard.state()) {
        Refusal::ClaimRevoked(ending) => {
            assert_eq!(ending.reason, "wrong account");
            assert!(ending.time.ends_with('Z'), "{}", ending.time);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_killed_entity_takes_its_claim_along() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    Operator::at(&server).await.signal(&entity("w_1"), EntitySignal::Kill).await;
    in_time("a loss", guard.cancellation().cancelled()).await;
    assert!(
        matches!(lost(guard.state()), Refusal::ClaimRevoked(ending) if ending.reason == "killed")
    );
    let ended = guard.done(Done::completed()).await.unwrap();
    assert!(ended.already_ended && !ended.acks_recorded);
    let refused = client.mint(MintRequest::new(entity("w_1"), "w_2")).await.unwrap_err();
    let state = Refusal::EntityNotClaimable { entity_state: "killed".into() };
    assert_eq!(refused.refusal(), Some(&state));
}

#[tokio::test]
async fn the_ceiling_ends_the_work_when_it_comes_and_done_is_still_accepted() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    // A third of the lease is longer than what is left of the claim after one heartbeat.
    let ceiling = Duration::from_secs(5);
    let asked = Instant::now();
    let guard = client.mint(claim("w_1").lease_ttl(ceiling).max_duration(ceiling)).await.unwrap();
    in_time("a loss", guard.cancellation().cancelled()).await;
    let lasted = asked.elapsed();
    assert_eq!(lost(guard.state()), Refusal::CeilingReached);
    assert!(lasted >= ceiling, "not before: {lasted:?}");
    assert!(lasted < ceiling + Duration::from_millis(1000), "and at once: {lasted:?}");
    let ended = guard.done(Done::completed()).await.unwrap();
    assert!(!ended.already_ended && ended.entity_cleared);
}

#[tokio::test]
async fn a_claim_that_lapsed_and_was_taken_over_is_told_as_expired() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let guard = client.mint(claim("w_1").lease_ttl(LONG)).await.unwrap();
    db.lapse(&claim_id("w_1", 1), Duration::from_secs(1)).await;
    let newer = client.mint(MintRequest::new(entity("w_1"), "w_2")).await.unwrap();
    assert_eq!(newer.ended_predecessor().unwrap().state(), ClaimState::Expired);
    let ended = guard.done(Done::completed().ack("/in/main", "7")).await.unwrap();
    assert!(ended.already_ended && !ended.acks_recorded, "the work was not counted");
    assert_eq!(client.get_claim(&id("w_1", 1)).await.unwrap().state(), ClaimState::Expired);
}

#[tokio::test]
async fn a_process_that_lost_its_claim_to_a_repeated_mint_finds_out_by_its_token() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let (one, other) = (client(&[server.url()]), client(&[server.url()]));
    let asked = || claim("w_1").request_id("the same");
    let first = one.mint(asked()).await.unwrap();
    let second = other.mint(asked()).await.unwrap();
    assert!(second.is_remint());
    in_time("a loss", first.cancellation().cancelled()).await;
    assert_eq!(lost(first.state()), Refusal::WriteTokenInvalid);
    tokio::time::sleep(TTL).await;
    assert!(may_write(&second), "it is the holder");
    db.check_invariants().await;
}
