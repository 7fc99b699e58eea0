//! `HeartbeatBatch`: each heartbeat of a batch has what it would have alone, in its place.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{HeartbeatBatchRequest, HeartbeatRequest, MintRequest};
use claims::testing::{TestDatabase, claim_id};
use futures_util::future::join_all;
use prost::Message;
use std::time::Duration;
use support::refusal::Refusal;
use support::streams::{Outcome, batch_outcome, may_go_on};
use support::{Client, Server, done, heartbeat, mint, mint_epoch};
use tonic::{Code, Request, Status};

/// What a client takes unless told otherwise.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

async fn start() -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = server.client().await;
    (db, server, client)
}

async fn batch(client: &mut Client, heartbeats: Vec<HeartbeatRequest>) -> Vec<Outcome> {
    let answer = client.heartbeat_batch(HeartbeatBatchRequest { heartbeats }).await;
    answer.expect("results").into_inner().results.into_iter().map(batch_outcome).collect()
}

fn kind(outcome: &Outcome) -> (Code, &str) {
    outcome.as_ref().map_or_else(Refusal::kind, |_| (Code::Ok, ""))
}

/// Claims of that many consumers, each on an entity of its own.
async fn minted(client: &Client, count: usize) -> Vec<String> {
    let names: Vec<String> = (0..count).map(|number| format!("w_{number}")).collect();
    let mints = names.iter().map(|name| {
        let mut client = client.clone();
        async move { client.mint(mint(&format!("/chat/{name}"), name)).await.expect("a claim") }
    });
    join_all(mints).await;
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn every_heartbeat_of_a_batch_has_its_own_result_in_its_place() {
    let (db, _server, mut client) = start().await;
    let held = client.mint(mint("/chat/a", "w_1")).await.unwrap().into_inner();
    client.mint(mint_epoch("/chat/b", "w_2", "sub", 1)).await.unwrap();
    client.mint(mint_epoch("/chat/b", "w_3", "sub", 2)).await.unwrap();
    client.mint(mint("/chat/c", "w_4")).await.unwrap();
    client.done(done("w_4", 1)).await.unwrap();
    let other_tenant = MintRequest { tenant_id: "acme".into(), ..mint("/chat/a", "w_1") };
    client.mint(other_tenant).await.unwrap();
    let token = |token: &str| HeartbeatRequest { write_token: token.into(), ..heartbeat("w_1", 1) };
    let asked = vec![
        heartbeat("w_1", 1),
        heartbeat("w_unknown", 1),
        HeartbeatRequest { tenant_id: "acme".into(), ..heartbeat("w_1", 1) },
        heartbeat("w_2", 1),
        HeartbeatRequest { progress: Some("\0".into()), ..heartbeat("", -1) },
        heartbeat("w_3", 2),
        token("wrong"),
        token(&held.write_token),
        heartbeat("w_4", 1),
        heartbeat("w_1", 1),
    ];
    let alone = join_all(asked.iter().map(|asked| {
        let (mut client, asked) = (client.clone(), asked.clone());
        async move { client.heartbeat(asked).await }
    }))
    .await;
    let together = batch(&mut client, asked).await;
    let kinds: Vec<_> = together.iter().map(kind).collect();
    assert_eq!(
        kinds,
        [
            (Code::Ok, ""),
            (Code::NotFound, "CLAIM_NOT_FOUND"),
            (Code::Ok, ""),
            (Code::FailedPrecondition, "CLAIM_SUPERSEDED"),
            (Code::InvalidArgument, "INVALID_FIELD"),
            (Code::Ok, ""),
            (Code::PermissionDenied, "WRITE_TOKEN_INVALID"),
            (Code::Ok, ""),
            (Code::FailedPrecondition, "CLAIM_RELEASED"),
            (Code::Ok, ""),
        ]
    );
    // To the last detail, a refusal is that of a call of its own.
    for (alone, together) in alone.into_iter().zip(together) {
        match (alone, together) {
            (Ok(_), Ok(response)) => assert!(response.lease_remaining.is_some()),
            (Err(status), Err(refusal)) => assert_eq!(Refusal::of(&status), refusal),
            (alone, together) => panic!("{alone:?} is not {together:?}"),
        }
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_500_claims_is_renewed_as_one() {
    let (db, _server, mut client) = start().await;
    let names = minted(&client, 500).await;
    let never = "SELECT count(*) FROM claim_leases WHERE last_heartbeat_at IS NULL";
    assert_eq!(db.number(never).await, 500);
    let outcomes = batch(&mut client, names.iter().map(|name| heartbeat(name, 1)).collect()).await;
    assert_eq!(outcomes.len(), 500);
    assert!(outcomes.iter().all(may_go_on));
    assert_eq!(db.number(never).await, 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_none_or_of_more_than_500_is_refused_as_a_whole_and_renews_nothing() {
    let (db, _server, mut client) = start().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    for count in [0, 501, 10_000] {
        let heartbeats = vec![heartbeat("w_1", 1); count];
        let refused = client.heartbeat_batch(HeartbeatBatchRequest { heartbeats }).await;
        let refused = Refusal::of(&refused.expect_err("a refusal"));
        assert_eq!(refused.kind(), (Code::InvalidArgument, "INVALID_FIELD"), "{count}");
        assert_eq!(refused.fields, ["heartbeats"]);
    }
    assert_eq!(db.lease_column(&claim_id("w_1", 1), "last_heartbeat_at").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_has_no_answer_in_time_keeps_no_other_from_its_answer() {
    let (db, _server, mut client) = start().await;
    minted(&client, 3).await;
    let held = db.hold_lease(&claim_id("w_1", 1)).await;
    let heartbeats = vec![heartbeat("w_0", 1), heartbeat("w_1", 1), heartbeat("w_2", 1)];
    // Less time than the store takes to give up on a lock.
    let mut request = Request::new(HeartbeatBatchRequest { heartbeats: heartbeats.clone() });
    request.set_timeout(Duration::from_secs(1));
    let answer = client.heartbeat_batch(request).await.expect("results").into_inner();
    let outcomes: Vec<_> = answer.results.into_iter().map(batch_outcome).collect();
    let kinds: Vec<_> = outcomes.iter().map(kind).collect();
    assert_eq!(kinds, [(Code::Ok, ""), (Code::DeadlineExceeded, "TIMED_OUT"), (Code::Ok, "")]);

    // With more time, the store says what it knows.
    let outcomes = batch(&mut client, heartbeats.clone()).await;
    let kinds: Vec<_> = outcomes.iter().map(kind).collect();
    let unavailable = (Code::Unavailable, "DATABASE_UNAVAILABLE");
    assert_eq!(kinds, [(Code::Ok, ""), unavailable, (Code::Ok, "")]);
    assert!(outcomes[1].as_ref().unwrap_err().retry.is_some());
    held.release().await;
    assert!(batch(&mut client, heartbeats).await.iter().all(may_go_on));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_database_every_heartbeat_is_told_to_come_back() {
    // Nobody listens on port 1.
    let server = Server::start("postgres://nobody@127.0.0.1:1/none").await;
    let mut client = server.client().await;
    let heartbeats = vec![heartbeat("w_1", 1), heartbeat("w_2", 0), heartbeat("w_3", 3)];
    let outcomes = batch(&mut client, heartbeats).await;
    let kinds: Vec<_> = outcomes.iter().map(kind).collect();
    let unavailable = (Code::Unavailable, "DATABASE_UNAVAILABLE");
    let invalid = (Code::InvalidArgument, "INVALID_FIELD");
    assert_eq!(kinds, [unavailable, invalid, unavailable]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_results_fit_into_what_a_client_takes() {
    let (db, _server, mut client) = start().await;
    // Everything wrong that can be, and as long as it may be.
    let bad = HeartbeatRequest {
        tenant_id: "\0".repeat(256),
        consumer_id: "\0".repeat(256),
        epoch: i64::MIN,
        write_token: "t".repeat(257),
        lease_ttl: Some(prost_types::Duration { seconds: -1, nanos: 0 }),
        progress: Some("p".repeat(257)),
    };
    // And the longest that is said of a claim: who took over.
    let long = |letter: &str| letter.repeat(256);
    let holder = |consumer: &str, epoch| MintRequest {
        tenant_id: long("t"),
        ..mint_epoch("/chat/a", consumer, "sub", epoch)
    };
    client.mint(holder("w_1", 1)).await.unwrap();
    client.mint(holder(&long("ü")[..256], 2)).await.unwrap();
    let superseded = HeartbeatRequest { tenant_id: long("t"), ..heartbeat("w_1", 1) };
    for (asked, reason) in [(bad, "INVALID_FIELD"), (superseded, "CLAIM_SUPERSEDED")] {
        let heartbeats = vec![asked; 500];
        let answer = client.heartbeat_batch(HeartbeatBatchRequest { heartbeats }).await;
        let answer = answer.expect("results").into_inner();
        assert!(answer.encoded_len() < MESSAGE_BYTES_MAX, "{} bytes", answer.encoded_len());
        for result in answer.results {
            assert_eq!(batch_outcome(result).unwrap_err().reason, reason);
        }
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_one_heartbeat_has_an_id_that_the_log_has_too() {
    let (db, server, mut client) = start().await;
    minted(&client, 2).await;
    // A live claim without a lease: no code of ours can have written that.
    let damage = "SET session_replication_role = replica;
         DELETE FROM claim_leases WHERE consumer_id = 'w_1'; SET session_replication_role = origin";
    db.sql.batch_execute(damage).await.unwrap();
    let outcomes = batch(&mut client, vec![heartbeat("w_0", 1), heartbeat("w_1", 1)]).await;
    assert!(may_go_on(&outcomes[0]), "{outcomes:?}");
    let fault = outcomes[1].as_ref().unwrap_err();
    assert_eq!((fault.kind(), fault.keys()), ((Code::Internal, "INTERNAL"), vec!["request_id"]));
    let id = fault.metadata["request_id"].clone();
    support::eventually("the log has it", async || server.log.lock().unwrap().contains(&id)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_turned_away_as_a_whole_by_a_server_that_drains() {
    let (db, server, mut client) = start().await;
    minted(&client, 1).await;
    let held = db.hold_lease(&claim_id("w_0", 1)).await;
    let mut in_flight = client.clone();
    let in_flight = tokio::spawn(async move {
        batch(&mut in_flight, vec![heartbeat("w_0", 1), heartbeat("w_1", 1)]).await
    });
    db.until_blocked("claim-server/heartbeat-solo").await;
    server.signal("TERM");
    let refused: Status = loop {
        let heartbeats = vec![heartbeat("w_1", 1)];
        if let Err(status) = client.heartbeat_batch(HeartbeatBatchRequest { heartbeats }).await {
            break status;
        }
    };
    assert_eq!(Refusal::of(&refused).kind(), (Code::Unavailable, "DRAINING"));
    held.release().await;
    // The one in flight is answered to the last heartbeat.
    let outcomes = in_flight.await.unwrap();
    let kinds: Vec<_> = outcomes.iter().map(kind).collect();
    assert_eq!(kinds, [(Code::Ok, ""), (Code::NotFound, "CLAIM_NOT_FOUND")]);
}
