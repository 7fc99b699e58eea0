//! I12: however much is logged, no write token, no bearer token, no password and no ack is in it; nor
//! is a token in the database, in metrics or probes, in a trace, or in anything that is told but the answer
//! to a mint.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claim_proto::v1::{
    AckedStream, DoneRequest, GetClaimRequest, GetEntityRequest, HeartbeatBatchRequest,
    HeartbeatRequest, ListClaimEventsRequest, ListClaimsRequest, MintRequest, MintResponse,
    WatchClaimEventsRequest,
};
use claims::testing::{TestDatabase, claim_id};
use std::process::{Command, Output};
use std::time::Duration;
use support::collector::{Collector, environment, sends_to};
use support::probes::{http_address, http_get};
use support::streams::KeepAlive;
use support::{Server, authorize, done, eventually, heartbeat, mint, mint_epoch, reaper_binary};

const PASSWORD: &str = "p4ssw0rd-of-nobody";
const ACKED: &str = "acked-by-the-holder";
/// What opens the collector of traces.
const COLLECTORS: &str = "c0ll3ctors-key-0123456789abcdefghijklmnopqrstuv";
/// A credential as callers present it; whether the server knows it makes no difference.
const BEARER: &str = "b34rer-of-nobody-0123456789abcdefghijklmnopqrstuv";

/// A full run of all calls, good and bad; the tokens that were shown, and what else was told.
async fn run(db: &TestDatabase, server: &Server) -> (Vec<String>, String) {
    let mut client = server.client().await;
    let mut tokens = vec!["a-token-that-was-never-issued".to_owned()];
    let mut told = vec![];
    let again = MintRequest { request_id: "q".into(), ..mint("/chat/a", "w_1") };
    for _ in 0..2 {
        let mut minted = client.mint(again.clone()).await.unwrap().into_inner();
        tokens.push(std::mem::take(&mut minted.write_token));
        told.push(format!("{minted:?}"));
    }
    let other = client.mint(mint_epoch("/chat/b", "w_2", "sub", 1)).await.unwrap().into_inner();
    tokens.push(other.write_token.clone());
    told.push(format!("{:?}", client.mint(mint("/chat/b", "w_3")).await.unwrap_err()));

    let holders = MintResponse { write_token: tokens[2].clone(), ..other.clone() };
    for token in tokens.clone() {
        let beat = HeartbeatRequest {
            write_token: token.clone(),
            progress: Some("half".into()),
            ..heartbeat("w_1", 1)
        };
        told.push(format!("{:?}", client.heartbeat(beat).await));
        let presented = MintResponse { write_token: token.clone(), ..holders.clone() };
        told.push(format!("{:?}", authorize(&mut client, &presented).await));
        // Too long, and with what is no text for the database.
        let long = MintResponse { write_token: token.repeat(9), ..holders.clone() };
        told.push(format!("{:?}", authorize(&mut client, &long).await));
        let odd = HeartbeatRequest { write_token: format!("{token}\0"), ..heartbeat("w_1", 1) };
        told.push(format!("{:?}", client.heartbeat(odd).await));
    }
    let beats: Vec<HeartbeatRequest> = tokens
        .iter()
        .map(|token| HeartbeatRequest { write_token: token.clone(), ..heartbeat("w_1", 1) })
        .collect();
    let batch = HeartbeatBatchRequest { heartbeats: beats.clone() };
    told.push(format!("{:?}", client.heartbeat_batch(batch).await.unwrap()));
    let mut stream = KeepAlive::open(&mut client).await;
    for (tag, beat) in (1..).zip(beats) {
        told.push(format!("{:?}", stream.beat(tag, beat).await));
    }
    db.lapse(&claim_id("w_2", 1), Duration::from_secs(1)).await;
    told.push(format!("{:?}", authorize(&mut client, &other).await));

    for (consumer, token) in [("w_1", &tokens[1]), ("w_1", &tokens[2]), ("w_2", &tokens[3])] {
        let over = DoneRequest {
            write_token: token.clone(),
            acked_streams: vec![AckedStream {
                path: format!("/{ACKED}/main"),
                offset: ACKED.into(),
            }],
            ..done(consumer, 1)
        };
        // One after the other: the first token is dead, and the others end their claims.
        let _ = client.done(over.clone()).await;
        told.push(format!("{:?}", client.done(DoneRequest { epoch: 0, ..over }).await));
    }
    told.push(format!("{:?}", stream.push().await));
    for consumer in ["w_1", "w_2"] {
        let read = GetClaimRequest { consumer_id: consumer.into(), epoch: 1, ..Default::default() };
        told.push(format!("{:?}", client.get_claim(read).await.unwrap()));
    }
    told.push(format!("{:?}", client.list_claims(ListClaimsRequest::default()).await.unwrap()));
    let history = ListClaimEventsRequest { page_size: 1_000, ..Default::default() };
    told.push(format!("{:?}", client.list_claim_events(history).await.unwrap()));
    let past = WatchClaimEventsRequest { after_sequence: Some(0), ..Default::default() };
    let mut watch = client.watch_claim_events(past).await.unwrap().into_inner();
    for _ in 0..4 {
        told.push(format!("{:?}", watch.message().await.unwrap()));
    }
    let read = GetEntityRequest { entity_url: "/chat/a".into(), ..Default::default() };
    told.push(format!("{:?}", client.get_entity(read.clone()).await.unwrap()));
    for scheme in ["Bearer ", "bearer", "Basic ", ""] {
        let mut read = tonic::Request::new(read.clone());
        let credential = format!("{scheme}{BEARER}").parse().unwrap();
        read.metadata_mut().insert("authorization", credential);
        told.push(format!("{:?}", client.get_entity(read).await));
    }
    let probes = http_address(server).await;
    for path in ["/metrics", "/livez", "/readyz"] {
        told.push(format!("{:?}", http_get(&probes, path).await));
    }
    (tokens, told.join("\n"))
}

