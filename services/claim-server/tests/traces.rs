//! What a collector of traces gets to see of the real server, and that nobody waits for it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::MintRequest;
use claims::testing::TestDatabase;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use std::net::SocketAddr;
use std::time::Duration;
use support::collector::{Collector, environment, number, sends_to, word};
use support::streams::KeepAlive;
use support::{Client, PATIENCE, Server, eventually, heartbeat, mint};
use tokio::net::TcpListener;
use tokio::time::{Instant, timeout};
use tonic::Request;

const MINT: &str = "claim.v1.ClaimService/Mint";
const CALLER: [u8; 8] = [7; 8];

/// The id of a trace, all of whose bytes are that number.
fn trace(number: u8) -> Vec<u8> {
    vec![number; 16]
}

/// A mint within a trace of its caller, who samples it or does not.
fn traced(entity: &str, consumer: &str, number: u8, flags: &str) -> Request<MintRequest> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parent = format!("00-{}-{}-{flags}", hex(&trace(number)), hex(&CALLER));
    let mut request = Request::new(mint(entity, consumer));
    request.metadata_mut().insert("traceparent", parent.parse().expect("a header"));
    request
}

struct Stage {
    db: TestDatabase,
    collector: Collector,
    server: Server,
    client: Client,
}

impl Stage {
    async fn new(more: &[(&str, &str)]) -> Self {
        let db = TestDatabase::in_service().await;
        let (collector, address) = Collector::start().await;
        let settings = sends_to(address);
        let environment = [environment(&settings), more.to_vec()].concat();
        let server = Server::start_with(db.url(), &environment).await;
        let client = server.client().await;
        Self { db, collector, server, client }
    }
}

fn named<'s>(spans: &'s [Span], name: &str) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.name == name).collect()
}

fn children<'s>(spans: &'s [Span], of: &Span) -> Vec<&'s Span> {
    spans.iter().filter(|span| span.parent_span_id == of.span_id).collect()
}

