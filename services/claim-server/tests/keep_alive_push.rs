//! What a stream tells without being asked: that a holder should stop, or has lost its claim.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{
    EntitySignal, HeartbeatRequest, MintRequest, RevokeClaimRequest, SignalEntityRequest,
};
use claims::testing::{TestDatabase, claim_id};
use std::time::Duration;
use support::refusal::Refusal;
use support::streams::{KeepAlive, Pushed, is_to_stop, may_go_on};
use support::{Client, Server, done, heartbeat, mint, mint_epoch, reap_once};

const ENTITY: &str = "/chat/a";
/// Long enough for a push to arrive, if there were one.
const SILENCE: Duration = Duration::from_millis(500);

async fn start() -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = server.client().await;
    (db, server, client)
}

/// A stream on which the first claim of a consumer has been accepted.
async fn holding(client: &mut Client, consumer: &str) -> KeepAlive {
    let mut stream = KeepAlive::open(client).await;
    assert!(may_go_on(&stream.beat(1, heartbeat(consumer, 1)).await));
    stream
}

async fn minted(client: &mut Client, consumer: &str) {
    client.mint(mint_epoch(ENTITY, consumer, "sub", 1)).await.expect("a claim");
}

async fn revoke(server: &Server, consumer: &str, reason: &str) {
    let request = RevokeClaimRequest {
        consumer_id: consumer.into(),
        epoch: 1,
        reason: reason.into(),
        ..Default::default()
    };
    support::admin(server.address).await.revoke_claim(request).await.expect("a revocation");
}

async fn signal(server: &Server, entity: &str, signal: EntitySignal) {
    let request = SignalEntityRequest {
        entity_url: entity.into(),
        signal: signal.into(),
        ..Default::default()
    };
    support::admin(server.address).await.signal_entity(request).await.expect("a signal");
}