/// The ways in which a program might print bytes.
fn forms(secret: &str) -> Vec<String> {
    let bytes = secret.as_bytes();
    let list = |form: fn(&u8) -> String, between: &str| {
        bytes.iter().map(form).collect::<Vec<_>>().join(between)
    };
    vec![
        secret.to_owned(),
        list(|byte| byte.to_string(), ", "),
        list(|byte| format!("{byte:02x}"), ""),
        list(|byte| format!("{byte:02X}"), ""),
        URL_SAFE_NO_PAD.encode(bytes),
    ]
}

/// What was logged, at most and in that form, of a full run on a new database.
struct Logged {
    db: TestDatabase,
    log: String,
    tokens: Vec<String>,
    told: String,
    /// All that was sent to the collector of traces.
    traced: String,
}

impl Logged {
    async fn run(format: &str) -> Self {
        let db = TestDatabase::in_service().await;
        // The cluster asks for no password, but does not mind one.
        let url = db.url().replacen('@', &format!(":{PASSWORD}@"), 1);
        assert_ne!(url, db.url());
        let (collector, address) = Collector::start().await;
        let mut settings = sends_to(address);
        settings.push(("OTEL_EXPORTER_OTLP_HEADERS", format!("api-key={COLLECTORS}")));
        settings.extend([("RUST_LOG", "trace".into()), ("CLAIM_LOG_FORMAT", format.into())]);
        let server = Server::start_with(&url, &environment(&settings)).await;
        let (tokens, told) = run(&db, &server).await;
        assert_eq!(tokens.len(), 4);
        let log = server.log.clone();
        server.signal("TERM");
        eventually("all is logged", async || log.lock().unwrap().contains("drained")).await;
        let log = log.lock().unwrap().clone();
        assert!(log.contains("TRACE") && log.contains("AuthorizeWrite"), "much is logged");
        let traced = async || collector.words().contains("claim.v1.ClaimService/KeepAlive");
        eventually("the last call is sent", traced).await;
        let traced = collector.words();
        assert!(traced.contains("insert_claims.sql") && traced.contains(COLLECTORS));
        Self { db, log, tokens, told, traced }
    }

