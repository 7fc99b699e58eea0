//! `KeepAlive`: heartbeats over one stream, each with an answer of its own, in any order.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{HeartbeatRequest, KeepAliveRequest, MintRequest};
use claims::testing::{TestDatabase, claim_id};
use futures_util::future::join_all;
use prost::Message;
use std::collections::BTreeMap;
use std::time::Duration;
use support::raw::{self, framed};
use support::refusal::Refusal;
use support::request::path;
use support::streams::{KeepAlive, answers_in, may_go_on, outcome};
use support::{Client, Server, done, heartbeat, mint, mint_epoch};
use tonic::Code;

async fn start() -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = server.client().await;
    (db, server, client)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_on_a_stream_does_what_one_alone_does() {
    let (db, _server, mut client) = start().await;
    let held = client.mint(mint("/chat/a", "w_1")).await.unwrap().into_inner();
    let mut stream = KeepAlive::open(&mut client).await;
    let asked = HeartbeatRequest {
        write_token: held.write_token,
        lease_ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        progress: Some("half".into()),
        ..heartbeat("w_1", 1)
    };
    stream.send(u64::MAX, asked).await;
    let answer = stream.next().await.unwrap().unwrap();
    assert_eq!((answer.tag, answer.consumer_id.as_str(), answer.epoch), (u64::MAX, "w_1", 1));
    let renewed = outcome(answer).unwrap();
    assert_eq!(renewed.lease_remaining.unwrap().seconds, 60);
    let interval = renewed.heartbeat_interval.unwrap().seconds;
    assert!((18..=22).contains(&interval), "{interval} s");
    let id = claim_id("w_1", 1);
    assert_eq!(db.lease_column(&id, "progress").await.as_deref(), Some("half"));
    assert!(db.lease_column(&id, "last_heartbeat_at").await.is_some());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_heartbeat_is_answered_as_one_alone_and_does_not_end_the_stream() {
    let (db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    client.mint(mint_epoch("/chat/b", "w_2", "sub", 1)).await.unwrap();
    client.mint(mint_epoch("/chat/b", "w_3", "sub", 2)).await.unwrap();
    client.mint(mint("/chat/c", "w_4")).await.unwrap();
    client.done(done("w_4", 1)).await.unwrap();
    let ceiling = Some(prost_types::Duration { seconds: 60, nanos: 0 });
    client.mint(MintRequest { max_duration: ceiling, ..mint("/d", "w_5") }).await.unwrap();
    db.age(&claim_id("w_5", 1), Duration::from_secs(60)).await;
    let refusals = [
        (heartbeat("w_unknown", 1), "CLAIM_NOT_FOUND"),
        (
            HeartbeatRequest { write_token: "wrong".into(), ..heartbeat("w_1", 1) },
            "WRITE_TOKEN_INVALID",
        ),
        (heartbeat("w_2", 1), "CLAIM_SUPERSEDED"),
        (heartbeat("w_4", 1), "CLAIM_RELEASED"),
        (heartbeat("w_5", 1), "CEILING_REACHED"),
        (heartbeat("", 0), "INVALID_FIELD"),
        (HeartbeatRequest { progress: Some("\0".into()), ..heartbeat("w_1", 1) }, "INVALID_FIELD"),
    ];
    let mut stream = KeepAlive::open(&mut client).await;
    for (tag, (asked, reason)) in (1..).zip(refusals) {
        let alone = Refusal::of(&client.heartbeat(asked.clone()).await.unwrap_err());
        let refused = stream.beat(tag, asked).await.unwrap_err();
        assert_eq!((refused.reason.as_str(), &refused), (reason, &alone));
        assert!(may_go_on(&stream.beat(tag + 1000, heartbeat("w_1", 1)).await));
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_without_a_tag_or_a_heartbeat_is_refused_by_name_and_the_stream_goes_on() {
    let (_db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let good = Some(heartbeat("w_1", 1));
    let bad = Some(heartbeat("", 1));
    let cases = [
        (0, good.clone(), vec!["tag"]),
        (7, None, vec!["heartbeat"]),
        (0, None, vec!["tag", "heartbeat"]),
        (0, bad.clone(), vec!["tag", "consumer_id"]),
        (7, bad, vec!["consumer_id"]),
    ];
    let mut stream = KeepAlive::open(&mut client).await;
    for (tag, heartbeat, fields) in cases {
        stream.send_request(KeepAliveRequest { tag, heartbeat }).await;
        let answer = stream.next().await.unwrap().unwrap();
        assert_eq!(answer.tag, tag);
        // Whoever reads by the tag takes it for a push, but not for one about its claim.
        assert!(tag != 0 || (answer.consumer_id.is_empty() && answer.epoch == 0), "{answer:?}");
        let refused = outcome(answer).unwrap_err();
        assert_eq!(refused.kind(), (Code::InvalidArgument, "INVALID_FIELD"));
        assert_eq!(refused.fields, fields);
        assert!(may_go_on(&stream.beat(1, good.clone().unwrap()).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_does_not_wait_for_those_asked_before_it() {
    let (db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let held = db.hold_lease(&claim_id("w_1", 1)).await;
    let mut stream = KeepAlive::open(&mut client).await;
    stream.send(1, heartbeat("w_1", 1)).await;
    stream.send(2, heartbeat("w_2", 1)).await;
    let first = stream.next().await.unwrap().unwrap();
    assert_eq!((first.tag, first.consumer_id.as_str()), (2, "w_2"));
    assert!(may_go_on(&outcome(first)));
    held.release().await;
    assert!(may_go_on(&stream.answer(1).await));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_with_equal_tags_that_are_under_way_at_once_are_answered_each_for_itself() {
    let (db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let held = db.hold_lease(&claim_id("w_1", 1)).await;
    let mut stream = KeepAlive::open(&mut client).await;
    for consumer in ["w_1", "w_1", "w_2", "w_unknown"] {
        stream.send(7, heartbeat(consumer, 1)).await;
    }
    let mut first = BTreeMap::new();
    for _ in 0..2 {
        let answer = stream.next().await.unwrap().unwrap();
        assert_eq!(answer.tag, 7);
        first.insert(answer.consumer_id.clone(), outcome(answer));
    }
    assert!(may_go_on(&first["w_2"]), "{first:?}");
    assert_eq!(first["w_unknown"].as_ref().unwrap_err().reason, "CLAIM_NOT_FOUND");
    held.release().await;
    for _ in 0..2 {
        let answer = stream.next().await.unwrap().unwrap();
        assert_eq!((answer.tag, answer.consumer_id.as_str()), (7, "w_1"));
        assert!(may_go_on(&outcome(answer)));
    }
    stream.is_silent_for(Duration::from_millis(100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_heartbeat_is_answered_once_also_if_many_more_are_sent_than_may_be_under_way() {
    const CLAIMS: usize = 50;
    const HEARTBEATS: u64 = 5_000;
    let (db, _server, mut client) = start().await;
    let names: Vec<String> = (0..CLAIMS).map(|number| format!("w_{number}")).collect();
    let mints = names.iter().map(|name| {
        let mut client = client.clone();
        async move { client.mint(mint(&format!("/chat/{name}"), name)).await.expect("a claim") }
    });
    join_all(mints).await;
    let of = |tag: u64| &names[usize::try_from(tag).unwrap() % (CLAIMS - 1)];
    let requests: Vec<_> = (1..=HEARTBEATS)
        .map(|tag| KeepAliveRequest { tag, heartbeat: Some(heartbeat(of(tag), 1)) })
        .collect();
    let answers = client.keep_alive(futures_util::stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut seen = BTreeMap::new();
    while let Some(answer) = answers.message().await.expect("a good end") {
        assert_eq!(&answer.consumer_id, of(answer.tag));
        *seen.entry(answer.tag).or_insert(0) += 1;
        assert!(may_go_on(&outcome(answer)));
    }
    assert_eq!(seen, (1..=HEARTBEATS).map(|tag| (tag, 1)).collect());
    let renewed = "SELECT count(*) FROM claim_leases WHERE last_heartbeat_at IS NOT NULL";
    assert_eq!(db.number(renewed).await, i64::try_from(CLAIMS - 1).unwrap());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_no_more_gets_its_last_answers_and_a_good_end() {
    let (db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let held = db.hold_lease(&claim_id("w_1", 1)).await;
    let mut stream = KeepAlive::open(&mut client).await;
    stream.send(1, heartbeat("w_1", 1)).await;
    db.until_blocked("claim-server/heartbeat-solo").await;
    stream.finish();
    stream.is_silent_for(Duration::from_millis(100)).await;
    held.release().await;
    assert!(may_go_on(&stream.answer(1).await));
    assert_eq!(stream.next().await.unwrap(), None);

    // And one that says nothing at all.
    let mut mute = KeepAlive::open(&mut client).await;
    mute.finish();
    assert_eq!(mute.next().await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_message_end_the_stream_after_the_answers_to_those_before() {
    let (db, mut server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let good = KeepAliveRequest { tag: 1, heartbeat: Some(heartbeat("w_1", 1)) };
    let good = framed(&good.encode_to_vec());
    let connection = raw::connect(server.address).await;
    // A text that is not UTF-8, in a field of a field.
    let text = [0x12, 0x04, 0x12, 0x02, 0xc3, 0x28];
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a text that is none", framed(&text), "heartbeat.consumer_id"),
        ("a wire type that is none", framed(&[0x0f]), ""),
        ("a field cut off", framed(&[0x12, 0x7f]), "heartbeat"),
        ("a frame cut off", good[..good.len() - 1].to_vec(), ""),
        ("a flag that is none", raw::frame(7, 0, &[]), ""),
        ("a message too large", raw::frame(0, 3 * 1024 * 1024, &[]), ""),
    ];
    for (what, bad, field) in cases {
        // What comes behind a bad frame is not read.
        let behind = if what == "a frame cut off" { vec![] } else { good.clone() };
        let body = [good.clone(), bad, behind].concat();
        let answer = connection.send(&path("KeepAlive"), body).await;
        let refusal = Refusal::of(&answer.status());
        assert_eq!(refusal.kind(), (Code::InvalidArgument, "INVALID_FIELD"), "{what}");
        assert_eq!(refusal.fields, [field], "{what}");
        let told = answers_in(&answer.body);
        assert_eq!(told.len(), 1, "{what}: {told:?}");
        assert!(may_go_on(&outcome(told[0].clone())), "{what}");
    }
    assert!(server.child.try_wait().unwrap().is_none());
    let log = server.log.lock().unwrap().clone();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_the_database_does_not_answer_in_time_is_told_so_and_the_stream_goes_on() {
    let (db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let held = db.hold_lease(&claim_id("w_1", 1)).await;
    let mut stream = KeepAlive::open(&mut client).await;
    let refused = stream.beat(1, heartbeat("w_1", 1)).await.unwrap_err();
    assert_eq!(refused.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    assert!(refused.retry.is_some());
    assert!(may_go_on(&stream.beat(2, heartbeat("w_2", 1)).await));
    held.release().await;
    assert!(may_go_on(&stream.beat(3, heartbeat("w_1", 1)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_at_the_deadline_that_its_client_gave_it() {
    let (db, server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let held = db.hold_lease(&claim_id("w_2", 1)).await;
    let beats = [("w_1", 1), ("w_2", 2)].map(|(consumer, tag)| {
        let heartbeat = Some(heartbeat(consumer, 1));
        framed(&KeepAliveRequest { tag, heartbeat }.encode_to_vec())
    });
    let connection = raw::connect(server.address).await;
    let time = [("grpc-timeout", "1S")];
    let answer = connection.send_and_stay(&path("KeepAlive"), &time, beats.concat()).await;
    assert_eq!(Refusal::of(&answer.status()).kind(), (Code::DeadlineExceeded, "TIMED_OUT"));
    // What had no answer by then has none.
    let told = answers_in(&answer.body);
    assert_eq!(told.iter().map(|answer| answer.tag).collect::<Vec<_>>(), [1]);
    held.release().await;
}
