//! `claim-server health`: what an orchestrator learns that can only run a command.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claims::testing::TestDatabase;
use std::net::SocketAddr;
use std::process::Output;
use std::time::{Duration, Instant};
use support::probes::http_address;
use support::{PATIENCE, Server, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

/// Nobody listens on port 1.
const AWAY: &str = "postgres://nobody@127.0.0.1:1/none";

/// Asks whoever serves its probes at `address`; exit code, and all that was said. There is nothing
/// else in the environment: no PATH, no DATABASE_URL.
async fn health(address: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_claim-server"))
        .arg("health")
        .args(arguments)
        .env_clear()
        .env("CLAIM_METRICS_LISTEN", address)
        .kill_on_drop(true)
        .output();
    let Output { status, stdout, stderr } =
        timeout(PATIENCE, program).await.expect("in time").expect("it runs");
    let told = [stdout, stderr].concat();
    let told = String::from_utf8(told).expect("UTF-8");
    assert_eq!(told.lines().count(), 1, "one line: {told}");
    (status.code(), told.trim_end().to_owned())
}

/// Somebody who takes every connection, reads the request, and says just that.
async fn somebody(says: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut taken = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(says).await;
            // Never closed.
            taken.push(stream);
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_ready_gives_0_wherever_it_listens() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let address = http_address(&server).await;
    eventually("it is ready", async || health(&address, &[]).await.0 == Some(0)).await;
    assert_eq!(health(&address, &[]).await, (Some(0), "ready".to_owned()));
    let everywhere = address.replace("127.0.0.1:", "0.0.0.0:");
    assert_eq!(health(&everywhere, &[]).await, (Some(0), "ready".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_its_database_is_not_ready_and_alive() {
    let server = Server::start(AWAY).await;
    let address = http_address(&server).await;
    let not_ready = (Some(1), "the database is unavailable".to_owned());
    eventually("it has looked", async || health(&address, &[]).await == not_ready).await;
    assert_eq!(health(&address, &["--live"]).await, (Some(0), "alive".to_owned()));
    server.kill().await;
    let (code, told) = health(&address, &["--live"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains(&address), "it says whom it asked: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_is_not_waited_for_longer_than_the_timeout() {
    let silent = somebody(b"").await.to_string();
    let begun = Instant::now();
    let (code, told) = health(&silent, &["--timeout=300ms"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("300ms"), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(2), "the default was not waited for");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_plain_yes_is_taken_for_a_yes() {
    let strangers: [&'static [u8]; 4] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 5\r\n\r\nmoved",
        b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n",
    ];
    for says in strangers {
        let address = somebody(says).await.to_string();
        let (code, _) = health(&address, &["--timeout=500ms"]).await;
        assert_eq!(code, Some(1), "{}", String::from_utf8_lossy(says));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_on_a_connection_that_is_kept_open_is_an_answer() {
    let keeper = somebody(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nready\n").await;
    assert_eq!(health(&keeper.to_string(), &[]).await, (Some(0), "ready".to_owned()));
}

#[tokio::test]
async fn a_wrong_setting_ends_it_with_64_and_is_named() {
    for (address, arguments, name) in [
        ("127.0.0.1:0", &[][..], "CLAIM_METRICS_LISTEN"),
        ("nowhere", &[], "CLAIM_METRICS_LISTEN"),
        ("127.0.0.1:1", &["--timeout=0"], "--timeout"),
        ("127.0.0.1:1", &["--timeout=1h"], "--timeout"),
    ] {
        let (code, told) = health(address, arguments).await;
        assert_eq!(code, Some(64), "{told}");
        assert!(told.contains(name), "{told}");
    }
}
