//! The scenarios that the service grew out of, A to G, through the real programs.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{ClaimState, EntityState};
use claims::testing::{TestDatabase, claim_id, entity_key};
use std::time::Duration;
use support::{
    Line, Server, authorize, claim, client, done, entity, heartbeat, mint, mint_epoch, reap_once,
    reason,
};
use tonic::Code;

const ENTITY: &str = "/chat/a";

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_then_done_releases_the_claim_and_idles_the_entity() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let minted = client.mint(mint(ENTITY, "w_a")).await.unwrap().into_inner();
    assert_eq!(entity(&mut client, ENTITY).await.state(), EntityState::Running);
    assert_eq!(authorize(&mut client, &minted).await.unwrap(), 1);

    let ended = client.done(done("w_a", 1)).await.unwrap().into_inner();
    assert!(ended.entity_cleared && !ended.already_ended && ended.acks_recorded);
    assert_eq!(ended.entity_state(), EntityState::Idle);
    assert_eq!(claim(&mut client, "w_a", 1).await.state(), ClaimState::Released);
    let refused = authorize(&mut client, &minted).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::PermissionDenied, "WRITE_TOKEN_INVALID")
    );
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn b_a_done_after_every_server_was_killed_still_clears_the_entity() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut before = server.client().await;
    let minted = before.mint(mint(ENTITY, "w_b")).await.unwrap().into_inner();
    server.kill().await;

    let server = Server::start(db.url()).await;
    let mut after = server.client().await;
    assert_eq!(authorize(&mut after, &minted).await.unwrap(), 1, "the token outlives its server");
    let ended = after.done(done("w_b", 1)).await.unwrap().into_inner();
    assert!(ended.entity_cleared && !ended.already_ended);
    assert_eq!(entity(&mut after, ENTITY).await.state(), EntityState::Idle);
    authorize(&mut after, &minted).await.unwrap_err();
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c_a_done_of_the_older_claim_leaves_the_newer_one_running() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let first = client.mint(mint_epoch(ENTITY, "w_c1", "sub", 1)).await.unwrap().into_inner();
    let second = client.mint(mint_epoch(ENTITY, "w_c2", "sub", 2)).await.unwrap().into_inner();
    assert_eq!(second.ended_predecessor.as_ref().unwrap().state(), ClaimState::Superseded);
    authorize(&mut client, &first).await.unwrap_err();

    let ended = client.done(done("w_c1", 1)).await.unwrap().into_inner();
    assert!(!ended.entity_cleared && !ended.already_ended);
    assert_eq!(ended.claim.unwrap().state(), ClaimState::Released);
    let running = entity(&mut client, ENTITY).await;
    assert_eq!(running.state(), EntityState::Running);
    assert_eq!(running.current_claim.unwrap().consumer_id, "w_c2");
    assert_eq!(authorize(&mut client, &second).await.unwrap(), 2);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_a_done_whose_answer_is_lost_is_healed_by_repeating_it() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let line = Line::to(server.address).await;
    let mut over_the_line = client(line.address).await;
    over_the_line.mint(mint(ENTITY, "w_d")).await.unwrap();

    line.lose_answers();
    let lost = over_the_line.done(done("w_d", 1)).await.unwrap_err();
    assert_ne!(lost.code(), Code::Ok);
    let mut direct = server.client().await;
    // The commit is done although its answer never came.
    support::eventually("the done is committed", || {
        let mut direct = direct.clone();
        async move { claim(&mut direct, "w_d", 1).await.state() == ClaimState::Released }
    })
    .await;

    let again = direct.done(done("w_d", 1)).await.unwrap().into_inner();
    assert!(again.already_ended && again.entity_cleared && again.acks_recorded);
    assert_eq!(entity(&mut direct, ENTITY).await.state(), EntityState::Idle);
    assert_eq!(db.events_of(&entity_key(ENTITY)).await, ["minted", "released:done"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn e_a_done_for_an_identity_without_a_row_changes_nothing() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let live = client.mint(mint(ENTITY, "w_live")).await.unwrap().into_inner();
    let refused = client.done(done("w_never", 3)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "CLAIM_NOT_FOUND"));
    assert_eq!(entity(&mut client, ENTITY).await.state(), EntityState::Running);
    assert_eq!(authorize(&mut client, &live).await.unwrap(), 1);
    assert_eq!(db.events_of(&entity_key(ENTITY)).await, ["minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f_a_heartbeat_without_a_ttl_never_nulls_the_lease() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let minted = client.mint(mint(ENTITY, "w_f")).await.unwrap().into_inner();
    let id = claim_id("w_f", 1);
    db.age(&id, Duration::from_secs(10)).await;
    let before = claim(&mut client, "w_f", 1).await;

    let renewed = client.heartbeat(heartbeat("w_f", 1)).await.unwrap().into_inner();
    let after = claim(&mut client, "w_f", 1).await;
    let seconds = |time: &Option<prost_types::Timestamp>| time.as_ref().unwrap().seconds;
    assert_eq!(after.lease_expire_time, renewed.lease_expire_time);
    let later = seconds(&after.lease_expire_time) - seconds(&before.lease_expire_time);
    assert!((9..=11).contains(&later), "renewed by {later} s");
    assert!(!renewed.had_lapsed);
    assert!(db.lease_column(&id, "lease_expires_at").await.is_some());
    assert_eq!(authorize(&mut client, &minted).await.unwrap(), 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn g_a_dead_runners_claim_is_expired_and_its_token_was_dead_before() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let minted = client.mint(mint(ENTITY, "w_g")).await.unwrap().into_inner();
    let id = claim_id("w_g", 1);
    db.service_has_been_up().await;

    // Lapsed, but not yet for the reap grace: the token is dead, the claim is not ended.
    db.lapse(&id, Duration::from_secs(1)).await;
    let refused = authorize(&mut client, &minted).await.unwrap_err();
    assert_eq!(
        (refused.code(), reason(&refused).as_str()),
        (Code::FailedPrecondition, "LEASE_LAPSED")
    );
    let (code, summary) = reap_once(db.url()).await;
    assert_eq!((code, summary["expired"].as_u64()), (0, Some(0)));
    assert_eq!(claim(&mut client, "w_g", 1).await.state(), ClaimState::Active);

    db.age(&id, Duration::from_secs(5)).await;
    let (code, summary) = reap_once(db.url()).await;
    assert_eq!((code, summary["expired"].as_u64()), (0, Some(1)), "{summary}");
    let expired = claim(&mut client, "w_g", 1).await;
    assert_eq!(
        (expired.state(), expired.end_reason.as_str()),
        (ClaimState::Expired, "lease_lapsed")
    );
    assert_eq!(entity(&mut client, ENTITY).await.state(), EntityState::Idle);
    let refused = authorize(&mut client, &minted).await.unwrap_err();
    assert_eq!(reason(&refused), "WRITE_TOKEN_INVALID");

    let next = client.mint(mint_epoch(ENTITY, "w_g2", "", 2)).await.unwrap().into_inner();
    assert_eq!(next.claim.unwrap().fence, 2);
    db.check_invariants().await;
}
