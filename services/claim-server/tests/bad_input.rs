//! Requests whose fields do not fit their limits: each is refused under the field's name, and
//! nothing is written. What just fits is accepted.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1;
use claims::testing::TestDatabase;
use prost::Message;
use prost_reflect::Value;
use std::collections::BTreeSet;
use support::page_tokens::PageTokens;
use support::raw::{self, Answer, Connection};
use support::refusal::Refusal;
use support::request::{CALLS, FieldValue, Request, beat, duration, enum_number, request_type};
use support::{Server, limits, mint};
use tonic::Code;

/// Most bytes of headers that any client takes.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// The claim that good requests are about.
const ENTITY: &str = "/chat/a";
const CONSUMER: &str = "w_1";

/// A request that is good, for a claim of that entity and consumer with the epoch 1.
fn good(call: &'static str, entity: &str, consumer: &str) -> Request {
    let request = Request::to(call);
    match call {
        "Mint" => request.with("entity_url", entity).with("consumer_id", consumer),
        "Heartbeat" | "Done" | "GetClaim" | "RevokeClaim" => {
            request.with("consumer_id", consumer).with("epoch", 1)
        }
        "HeartbeatBatch" => request.with("heartbeats", vec![beat(consumer, 1)]),
        "AuthorizeWrite" => {
            request.with("stream_path", format!("{entity}/main")).with("write_token", "wrong")
        }
        "GetEntity" => request.with("entity_url", entity),
        // It runs already.
        "SignalEntity" => request.with("entity_url", entity).with("signal", enum_number(2)),
        _ => request,
    }
}

/// The refusal of a request with bad fields; panics if it is anything else.
fn invalid(answer: &Answer, what: &str) -> Refusal {
    let status = answer.status();
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    let refusal = Refusal::of(&status);
    assert_eq!(refusal.reason, "INVALID_FIELD", "{what}");
    assert!(refusal.metadata.is_empty() && refusal.retry.is_none(), "{what}: {refusal:?}");
    let bytes: usize =
        answer.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    assert!(bytes < HEADER_BYTES_MAX, "{what}: {bytes} bytes of headers");
    refusal
}

async fn start() -> (TestDatabase, Server, Connection) {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let connection = raw::connect(server.address).await;
    (db, server, connection)
}

