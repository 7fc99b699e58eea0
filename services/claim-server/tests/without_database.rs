//! What the program does before, beside and after its calls: settings, health, the drain. Its
//! database is away, or takes connections and never answers.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "how a test fails")]
#![allow(dead_code, unreachable_pub, reason = "shared with the tests that have a database")]

mod support;

use claim_proto::v1::claim_service_client::ClaimServiceClient;
use std::process::Output;
use std::time::{Duration, Instant};
use support::{PATIENCE, Server, eventually, heartbeat, reason};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::time::timeout;
use tonic::Code;
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// Nobody listens on port 1.
const AWAY: &str = "postgres://nobody@127.0.0.1:1/none";

/// Runs the program to its end.
async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let program = Command::new(env!("CARGO_BIN_EXE_claim-server"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .kill_on_drop(true)
        .output();
    timeout(PATIENCE, program).await.expect("it ends in time").expect("it runs")
}

/// What the line must name, the arguments, and the environment.
type Case = (&'static str, &'static [&'static str], &'static [(&'static str, &'static str)]);

#[tokio::test]
async fn a_wrong_setting_ends_the_program_with_64_and_one_line_that_names_it() {
    const URL: (&str, &str) = ("DATABASE_URL", AWAY);
    let cases: &[Case] = &[
        ("DATABASE_URL", &["serve"], &[]),
        ("DATABASE_URL", &["serve"], &[("DATABASE_URL", "not a url")]),
        ("DATABASE_URL_FILE", &["serve"], &[("DATABASE_URL_FILE", "/nowhere/at/all")]),
        ("DATABASE_URL_FILE", &["serve"], &[URL, ("DATABASE_URL_FILE", "/etc/hostname")]),
        ("DATABASE_URL", &["serve"], &[("DATABASE_URL", "postgres://db/d?sslmode=verify-full")]),
        ("DATABASE_URL", &["migrate", "--check"], &[]),
        ("CLAIM_LISTEN", &["serve"], &[URL, ("CLAIM_LISTEN", "here")]),
        ("CLAIM_LISTEN", &["serve", "--listen=127.0.0.1"], &[URL]),
        ("CLAIM_LISTEN", &["serve", "--listen=0.0.0.0:0"], &[URL]),
        ("CLAIM_LISTEN", &["serve", "--listen=[::]:0"], &[URL, ("CLAIM_ALLOW_PLAINTEXT", "false")]),
        ("CLAIM_ALLOW_PLAINTEXT", &["serve"], &[URL, ("CLAIM_ALLOW_PLAINTEXT", "perhaps")]),
        ("CLAIM_TLS_KEY", &["serve", "--tls-cert=/nowhere/at/all"], &[URL]),
        ("CLAIM_TLS_CERT", &["serve", "--tls-cert=/nowhere/at/all", "--tls-key=/nor"], &[URL]),
        ("CLAIM_TLS_CLIENT_AUTH", &["serve"], &[URL, ("CLAIM_TLS_CLIENT_AUTH", "maybe")]),
        ("CLAIM_TLS_RELOAD_INTERVAL", &["serve", "--tls-reload-interval=1ms"], &[URL]),
        ("CLAIM_CONNECTIONS_MAX", &["serve"], &[URL, ("CLAIM_CONNECTIONS_MAX", "0")]),
        ("CLAIM_HANDSHAKE_TIMEOUT", &["serve", "--handshake-timeout=0"], &[URL]),
        ("CLAIM_CONNECTION_IDLE", &["serve", "--connection-idle=2d"], &[URL]),
        ("CLAIM_WRITE_TIMEOUT", &["serve", "--write-timeout=1h"], &[URL]),
        ("CLAIM_METRICS_LISTEN", &["serve"], &[URL, ("CLAIM_METRICS_LISTEN", "")]),
        ("CLAIM_OUTAGE_GRACE", &["serve"], &[URL, ("CLAIM_OUTAGE_GRACE", "30")]),
        ("CLAIM_OUTAGE_GRACE", &["serve", "--outage-grace=2d"], &[URL]),
        ("CLAIM_SHUTDOWN_GRACE", &["serve"], &[URL, ("CLAIM_SHUTDOWN_GRACE", "-1s")]),
        ("CLAIM_LOG_FORMAT", &["serve"], &[URL, ("CLAIM_LOG_FORMAT", "xml")]),
        ("CLAIM_POLICY_FILE", &["serve", "--listen=0.0.0.0:0", "--allow-plaintext"], &[URL]),
        ("CLAIM_POLICY_FILE", &["serve"], &[URL, ("CLAIM_POLICY_FILE", "/nowhere/at/all")]),
        ("CLAIM_POLICY_FILE", &["serve"], &[URL, ("CLAIM_TOKENS_FILE", "/etc/hostname")]),
        ("CLAIM_JWT_ISSUER", &["serve"], &[URL, ("CLAIM_JWKS_FILE", "/etc/hostname")]),
        ("CLAIM_JWT_ALGORITHMS", &["serve"], &[URL, ("CLAIM_JWT_ALGORITHMS", "HS256")]),
        ("CLAIM_ALLOW_ANONYMOUS", &["serve"], &[URL, ("CLAIM_ALLOW_ANONYMOUS", "maybe")]),
        ("RUST_LOG", &["serve"], &[URL, ("RUST_LOG", "claims=loud")]),
        ("--steal", &["serve", "--steal"], &[URL]),
        ("subcommand", &[], &[]),
    ];
    for (name, arguments, environment) in cases {
        let output = run(arguments, environment).await;
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{name}: {told}");
        assert!(told.contains(name), "{name}: {told}");
        assert_eq!(told.lines().count(), 1, "{name}: {told}");
        assert_eq!(output.stdout, b"", "{name}");
    }
}

#[tokio::test]
async fn help_and_version_are_complete() {
    let version = run(&["--version"], &[]).await;
    let version = String::from_utf8(version.stdout).unwrap();
    let expected = format!("claim-server {} (", env!("CARGO_PKG_VERSION"));
    assert!(version.starts_with(&expected), "{version}");

    let help = run(&["--help"], &[]).await;
    let help = String::from_utf8(help.stdout).unwrap();
    for word in ["serve", "migrate", "dev", "DATABASE_URL", "DATABASE_URL_FILE", "RUST_LOG", "64"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    let help = run(&["serve", "--help"], &[]).await;
    assert_eq!(help.status.code(), Some(0));
    let help = String::from_utf8(help.stdout).unwrap();
    for word in [
        "DATABASE_URL",
        "DATABASE_URL_FILE",
        "RUST_LOG",
        "CLAIM_LISTEN",
        "CLAIM_POLICY_FILE",
        "CLAIM_TOKENS_FILE",
        "CLAIM_JWKS_FILE",
        "CLAIM_JWKS_URL",
        "CLAIM_JWT_ISSUER",
        "CLAIM_JWT_AUDIENCE",
        "CLAIM_JWT_ALGORITHMS",
        "CLAIM_ALLOW_ANONYMOUS",
        "CLAIM_METRICS_LISTEN",
        "CLAIM_OUTAGE_GRACE",
        "CLAIM_SHUTDOWN_GRACE",
        "CLAIM_TLS_CERT",
        "CLAIM_TLS_KEY",
        "CLAIM_TLS_CLIENT_CA",
        "CLAIM_TLS_CLIENT_AUTH",
        "CLAIM_TLS_RELOAD_INTERVAL",
        "CLAIM_ALLOW_PLAINTEXT",
        "CLAIM_CONNECTIONS_MAX",
        "CLAIM_HANDSHAKE_TIMEOUT",
        "CLAIM_CONNECTION_IDLE",
        "CLAIM_WRITE_TIMEOUT",
        "CLAIM_LOG_FORMAT",
        "127.0.0.1:50051",
        "127.0.0.1:9464",
    ] {
        assert!(help.contains(word), "{word}: {help}");
    }
}

#[tokio::test]
async fn a_migration_without_a_database_fails_and_a_check_says_that_it_cannot_know() {
    let database: &[(&str, &str)] = &[("DATABASE_URL", AWAY)];
    assert_eq!(run(&["migrate"], database).await.status.code(), Some(1));
    assert_eq!(run(&["migrate", "--check"], database).await.status.code(), Some(2));
}

#[tokio::test]
async fn an_address_in_use_ends_the_program_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run(&["serve"], &[("DATABASE_URL", AWAY), ("CLAIM_LISTEN", &address)]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains(&address));
}

/// The address of `/livez` and `/readyz`, from the log.
async fn probes_of(server: &Server) -> String {
    let address = || {
        let log = server.log.lock().unwrap().clone();
        let (_, rest) = log.split_once("probes on ")?;
        Some(rest.split_whitespace().next()?.to_owned())
    };
    eventually("the probes are announced", || async { address().is_some() }).await;
    address().unwrap()
}

/// The status line and the body of a plain HTTP request.
async fn http_get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn channel(server: &Server) -> Channel {
    let address = format!("http://{}", server.address);
    Channel::from_shared(address).unwrap().connect().await.unwrap()
}

async fn health_client(server: &Server) -> HealthClient<Channel> {
    HealthClient::new(channel(server).await)
}

#[tokio::test]
async fn a_server_whose_database_is_away_lives_but_does_not_serve() {
    let mut server = Server::start(AWAY).await;
    let refused = server.client().await.heartbeat(heartbeat("w_1", 1)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(reason(&refused), "DATABASE_UNAVAILABLE");

    let mut health = health_client(&server).await;
    for service in ["", "claim.v1.ClaimService", "claim.v1.ClaimAdminService"] {
        let asked = HealthCheckRequest { service: service.to_owned() };
        let status = health.check(asked).await.unwrap().into_inner().status;
        assert_eq!(status, i32::from(NOT_SERVING), "{service:?}");
    }
    let asked = HealthCheckRequest { service: "claim.v1.Unheard".to_owned() };
    assert_eq!(health.check(asked).await.unwrap_err().code(), Code::NotFound);

    let probes = probes_of(&server).await;
    assert!(http_get(&probes, "/livez").await.starts_with("HTTP/1.1 200 "));
    eventually("it says why it is not ready", || async {
        let answer = http_get(&probes, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        answer.ends_with("the database is unavailable")
    })
    .await;
    assert!(http_get(&probes, "/metrics/none").await.starts_with("HTTP/1.1 404 "));
    assert!(server.child.try_wait().unwrap().is_none(), "it waits for its database");
}

const NOT_SERVING: tonic_health::pb::health_check_response::ServingStatus =
    tonic_health::pb::health_check_response::ServingStatus::NotServing;

#[tokio::test]
async fn a_server_ends_soon_although_a_health_watch_and_a_mute_peer_stay() {
    let mut server = Server::start(AWAY).await;
    let mut health = health_client(&server).await;
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mute = TcpStream::connect(server.address).await.unwrap();
    let asked = Instant::now();
    server.signal("TERM");
    let ended = timeout(PATIENCE, server.child.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "the shutdown grace of 20 s is not used up");
    drop((watch, mute));
}

#[tokio::test]
async fn reflection_names_every_service_in_both_versions() {
    let server = Server::start(AWAY).await;
    let channel = channel(&server).await;
    let expected = ["claim.v1.ClaimAdminService", "claim.v1.ClaimService", "grpc.health.v1.Health"];

    macro_rules! listed {
        ($version:ident) => {{
            use tonic_reflection::pb::$version as pb;
            let request = pb::ServerReflectionRequest {
                message_request: Some(pb::server_reflection_request::MessageRequest::ListServices(
                    String::new(),
                )),
                ..Default::default()
            };
            let mut client =
                pb::server_reflection_client::ServerReflectionClient::new(channel.clone());
            let requests = futures_util::stream::iter([request]);
            let mut answers = client.server_reflection_info(requests).await.unwrap().into_inner();
            let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
            let pb::server_reflection_response::MessageResponse::ListServicesResponse(list) =
                answer
            else {
                panic!("{answer:?}");
            };
            list.service.into_iter().map(|service| service.name).collect::<Vec<_>>()
        }};
    }
    for names in [listed!(v1), listed!(v1alpha)] {
        for name in expected {
            assert!(names.iter().any(|listed| listed == name), "{name}: {names:?}");
        }
    }
}

/// A database that takes connections and never answers.
async fn black_hole() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url =
        format!("postgres://nobody@{}/none?connect_timeout=60", listener.local_addr().unwrap());
    (listener, url)
}

#[tokio::test]
async fn a_draining_server_refuses_new_calls_and_gives_those_in_flight_the_shutdown_grace() {
    let (_listener, url) = black_hole().await;
    let mut server = Server::start_with(&url, &[("CLAIM_SHUTDOWN_GRACE", "2s")]).await;
    let other = server.client().await;
    let channel = channel(&server).await;
    let mut client = ClaimServiceClient::new(channel.clone());
    let in_flight = tokio::spawn(async move { client.heartbeat(heartbeat("w_1", 1)).await });
    tokio::task::yield_now().await;
    // On the same connection: when the later call has its answer, the earlier one has arrived.
    HealthClient::new(channel).check(HealthCheckRequest::default()).await.unwrap();

    let asked = Instant::now();
    server.signal("TERM");
    eventually("a new call is turned away", || {
        let mut other = other.clone();
        async move {
            let mut request = tonic::Request::new(heartbeat("w_2", 1));
            request.set_timeout(Duration::from_millis(100));
            let refused = other.heartbeat(request).await.unwrap_err();
            refused.code() == Code::Unavailable && reason(&refused) == "DRAINING"
        }
    })
    .await;
    assert!(!in_flight.is_finished(), "the call in flight has time left");
    let ended = timeout(PATIENCE, server.child.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0));
    let drained = asked.elapsed();
    assert!(
        (Duration::from_millis(1900)..Duration::from_secs(8)).contains(&drained),
        "{drained:?}"
    );
}

#[tokio::test]
async fn a_second_signal_ends_the_program_at_once() {
    let (_listener, url) = black_hole().await;
    let mut server = Server::start(&url).await;
    let mut client = server.client().await;
    let _in_flight = tokio::spawn(async move { client.heartbeat(heartbeat("w_1", 1)).await });
    server.signal("TERM");
    let log = server.log.clone();
    eventually("the drain begins", || async { log.lock().unwrap().contains("draining") }).await;
    server.signal("INT");
    let ended = timeout(PATIENCE, server.child.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(130));
}