/// The one child of that name.
fn child<'s>(spans: &'s [Span], of: &Span, name: &str) -> &'s Span {
    let mut found = children(spans, of).into_iter().filter(|span| span.name == name);
    found.next().unwrap_or_else(|| panic!("no {name} within {} in {spans:#?}", of.name))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_from_the_caller_through_the_queue_and_the_batch_to_the_statements() {
    let mut stage = Stage::new(&[]).await;
    stage.client.mint(traced("/chat/a", "w_1", 1, "01")).await.expect("a claim");
    // The call ends last.
    let spans = stage.collector.sees("the call", |spans| !named(spans, MINT).is_empty()).await;
    let call = named(&spans, MINT)[0];
    assert_eq!((&call.trace_id, &call.parent_span_id[..]), (&trace(1), &CALLER[..]));
    assert_eq!(call.kind(), SpanKind::Server);
    assert_eq!(word(call, "tenant"), Some("default"));
    assert_eq!(word(call, "consumer"), Some("w_1"));
    assert_eq!(word(call, "outcome"), Some("OK"));
    let lane = child(&spans, call, "lane");
    let batch = child(&spans, lane, "batch");
    assert_eq!(lane.links.len(), 1, "one transaction has served it");
    assert_eq!(lane.links[0].span_id, batch.span_id);
    assert_eq!((word(lane, "kind"), number(batch, "calls")), (Some("decide"), Some(1)));
    let statements: Vec<&str> =
        children(&spans, batch).into_iter().map(|span| span.name.as_str()).collect();
    for statement in
        ["BEGIN", "lock_entities.sql", "insert_claims.sql", "write_events.sql", "COMMIT"]
    {
        assert!(statements.contains(&statement), "{statement} is not among {statements:?}");
    }
    assert!(spans.iter().all(|span| span.trace_id == trace(1)), "nothing but the call is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_call_of_a_batch_has_a_link_to_it_from_the_trace_of_its_own_caller() {
    const CALLS: u8 = 100;
    let stage = Stage::new(&[("CLAIM_DECISION_LANES", "1")]).await;
    let calls = (1..=CALLS).map(|number| {
        let mut client = stage.client.clone();
        tokio::spawn(async move {
            let entity = format!("/chat/{number}");
            client.mint(traced(&entity, &format!("w_{number}"), number, "01")).await.expect("one");
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.expect("a claim");
    }
    let all = |spans: &[Span]| named(spans, MINT).len() == usize::from(CALLS);
    let spans = stage.collector.sees("all calls", all).await;
    let batches = named(&spans, "batch");
    assert!(batches.len() < usize::from(CALLS), "none was shared");
    let mut served = 0;
    for batch in batches {
        let calls: Vec<&Span> = named(&spans, "lane")
            .into_iter()
            .filter(|lane| lane.links.iter().any(|link| link.span_id == batch.span_id))
            .collect();
        assert_eq!(Some(calls.len()), number(batch, "calls").and_then(|n| n.try_into().ok()));
        served += calls.len();
    }
    assert_eq!(served, usize::from(CALLS));
    for number in 1..=CALLS {
        let lane = named(&spans, "lane").into_iter().filter(|lane| lane.trace_id == trace(number));
        assert_eq!(lane.count(), 1, "each in the trace of its caller");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_its_caller_does_not_sample_has_no_spans_and_causes_none() {
    let mut stage = Stage::new(&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")]).await;
    stage.client.mint(traced("/chat/a", "w_1", 1, "00")).await.expect("a claim");
    stage.client.heartbeat(heartbeat("w_1", 1)).await.expect("a renewal");
    stage.client.mint(traced("/chat/b", "w_2", 2, "01")).await.expect("a claim");
    let spans = stage.collector.sees("the call", |spans| !named(spans, MINT).is_empty()).await;
    assert!(!named(&spans, "COMMIT").is_empty());
    assert!(spans.iter().all(|span| span.trace_id == trace(2)), "{spans:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_names_no_trace_begins_a_new_one_and_harms_nobody() {
    let mut stage = Stage::new(&[]).await;
    for header in ["", "00", "00-0-0-0", "\u{7f}", "ff-01-01-01", &"f".repeat(10_000)] {
        let mut request = Request::new(mint("/chat/a", "w_1"));
        request.get_mut().request_id = "q".into();
        let Ok(value) = header.parse() else { continue };
        request.metadata_mut().insert("traceparent", value);
        stage.client.mint(request).await.expect("a claim");
    }
    let spans = stage.collector.sees("the calls", |spans| named(spans, MINT).len() >= 5).await;
    assert!(named(&spans, MINT).iter().all(|call| call.parent_span_id.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_of_a_stream_is_a_trace_of_its_own_with_a_link_to_the_stream() {
    let mut stage = Stage::new(&[]).await;
    stage.client.mint(mint("/chat/a", "w_1")).await.expect("a claim");
    let mut stream = KeepAlive::open(&mut stage.client).await;
    for tag in 1..=3 {
        stream.beat(tag, heartbeat("w_1", 1)).await.expect("a renewal");
    }
    stream.finish();
    drop(stream);
    let name = "claim.v1.ClaimService/KeepAlive";
    let spans = stage.collector.sees("the stream", |spans| !named(spans, name).is_empty()).await;
    let (stream, beats) = (named(&spans, name)[0], named(&spans, "heartbeat"));
    assert_eq!(beats.len(), 3);
    for beat in beats {
        assert_ne!(beat.trace_id, stream.trace_id);
        assert_eq!(beat.links[0].span_id, stream.span_id);
        let lane = child(&spans, beat, "lane");
        assert!(!children(&spans, child(&spans, lane, "batch")).is_empty());
    }
    assert!(children(&spans, stream).is_empty(), "it does not grow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_no_error_of_the_server_and_a_failure_is() {
    let mut stage = Stage::new(&[]).await;
    stage.client.mint(mint("/chat/a", "w_1")).await.expect("a claim");
    stage.client.mint(mint("/chat/a", "w_2")).await.expect_err("it is claimed");
    stage.db.poison("w_3").await;
    stage.client.mint(mint("/chat/b", "w_3")).await.expect_err("it is poisoned");
    let spans = stage.collector.sees("three calls", |spans| named(spans, MINT).len() == 3).await;
    let told = |outcome: &str| {
        let found =
            named(&spans, MINT).into_iter().find(|span| word(span, "outcome") == Some(outcome));
        found.and_then(|span| span.status.as_ref()).map(|status| status.code())
    };
    assert_eq!(told("ALREADY_EXISTS/ALREADY_CLAIMED"), Some(StatusCode::Unset));
    assert_eq!(told("UNAVAILABLE/DATABASE_UNAVAILABLE"), Some(StatusCode::Error));
}

/// The names of the threads of a process.
fn threads(server: &Server) -> Vec<String> {
    let pid = server.child.id().expect("a running process");
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let names = tasks.map(|task| task.expect("a thread").path().join("comm"));
    names.filter_map(|name| std::fs::read_to_string(name).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_there_is_nothing_that_sends_spans() {
    let sends = |names: &[String]| names.iter().any(|name| name.starts_with("OpenTelemetry"));
    let stage = Stage::new(&[]).await;
    // A thread names itself when it first runs.
    eventually("it sends", async || sends(&threads(&stage.server))).await;
    for environment in [&[][..], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]] {
        let mut server = Server::start_with(stage.db.url(), environment).await;
        let mut client = server.client().await;
        client.get_entity(claim_proto::v1::GetEntityRequest::default()).await.expect_err("no name");
        assert!(!sends(&threads(&server)), "{:?}", threads(&server));
        server.child.start_kill().expect("a running process");
    }
}

/// Uses a server whose collector does not work, and ends it: neither takes longer for it.
async fn nobody_waits_for(collector: SocketAddr) {
    let db = TestDatabase::in_service().await;
    let mut settings = sends_to(collector);
    // Full at once, so that the rest has to be dropped.
    settings.retain(|(name, _)| *name != "OTEL_BSP_MAX_QUEUE_SIZE");
    settings.push(("OTEL_BSP_MAX_QUEUE_SIZE", "10".to_owned()));
    let mut server = Server::start_with(db.url(), &environment(&settings)).await;
    let mut client = server.client().await;
    let calls = async {
        for number in 0..200 {
            client.mint(mint(&format!("/chat/{number}"), "w_1")).await.expect("a claim");
        }
    };
    timeout(Duration::from_secs(20), calls).await.expect("in the time that they take anyway");
    server.signal("TERM");
    let begin = Instant::now();
    let ended = timeout(PATIENCE, server.child.wait()).await.expect("an end").expect("a process");
    assert_eq!(ended.code(), Some(0));
    // The drain takes a second and a half, and sending the last spans two at most.
    assert!(begin.elapsed() < Duration::from_secs(8), "it took {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_never_answers_holds_up_no_call_and_no_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut kept = vec![];
        while let Ok((socket, _)) = listener.accept().await {
            kept.push(socket);
        }
    });
    nobody_waits_for(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_holds_up_no_call_and_no_end() {
    nobody_waits_for("127.0.0.1:1".parse().expect("an address")).await;
}

/// What the server says that ends at once because of these settings.
fn refused(settings: &[(&str, &str)]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_claim-server"))
        .arg("serve")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .envs(settings.iter().copied())
        .output()
        .expect("claim-server runs");
    assert_eq!(output.status.code(), Some(64));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_protocol_that_is_not_spoken_is_refused_before_anything_begins() {
    let (endpoint, protocol) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL");
    let said = refused(&[(endpoint, "http://127.0.0.1:1"), (protocol, "http/json")]);
    assert!(said.contains(protocol), "{said}");
}

#[test]
fn an_endpoint_that_cannot_be_used_is_refused_without_a_word_of_it() {
    let said = refused(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:hunter2@ho st:4317")]);
    assert!(said.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !said.contains("hunter2"), "{said}");
}
