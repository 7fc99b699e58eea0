//! The end of a server: calls in flight are answered, new ones are turned away, and all of it is
//! over within the shutdown grace.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::EntityState;
use claims::testing::{TestDatabase, claim_id, entity_key};
use std::time::{Duration, Instant};
use support::probes::{health, http_address, http_get, of};
use support::refusal::Refusal;
use support::{PATIENCE, Server, claim, done, entity, eventually, heartbeat, mint};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

const ENTITY: &str = "/chat/a";

/// The exit code of a server that was asked to end.
async fn exit_code(server: &mut Server) -> Option<i32> {
    let ended = timeout(PATIENCE, server.child.wait()).await;
    ended.expect("it ends in time").expect("a process").code()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_in_flight_gets_its_good_answer_while_new_ones_are_turned_away() {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start(db.url()).await;
    let (mut client, mut other) = (server.client().await, server.client().await);
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    let probes = http_address(&server).await;
    let health = health(&server).await;
    let mut watch = health.clone().watch(of("")).await.unwrap().into_inner();
    while watch.message().await.unwrap().unwrap().status() != Serving {}

    let lock = db.hold_entity(&entity_key(ENTITY)).await;
    let in_flight = tokio::spawn(async move { client.done(done("w_1", 1)).await });
    db.until_blocked("claim-server/decide-solo").await;
    server.signal("TERM");
    let refusal = loop {
        // Until the signal has arrived.
        if let Err(status) = other.heartbeat(heartbeat("w_1", 1)).await {
            break Refusal::of(&status);
        }
    };
    assert_eq!(refusal.kind(), (Code::Unavailable, "DRAINING"));
    assert!(refusal.retry.expect("a RetryInfo") > Duration::ZERO);
    assert!(refusal.metadata.is_empty());
    assert_eq!(watch.message().await.unwrap().unwrap().status(), NotServing);
    assert_eq!(http_get(&probes, "/readyz").await, (503, "draining".into()));
    assert_eq!(http_get(&probes, "/livez").await.0, 200);
    // The notice to others is over, and still the call is waited for.
    eventually("nobody can connect any more", async || {
        TcpStream::connect(server.address).await.is_err()
    })
    .await;
    assert!(!in_flight.is_finished(), "it waits for the lock");

    lock.release().await;
    let ended = in_flight.await.unwrap().unwrap().into_inner();
    assert!(ended.entity_cleared && !ended.already_ended);
    assert_eq!(exit_code(&mut server).await, Some(0));
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("drained") && !log.contains("cut off"), "{log}");
    assert_eq!(db.entity_column(&entity_key(ENTITY), "state").await.unwrap(), "idle");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_lasts_no_longer_than_the_shutdown_grace_whoever_stays() {
    let db = TestDatabase::in_service().await;
    let grace = Duration::from_secs(1);
    let mut server = Server::start_with(db.url(), &[("CLAIM_SHUTDOWN_GRACE", "1s")]).await;
    let mut client = server.client().await;
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    let watch = health(&server).await.watch(of("")).await.unwrap();
    let mute = TcpStream::connect(server.address).await.unwrap();
    let mute_probe = TcpStream::connect(http_address(&server).await).await.unwrap();
    let lock = db.hold_entity(&entity_key(ENTITY)).await;
    let in_flight = tokio::spawn(async move { client.done(done("w_1", 1)).await });
    db.until_blocked("claim-server/decide-solo").await;

    let asked = Instant::now();
    server.signal("TERM");
    assert_eq!(exit_code(&mut server).await, Some(0));
    let took = asked.elapsed();
    assert!(took >= grace && took < grace * 3, "{took:?}");
    let lost = in_flight.await.unwrap().unwrap_err();
    assert!(matches!(lost.code(), Code::Unavailable | Code::Unknown | Code::Cancelled), "{lost:?}");
    let log = server.log.lock().unwrap().clone();
    assert!(log.contains("cut off"), "whoever reads the log learns of it: {log}");
    drop((watch, mute, mute_probe));

    // Its outcome was unknown; it is healed by repeating it.
    lock.release().await;
    let again = Server::start(db.url()).await;
    let mut client = again.client().await;
    let ended = client.done(done("w_1", 1)).await.unwrap().into_inner();
    assert!(ended.entity_cleared && ended.acks_recorded);
    assert_eq!(entity(&mut client, ENTITY).await.state(), EntityState::Idle);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_drains_as_a_termination_does_and_without_grace_it_is_over_at_once() {
    let db = TestDatabase::in_service().await;
    for (grace, most) in [("20s", Duration::from_secs(5)), ("0", Duration::from_secs(2))] {
        let mut server = Server::start_with(db.url(), &[("CLAIM_SHUTDOWN_GRACE", grace)]).await;
        let _idle = server.client().await;
        let asked = Instant::now();
        server.signal("INT");
        assert_eq!(exit_code(&mut server).await, Some(0), "{grace}");
        assert!(asked.elapsed() < most, "{grace}: {:?}", asked.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_a_drain_at_once_and_harms_nothing() {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start(db.url()).await;
    let mut client = server.client().await;
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    let lock = db.hold_entity(&entity_key(ENTITY)).await;
    let in_flight = tokio::spawn(async move { client.done(done("w_1", 1)).await });
    db.until_blocked("claim-server/decide-solo").await;
    server.signal("TERM");
    let log = server.log.clone();
    eventually("the drain begins", async || log.lock().unwrap().contains("draining")).await;
    let asked = Instant::now();
    server.signal("TERM");
    assert_eq!(exit_code(&mut server).await, Some(130));
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    in_flight.await.unwrap().unwrap_err();
    lock.release().await;

    let again = Server::start(db.url()).await;
    let mut client = again.client().await;
    assert!(db.lease_column(&claim_id("w_1", 1), "lease_expires_at").await.is_some());
    assert_eq!(claim(&mut client, "w_1", 1).await.acked_streams, []);
    db.check_invariants().await;
}