    /// Every column of every row, and what the database tells of its sessions.
    async fn stored(&self) -> String {
        let sessions = "SELECT a::text FROM pg_stat_activity a";
        let sessions = self.db.sql.query(sessions, &[]).await.unwrap();
        let sessions: Vec<String> = sessions.iter().map(|row| row.get(0)).collect();
        format!("{:?} {sessions:?}", support::rows::all_rows(&self.db).await)
    }

    /// Panics with the line that has the secret in it.
    fn does_not_hold(&self, what: &str, secret: &str) {
        for form in forms(secret) {
            if let Some(line) = self.log.lines().find(|line| line.contains(&form)) {
                panic!("{what} is in the log: {line}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_token_is_logged_stored_or_told_however_much_is_logged() {
    for format in ["text", "json"] {
        let logged = Logged::run(format).await;
        let stored = logged.stored().await;
        assert!(stored.contains(ACKED), "what is stored is seen");
        let by_the_database = logged.db.server_log();
        for token in &logged.tokens {
            logged.does_not_hold("a write token", token);
            for form in forms(token) {
                assert!(!stored.contains(&form), "a write token is in the database");
                assert!(!by_the_database.contains(&form), "a write token is in its log");
                assert!(!logged.told.contains(&form), "a write token was told");
                assert!(!logged.traced.contains(&form), "a write token is in a trace");
            }
        }
        logged.does_not_hold("the password", PASSWORD);
        logged.does_not_hold("a bearer token", BEARER);
        logged.does_not_hold("the key to the collector", COLLECTORS);
        for form in [PASSWORD, BEARER].into_iter().flat_map(forms) {
            assert!(!stored.contains(&form), "a credential is in the database");
            assert!(!by_the_database.contains(&form), "a credential is in its log");
            assert!(!logged.told.contains(&form), "a credential was told");
            assert!(!logged.traced.contains(&form), "a credential is in a trace");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_ack_is_logged_or_traced_however_much_is_logged() {
    let logged = Logged::run("text").await;
    logged.does_not_hold("an ack", ACKED);
    for form in forms(ACKED) {
        assert!(!logged.traced.contains(&form), "an ack is in a trace");
    }
}

/// Runs a program to its end with as much log as there is.
fn ran(program: &std::path::Path, arguments: &[&str], settings: &[(&str, &str)]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("RUST_LOG", "trace").envs(settings.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("a program");
    let said = [stdout, stderr].concat();
    assert!(!said.is_empty(), "{arguments:?} ends with {status} and says nothing");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_program_prints_the_password_of_its_database_whatever_it_is_asked_to_do() {
    let db = TestDatabase::in_service().await;
    let good = db.url().replacen('@', &format!(":{PASSWORD}@"), 1);
    let file = std::env::temp_dir().join(format!("claim-secret-{}", std::process::id()));
    std::fs::write(&file, &good).unwrap();
    let urls = [
        ("DATABASE_URL", good.clone()),
        ("DATABASE_URL_FILE", file.to_str().unwrap().to_owned()),
        // Nobody is there; there is no such port; no such option; and what was never encoded.
        ("DATABASE_URL", format!("postgres://user:{PASSWORD}@127.0.0.1:1/none")),
        ("DATABASE_URL", format!("postgres://user:{PASSWORD}@127.0.0.1:99999/none")),
        ("DATABASE_URL", format!("{good}?{PASSWORD}={PASSWORD}")),
        ("DATABASE_URL", format!("host=127.0.0.1 password={PASSWORD} {PASSWORD}")),
    ];
    let server = std::path::Path::new(env!("CARGO_BIN_EXE_claim-server"));
    let reaper = reaper_binary();
    for (name, url) in &urls {
        for (program, arguments) in [
            (server, &["migrate"][..]),
            (server, &["migrate", "--check"]),
            (server, &["serve", "--help"]),
            (server, &["serve", "--no-such-flag"]),
            (&reaper, &["--once", "--json"]),
            (&reaper, &["--once", "--dry-run"]),
            (&reaper, &["--help"]),
        ] {
            let said = ran(program, arguments, &[(name, url)]);
            for form in forms(PASSWORD) {
                assert!(!said.contains(&form), "{arguments:?} with {name} says: {said}");
            }
        }
    }
    std::fs::remove_file(&file).unwrap();
}
