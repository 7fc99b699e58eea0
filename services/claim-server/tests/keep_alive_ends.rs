//! How a stream ends that its client would have kept: with the server, or without its database.
//! Both times its holders can reach another server at once.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claims::testing::{Proxy, Road, TestDatabase, claim_id};
use std::time::{Duration, Instant};
use support::own_database::OwnDatabase;
use support::probes::{all_are, health};
use support::streams::{KeepAlive, may_go_on};
use support::{Client, PATIENCE, Server, heartbeat, mint};
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::health_check_response::ServingStatus;

/// For how long the database may be away until streams are told.
const AWAY_AFTER: Duration = Duration::from_secs(2);

async fn start() -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    client.mint(mint("/chat/a", "w_1")).await.expect("a claim");
    (db, server, client)
}

async fn exit_code(server: &mut Server) -> Option<i32> {
    let ended = timeout(PATIENCE, server.child.wait()).await;
    ended.expect("it ends in time").expect("a process").code()
}

fn log_of(server: &Server) -> String {
    server.log.lock().expect("no panic holds it").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_tells_every_stream_to_move_on_and_is_over_soon() {
    let (_db, mut server, mut client) = start().await;
    let mut streams = vec![];
    for _ in 0..100 {
        streams.push(KeepAlive::open(&mut client).await);
    }
    for stream in &mut streams[..50] {
        assert!(may_go_on(&stream.beat(1, heartbeat("w_1", 1)).await));
    }
    let asked = Instant::now();
    server.signal("TERM");
    for stream in &mut streams {
        let end = stream.end().await;
        assert_eq!(end.kind(), (Code::Unavailable, "DRAINING"));
        assert!(end.retry.expect("a RetryInfo") > Duration::ZERO);
    }
    // Connections that stay open do not hold it up either; the grace is 20 s.
    assert_eq!(exit_code(&mut server).await, Some(0));
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    let log = log_of(&server);
    assert!(log.contains("100 streams are told to end") && !log.contains("cut off"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_under_way_is_answered_before_the_stream_is_told_to_move_on() {
    let (db, mut server, mut client) = start().await;
    let held = db.hold_lease(&claim_id("w_1", 1)).await;
    let mut stream = KeepAlive::open(&mut client).await;
    stream.send(1, heartbeat("w_1", 1)).await;
    db.until_blocked("claim-server/heartbeat-solo").await;
    server.signal("TERM");
    let log = server.log.clone();
    support::eventually("the drain begins", async || log.lock().unwrap().contains("draining"))
        .await;
    // What is sent from now on is not read.
    stream.send(2, heartbeat("w_1", 1)).await;
    held.release().await;
    assert!(may_go_on(&stream.answer(1).await));
    assert_eq!(stream.end().await.kind(), (Code::Unavailable, "DRAINING"));
    assert_eq!(exit_code(&mut server).await, Some(0));
    assert!(!log_of(&server).contains("cut off"));
    assert!(db.lease_column(&claim_id("w_1", 1), "last_heartbeat_at").await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_its_client_left_is_gone_from_the_server() {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start_with(db.url(), &[("RUST_LOG", "claim_server=debug")]).await;
    // One by reset, one by the end of its connection.
    let (mut client, mut other) = (server.client().await, server.client().await);
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let mut reset = KeepAlive::open(&mut client).await;
    let mut cut = KeepAlive::open(&mut other).await;
    for stream in [&mut reset, &mut cut] {
        assert!(may_go_on(&stream.beat(1, heartbeat("w_1", 1)).await));
    }
    drop(reset);
    drop((cut, other));
    let log = server.log.clone();
    // The good end of what the client sends may arrive before it is known that it has left.
    let end = "KeepAlive ended after 1 answers: ";
    support::eventually("both are gone", async || log.lock().unwrap().matches(end).count() == 2)
        .await;
    server.signal("TERM");
    assert_eq!(exit_code(&mut server).await, Some(0));
    let log = log_of(&server);
    assert!(log.contains(" 0 streams are told to end"), "{log}");
    // Of each it is told in the span of its call whose it was and how long it took.
    for line in log.lines().filter(|line| line.contains(end)) {
        for known in ["ClaimService/KeepAlive", "tenant=\"default\"", "outcome=", "duration_ms="] {
            assert!(line.contains(known), "{known}: {line}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_database_has_been_away_for_2_s_and_serve_again_when_it_is_back() {
    let (mut database, db) = OwnDatabase::guarded().await;
    let server = Server::start(&database.url).await;
    let mut client = server.client().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let mut beating = KeepAlive::open(&mut client).await;
    assert!(may_go_on(&beating.beat(1, heartbeat("w_1", 1)).await));
    let mut mute = KeepAlive::open(&mut client).await;

    database.stop().await;
    let gone = Instant::now();
    for stream in [&mut beating, &mut mute] {
        let end = stream.end().await;
        assert_eq!(end.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
        assert!(end.retry.expect("a RetryInfo") > Duration::ZERO);
    }
    let took = gone.elapsed();
    // It is looked for once a second.
    assert!((AWAY_AFTER - Duration::from_secs(1)..AWAY_AFTER * 3).contains(&took), "{took:?}");
    // A new one is told the same.
    let mut late = KeepAlive::open(&mut client).await;
    assert_eq!(late.end().await.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    // Whoever asks every second in vain says so once.
    let log = log_of(&server);
    let failed = log.lines().filter(|line| line.contains("ERROR") && line.contains("a read "));
    assert!(failed.count() <= 2, "{log}");

    database.start().await;
    support::eventually("streams are served again", async || {
        let mut stream = KeepAlive::open(&mut client.clone()).await;
        stream.send(1, heartbeat("w_1", 1)).await;
        let answer = stream.next().await;
        answer
            .is_ok_and(|answer| answer.is_some_and(|it| may_go_on(&support::streams::outcome(it))))
    })
    .await;
    drop(db);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_database_says_nothing_and_what_was_under_way_is_not_waited_for() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let server = Server::start(proxy.url()).await;
    let mut client = server.client().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let mut stream = KeepAlive::open(&mut client).await;
    assert!(may_go_on(&stream.beat(1, heartbeat("w_1", 1)).await));
    proxy.set(Road::BlackHole);
    let gone = Instant::now();
    stream.send(2, heartbeat("w_1", 1)).await;
    let end = loop {
        // Its heartbeat may have been given up before.
        match stream.next().await {
            Ok(Some(answer)) => assert!(support::streams::outcome(answer).is_err()),
            Ok(None) => panic!("a good end"),
            Err(status) => break support::refusal::Refusal::of(&status),
        }
    };
    assert_eq!(end.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    let took = gone.elapsed();
    assert!((AWAY_AFTER..AWAY_AFTER * 3).contains(&took), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_for_a_moment_ends_no_stream() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let server = Server::start(proxy.url()).await;
    let mut client = server.client().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let mut stream = KeepAlive::open(&mut client).await;
    assert!(may_go_on(&stream.beat(1, heartbeat("w_1", 1)).await));
    proxy.set(Road::BlackHole);
    stream.send(2, heartbeat("w_1", 1)).await;
    stream.is_silent_for(Duration::from_secs(1)).await;
    proxy.set(Road::Open);
    assert!(may_go_on(&stream.answer(2).await));
    assert!(may_go_on(&stream.beat(3, heartbeat("w_1", 1)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_heartbeats_find_no_way_to_a_database_that_answers_everything_else() {
    let (db, server, mut client) = start().await;
    let health = health(&server).await;
    let mut stream = KeepAlive::open(&mut client).await;
    assert!(may_go_on(&stream.beat(1, heartbeat("w_1", 1)).await));
    // The lanes of heartbeats prepare their statements when they connect.
    db.sql.batch_execute("ALTER TABLE claim_leases RENAME TO elsewhere").await.unwrap();
    db.end_sessions("claim-server/heartbeat").await;
    let begin = Instant::now();
    assert_eq!(stream.end().await.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    let took = begin.elapsed();
    assert!((AWAY_AFTER..AWAY_AFTER * 5).contains(&took), "{took:?}");
    support::eventually("it does not serve", async || {
        all_are(&health, ServingStatus::NotServing).await
    })
    .await;

    db.sql.batch_execute("ALTER TABLE elsewhere RENAME TO claim_leases").await.unwrap();
    support::eventually("it serves", async || all_are(&health, ServingStatus::Serving).await).await;
    let mut stream = KeepAlive::open(&mut client).await;
    assert!(may_go_on(&stream.beat(1, heartbeat("w_1", 1)).await));
}