#[test]
fn every_field_of_every_built_call_has_limits_here() {
    for call in CALLS {
        let fields: BTreeSet<String> =
            request_type(call).fields().map(|field| field.name().to_owned()).collect();
        let here = limits::FIELDS.iter().filter(|(of, ..)| *of == call);
        let here: BTreeSet<String> = here.map(|(_, field, _)| (*field).to_owned()).collect();
        assert_eq!(here, fields, "{call}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_outside_its_limits_is_refused_by_name_and_nothing_is_written() {
    let (db, server, connection) = start().await;
    let tokens = PageTokens::gather(&server).await;
    let minted = server.client().await.mint(mint(ENTITY, CONSUMER)).await.unwrap().into_inner();
    let before = support::rows::all_rows(&db).await;
    let mut refused = 0;
    for (call, field, limits) in limits::FIELDS {
        for bad in limits.bad(field, ENTITY, &tokens) {
            let mut request = good(call, ENTITY, CONSUMER);
            for (field, value) in bad.others {
                request = request.with(field, value);
            }
            let request = match bad.value {
                Some(value) => request.with(field, value),
                None => request.without(field),
            };
            let what = format!("{call}.{field}: {}", bad.what);
            let refusal = invalid(&request.send(&connection).await, &what);
            assert_eq!(refusal.fields, [bad.named], "{what}");
            refused += 1;
        }
    }
    assert!(refused > 300, "{refused} cases");
    assert_eq!(support::rows::all_rows(&db).await, before);
    assert_eq!(support::authorize(&mut server.client().await, &minted).await.unwrap(), 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_with_a_field_at_its_limits_is_accepted() {
    let (db, server, connection) = start().await;
    let tokens = PageTokens::gather(&server).await;
    for (call, field, limits) in limits::FIELDS.iter().filter(|(call, ..)| *call == "Mint") {
        for (number, (what, others, value)) in limits.good("/good", &tokens).into_iter().enumerate()
        {
            let mut request = good(call, "/good", &format!("w_{field}_{number}"))
                .with("supersede", true)
                .with(field, value);
            // Cases that an earlier one on the same entity would stand in the way of.
            if matches!(*field, "epoch" | "authority" | "supersede") {
                request = request.with("entity_url", format!("/good/{field}/{number}"));
            }
            for (field, value) in others {
                request = request.with(field, value);
            }
            let status = request.send(&connection).await.status();
            assert_eq!(status.code(), Code::Ok, "{field}: {what}: {status:?}");
        }
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_with_a_field_at_its_limits_is_accepted() {
    let (db, server, connection) = start().await;
    let tokens = PageTokens::gather(&server).await;
    let fields = limits::FIELDS.iter().filter(|(call, ..)| *call != "Mint");
    for (number, (call, field, limits)) in fields.enumerate() {
        let entity = format!("/good/{number}");
        for (number, (what, _, value)) in limits.good(&entity, &tokens).into_iter().enumerate() {
            // Each case has a claim of its own, so that it meets none of another's doing; and if it
            // may end the entity, an entity too.
            let consumer = format!("w_{call}_{field}_{number}");
            let entity = match *call {
                "SignalEntity" => format!("{entity}/{number}"),
                _ => entity.clone(),
            };
            let claim = v1::MintRequest { supersede: true, ..mint(&entity, &consumer) };
            let minted = server.client().await.mint(claim).await.unwrap().into_inner();
            let mut request = good(call, &entity, &consumer);
            if request.call == "AuthorizeWrite" {
                request = request.with("write_token", minted.write_token);
            } else if matches!(*call, "Heartbeat" | "Done" | "GetClaim" | "RevokeClaim") {
                request = request.with("epoch", minted.claim.unwrap().epoch);
            }
            let status = request.with(field, value).send(&connection).await.status();
            let what = format!("{call}.{field}: {what}: {status:?}");
            // Nothing may be said against the field; but there need not be what it names.
            match (status.code(), *call, *field) {
                (Code::Ok, ..) => {}
                (Code::NotFound, _, "tenant_id" | "consumer_id" | "epoch" | "entity_url")
                | (Code::PermissionDenied, _, "write_token")
                | (Code::PermissionDenied, "AuthorizeWrite", "tenant_id" | "stream_path") => {
                    Refusal::of(&status);
                }
                _ => panic!("{what}"),
            }
        }
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_violations_of_a_request_are_named_together() {
    let (_db, _server, connection) = start().await;
    let bad = || FieldValue(Value::String("ü\0".repeat(200)));
    let mut request = Request::to("Mint")
        .with("epoch", 0)
        .with("lease_ttl", duration(-1, 0))
        .with("max_duration", duration(1, -1));
    let names = [
        "tenant_id",
        "entity_url",
        "consumer_id",
        "authority",
        "wake_id",
        "runner_id",
        "request_id",
    ];
    for name in names {
        request = request.with(name, bad());
    }
    let refusal = invalid(&request.send(&connection).await, "Mint");
    let named: BTreeSet<&str> = refusal.fields.iter().map(String::as_str).collect();
    assert_eq!(named.len(), refusal.fields.len(), "each once: {named:?}");
    assert_eq!(named, names.into_iter().chain(["epoch", "lease_ttl", "max_duration"]).collect());

    let request = Request::to("Done")
        .with("epoch", -1)
        .with("write_token", "t".repeat(257))
        .with("outcome", enum_number(3))
        .with("error_message", "\0")
        .with("acked_streams", vec![support::request::ack("\n", "")]);
    let refusal = invalid(&request.send(&connection).await, "Done");
    let expected =
        ["consumer_id", "epoch", "write_token", "acked_streams.path", "outcome", "error_message"];
    assert_eq!(refusal.fields, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_never_repeats_what_it_refuses() {
    let (_db, _server, connection) = start().await;
    let secret = "kept-to-himself-".repeat(17);
    for (call, field) in [
        ("Mint", "consumer_id"),
        ("Heartbeat", "write_token"),
        ("Heartbeat", "progress"),
        ("Done", "write_token"),
        ("AuthorizeWrite", "write_token"),
        ("ListClaims", "page_token"),
        ("RevokeClaim", "reason"),
        ("SignalEntity", "reason"),
    ] {
        let request = good(call, ENTITY, CONSUMER).with(field, secret.as_str());
        let answer = request.send(&connection).await;
        invalid(&answer, field);
        assert!(!format!("{:?}", answer.status()).contains("kept"), "{call}.{field}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_field_is_refused_before_anything_touches_the_database() {
    // Nobody listens on port 1.
    let server = Server::start("postgres://nobody@127.0.0.1:1/none").await;
    let connection = raw::connect(server.address).await;
    // What a batch says of each of its heartbeats is tested with batches.
    for call in CALLS.into_iter().filter(|call| *call != "HeartbeatBatch") {
        let request = good(call, ENTITY, CONSUMER);
        let status = request.send(&connection).await.status();
        assert_eq!(Refusal::of(&status).kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
        invalid(&request.with("tenant_id", "\0").send(&connection).await, call);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_with_everything_at_its_longest_lives_and_ends_like_any_other() {
    let (db, server, connection) = start().await;
    let mut client = server.client().await;
    let name = |letter: &str| format!("{}ü", letter.repeat(254));
    let entity = format!("/{}", "é/".repeat(341).trim_end_matches('/'));
    let entity = format!("{entity}{}", "x".repeat(1024 - entity.len()));
    assert_eq!(entity.len(), 1024);
    let stream = format!("{entity}/{}", "s".repeat(255));
    let request = Request::to("Mint")
        .with("tenant_id", name("t"))
        .with("entity_url", entity.as_str())
        .with("stream_path", stream.as_str())
        .with("consumer_id", name("c"))
        .with("epoch", i64::MAX)
        .with("authority", name("a"))
        .with("wake_id", name("w"))
        .with("runner_id", name("r"))
        .with("request_id", name("q"))
        .with("lease_ttl", duration(600, 0))
        .with("max_duration", duration(86_400, 0));
    let answer = request.send(&connection).await;
    assert_eq!(answer.status().code(), Code::Ok, "{answer:?}");
    let minted = v1::MintResponse::decode(answer.message()).unwrap();

    let heartbeat = v1::HeartbeatRequest {
        tenant_id: name("t"),
        consumer_id: name("c"),
        epoch: i64::MAX,
        write_token: minted.write_token.clone(),
        lease_ttl: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        progress: Some("p".repeat(256)),
    };
    client.heartbeat(heartbeat).await.unwrap();
    let acks: Vec<v1::AckedStream> = (0..256)
        .map(|ack| v1::AckedStream {
            path: format!("{ack:>0width$}", width = 1280),
            offset: format!("{ack:>0width$}", width = 256),
        })
        .collect();
    let done = v1::DoneRequest {
        tenant_id: name("t"),
        consumer_id: name("c"),
        epoch: i64::MAX,
        write_token: minted.write_token.clone(),
        acked_streams: acks.clone(),
        outcome: v1::DoneOutcome::Failed.into(),
        error_message: "e\t\n".repeat(341),
    };
    let ended = client.done(done).await.unwrap().into_inner();
    assert!(ended.entity_cleared && ended.acks_recorded);
    let claim = ended.claim.unwrap();
    assert_eq!(claim.acked_streams, acks);
    assert_eq!((claim.stream_path, claim.epoch), (stream, i64::MAX));
    assert_eq!((claim.progress, claim.runner_id), ("p".repeat(256), name("r")));
    let read = v1::GetEntityRequest { tenant_id: name("t"), entity_url: entity };
    let read = client.get_entity(read).await.unwrap().into_inner().entity.unwrap();
    assert_eq!((read.state(), read.last_error), (v1::EntityState::Idle, "e\t\n".repeat(341)));
    db.check_invariants().await;
}