/// That the claim is lost, exactly as a heartbeat of its own is told.
async fn lost(client: &mut Client, consumer: &str, reason: &str) -> Pushed {
    let refused = client.heartbeat(heartbeat(consumer, 1)).await;
    let refusal = Refusal::of(&refused.expect_err("a refusal"));
    assert_eq!(refusal.reason, reason);
    Pushed { consumer: consumer.into(), epoch: 1, outcome: Err(refusal) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_that_its_claim_was_superseded_and_by_whom() {
    let (db, _server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stream = holding(&mut client, "w_1").await;
    client.mint(mint_epoch(ENTITY, "w_2", "sub", 2)).await.unwrap();
    let pushed = stream.push().await;
    assert_eq!(pushed, lost(&mut client, "w_1", "CLAIM_SUPERSEDED").await);
    assert_eq!(pushed.outcome.unwrap_err().metadata["superseded_by_consumer_id"], "w_2");
    // It may still end, which is news again.
    client.done(done("w_1", 1)).await.unwrap();
    assert_eq!(stream.push().await, lost(&mut client, "w_1", "CLAIM_RELEASED").await);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_that_its_claim_was_revoked_and_why() {
    let (db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stream = holding(&mut client, "w_1").await;
    revoke(&server, "w_1", "gone wild").await;
    let pushed = stream.push().await;
    assert_eq!(pushed, lost(&mut client, "w_1", "CLAIM_REVOKED").await);
    assert_eq!(pushed.outcome.unwrap_err().metadata["end_reason"], "gone wild");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_that_its_claim_was_expired_by_the_reaper_or_by_a_mint() {
    let (db, _server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let mut stream = holding(&mut client, "w_1").await;
    assert!(may_go_on(&stream.beat(2, heartbeat("w_2", 1)).await));
    db.service_has_been_up().await;
    db.lapse(&claim_id("w_1", 1), Duration::from_secs(6)).await;
    assert_eq!(reap_once(db.url()).await.1["expired"], 1);
    assert_eq!(stream.push().await, lost(&mut client, "w_1", "CLAIM_EXPIRED").await);

    db.service_has_been_up().await;
    db.lapse(&claim_id("w_2", 1), Duration::from_secs(1)).await;
    client.mint(mint("/chat/b", "w_3")).await.unwrap();
    assert_eq!(stream.push().await, lost(&mut client, "w_2", "CLAIM_EXPIRED").await);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_that_somebody_else_has_said_done() {
    let (_db, _server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stream = holding(&mut client, "w_1").await;
    client.done(done("w_1", 1)).await.unwrap();
    assert_eq!(stream.push().await, lost(&mut client, "w_1", "CLAIM_RELEASED").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_an_entity_is_told_to_every_holder_that_it_had() {
    let (db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut older = holding(&mut client, "w_1").await;
    client.mint(mint_epoch(ENTITY, "w_2", "sub", 2)).await.unwrap();
    older.push().await.outcome.unwrap_err();
    let mut stream = KeepAlive::open(&mut client).await;
    stream.beat(1, heartbeat("w_2", 2)).await.unwrap();
    signal(&server, ENTITY, EntitySignal::Kill).await;
    for (stream, consumer) in [(&mut older, "w_1"), (&mut stream, "w_2")] {
        let pushed = stream.push().await;
        assert_eq!(pushed.consumer, consumer);
        let refusal = pushed.outcome.unwrap_err();
        assert_eq!(
            (refusal.reason.as_str(), refusal.metadata["end_reason"].as_str()),
            ("CLAIM_REVOKED", "killed")
        );
        stream.is_silent_for(SILENCE).await;
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_to_stop_and_keeps_its_lease() {
    let (db, server, mut client) = start().await;
    for (entity, by) in [("/paused", EntitySignal::Stop), ("/stopping", EntitySignal::Term)] {
        client.mint(mint(entity, entity)).await.unwrap();
        let mut stream = holding(&mut client, entity).await;
        let id = claim_id(entity, 1);
        let before = db.lease_column(&id, "lease_expires_at").await;
        signal(&server, entity, by).await;
        let pushed = stream.push().await;
        assert_eq!((pushed.consumer.as_str(), pushed.epoch), (entity, 1));
        assert!(is_to_stop(&pushed.outcome), "{pushed:?}");
        let told = pushed.outcome.unwrap();
        assert!((20..=30).contains(&told.lease_remaining.unwrap().seconds), "{told:?}");
        assert!(told.heartbeat_interval.is_some() && !told.had_lapsed);
        // Nothing was renewed by it.
        assert_eq!(db.lease_column(&id, "lease_expires_at").await, before);
        assert!(is_to_stop(&stream.beat(2, heartbeat(entity, 1)).await));
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_may_go_on_again_learns_so_from_its_next_heartbeat() {
    let (_db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stream = holding(&mut client, "w_1").await;
    signal(&server, ENTITY, EntitySignal::Stop).await;
    assert!(is_to_stop(&stream.push().await.outcome));
    signal(&server, ENTITY, EntitySignal::Cont).await;
    stream.is_silent_for(SILENCE).await;
    assert!(may_go_on(&stream.beat(2, heartbeat("w_1", 1)).await));
    // And is told again when that changes.
    signal(&server, ENTITY, EntitySignal::Stop).await;
    assert!(is_to_stop(&stream.push().await.outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_claim_that_it_did_not_keep_alive_on_its_stream() {
    let (db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    // Another claim; a wrong token; one alone; nothing at all.
    let mut other = holding(&mut client, "w_2").await;
    let mut wrong = KeepAlive::open(&mut client).await;
    let beat = HeartbeatRequest { write_token: "wrong".into(), ..heartbeat("w_1", 1) };
    wrong.beat(1, beat).await.unwrap_err();
    let mut alone = KeepAlive::open(&mut client).await;
    client.heartbeat(heartbeat("w_1", 1)).await.unwrap();
    let mut mute = KeepAlive::open(&mut client).await;
    let mut holder = holding(&mut client, "w_1").await;

    signal(&server, ENTITY, EntitySignal::Stop).await;
    assert!(is_to_stop(&holder.push().await.outcome));
    revoke(&server, "w_1", "").await;
    holder.push().await.outcome.unwrap_err();
    for stream in [&mut other, &mut wrong, &mut alone, &mut mute, &mut holder] {
        stream.is_silent_for(SILENCE).await;
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_is_told_of_what_was_done_through_another_server_on_every_stream_it_has() {
    let (db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stream = holding(&mut client, "w_1").await;
    let mut again = holding(&mut client, "w_1").await;
    let other = Server::start(db.url()).await;
    let mut there = holding(&mut other.client().await, "w_1").await;
    revoke(&other, "w_1", "").await;
    let told = lost(&mut client, "w_1", "CLAIM_REVOKED").await;
    for stream in [&mut stream, &mut again, &mut there] {
        assert_eq!(stream.push().await, told);
    }
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_comes_also_after_the_servers_connections_to_the_database_were_cut() {
    let (db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stream = holding(&mut client, "w_1").await;
    assert!(db.end_sessions("claim-server/").await > 0);
    // No outage that streams need to know of.
    assert!(may_go_on(&stream.beat(2, heartbeat("w_1", 1)).await));
    support::eventually("it is revoked", async || {
        let request =
            RevokeClaimRequest { consumer_id: "w_1".into(), epoch: 1, ..Default::default() };
        support::admin(server.address).await.revoke_claim(request).await.is_ok()
    })
    .await;
    assert_eq!(stream.push().await, lost(&mut client, "w_1", "CLAIM_REVOKED").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_kept_alive_by_many_streams_is_forgotten_with_each() {
    let (_db, server, mut client) = start().await;
    minted(&mut client, "w_1").await;
    let mut stays = holding(&mut client, "w_1").await;
    for _ in 0..20 {
        drop(holding(&mut client, "w_1").await);
    }
    revoke(&server, "w_1", "").await;
    stays.push().await.outcome.unwrap_err();
    let log = server.log.lock().unwrap().clone();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_a_claim_of_the_same_consumer_and_epoch_in_another_tenant() {
    let (_db, server, mut client) = start().await;
    let tenant_id = || "other".to_owned();
    let elsewhere = mint_epoch(ENTITY, "w_1", "sub", 1);
    client.mint(MintRequest { tenant_id: tenant_id(), ..elsewhere }).await.unwrap();
    minted(&mut client, "w_1").await;
    let mut here = holding(&mut client, "w_1").await;
    let mut there = KeepAlive::open(&mut client).await;
    let beat = || HeartbeatRequest { tenant_id: tenant_id(), ..heartbeat("w_1", 1) };
    assert!(may_go_on(&there.beat(1, beat()).await));

    let request = SignalEntityRequest {
        tenant_id: tenant_id(),
        entity_url: ENTITY.into(),
        signal: EntitySignal::Stop.into(),
        ..Default::default()
    };
    support::admin(server.address).await.signal_entity(request).await.unwrap();
    assert!(is_to_stop(&there.push().await.outcome));
    revoke(&server, "w_1", "").await;
    assert_eq!(here.push().await, lost(&mut client, "w_1", "CLAIM_REVOKED").await);
    for stream in [&mut here, &mut there] {
        stream.is_silent_for(SILENCE).await;
    }
    assert!(is_to_stop(&there.beat(2, beat()).await), "that one is held on");
}
