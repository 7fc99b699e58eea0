//! A client that sends and does not read: the server stops reading it, and serves the others.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{HeartbeatRequest, KeepAliveRequest, RevokeClaimRequest};
use claims::testing::{TestDatabase, claim_id};
use futures_util::stream;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::streams::{KeepAlive, may_go_on};
use support::{Client, PATIENCE, Server, heartbeat, mint};
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;

/// More than any buffer on the way holds.
const HEARTBEATS: u64 = 200_000;
/// As many answers as fit into the windows of the client, with some that are under way; measured,
/// some 1 500.
const ACCEPTED_MAX: u64 = 10_000;
/// Memory of the server that such a client may cost; measured, less than 2 MiB.
const KIB_MAX: u64 = 4 * 1024;
/// Has the allocator take memory by small pages. By huge ones it grows in steps of 2 MiB, used or not.
const SMALL_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

/// A client that takes no more of one call than HTTP/2 allows without asking.
async fn client_with_small_windows(address: SocketAddr) -> Client {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
    let endpoint = endpoint.initial_stream_window_size(65_535);
    ClaimServiceClient::new(endpoint.connect().await.expect("a connection"))
}

/// Resident memory of the server.
fn resident_kib(server: &Server) -> u64 {
    let pid = server.child.id().expect("a running process");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a size");
    line.split_whitespace().nth(1).expect("a size").parse().expect("a number")
}

/// Waits until a number has not moved for half a second.
async fn at_rest(number: impl AsyncFn() -> u64) -> u64 {
    let begin = Instant::now();
    loop {
        let before = number().await;
        sleep(Duration::from_millis(500)).await;
        if number().await == before {
            return before;
        }
        assert!(begin.elapsed() < PATIENCE, "it never comes to rest");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_not_read_from_and_the_server_does_not_grow() {
    let db = TestDatabase::in_service().await;
    let server = Server::start_with(db.url(), &[SMALL_PAGES]).await;
    let mut others = server.client().await;
    others.mint(mint("/chat/a", "w_1")).await.unwrap();
    others.mint(mint("/chat/b", "w_2")).await.unwrap();
    let mut slow = client_with_small_windows(server.address).await;

    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let requests = stream::iter((1..=HEARTBEATS).map(move |tag| {
        counted.store(tag, Ordering::SeqCst);
        // What was served last is seen in the database.
        let heartbeat = HeartbeatRequest { progress: Some(tag.to_string()), ..heartbeat("w_1", 1) };
        KeepAliveRequest { tag, heartbeat: Some(heartbeat) }
    }));
    // As it is before anything of size has happened to it.
    let before = resident_kib(&server);
    let answers = slow.keep_alive(requests).await.unwrap();
    let mut answers = answers.into_inner();
    let id = claim_id("w_1", 1);
    let accepted = async || {
        let progress = db.lease_column(&id, "progress").await;
        progress.map_or(0, |progress| progress.parse().expect("a number"))
    };
    assert!(at_rest(async || sent.load(Ordering::SeqCst)).await < HEARTBEATS, "it has to wait");
    let served = at_rest(accepted).await;
    assert!((1..ACCEPTED_MAX).contains(&served), "{served} heartbeats were accepted");
    let grown = resident_kib(&server).saturating_sub(before);
    println!("{served} heartbeats were accepted, {grown} KiB more are resident");
    assert!(grown < KIB_MAX, "{grown} KiB more");

    // The server serves others, the same client's other calls among them.
    others.heartbeat(heartbeat("w_2", 1)).await.unwrap();
    let unary = timeout(PATIENCE, slow.clone().heartbeat(heartbeat("w_1", 1))).await;
    assert!(unary.is_ok_and(|answer| answer.is_ok()));

    // Whoever reads in the end gets every answer, and the server reads on.
    let mut unanswered: BTreeSet<u64> = (1..=ACCEPTED_MAX).collect();
    while !unanswered.is_empty() {
        let answer = answers.message().await.expect("a stream that goes on").expect("an answer");
        unanswered.remove(&answer.tag);
        assert!(may_go_on(&support::streams::outcome(answer)));
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_not_read_delays_nobody_elses_push_and_no_drain() {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start(db.url()).await;
    let mut client = server.client().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    let mut quick = KeepAlive::open(&mut client).await;
    assert!(may_go_on(&quick.beat(1, heartbeat("w_1", 1)).await));
    let mut slow = client_with_small_windows(server.address).await;
    let requests = stream::iter(
        (1..=HEARTBEATS).map(|tag| KeepAliveRequest { tag, heartbeat: Some(heartbeat("w_1", 1)) }),
    );
    let unread = slow.keep_alive(requests).await.unwrap();
    sleep(Duration::from_secs(1)).await;

    let request = RevokeClaimRequest { consumer_id: "w_1".into(), epoch: 1, ..Default::default() };
    support::admin(server.address).await.revoke_claim(request).await.unwrap();
    let pushed = timeout(Duration::from_secs(2), quick.push()).await.expect("a push in time");
    assert_eq!(pushed.outcome.unwrap_err().reason, "CLAIM_REVOKED");

    // The grace is 20 s. A stream that cannot be told is cut off long before.
    let asked = Instant::now();
    server.signal("TERM");
    let ended = timeout(PATIENCE, server.child.wait()).await;
    assert!(ended.expect("it ends in time").expect("a process").success());
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    drop(unread);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_on_which_nothing_happens_costs_little() {
    /// Two connections carry them.
    const STREAMS: usize = 2_000;
    /// Memory of the server for each of them, its share of a connection included.
    const BYTES_MAX: u64 = 24 * 1024;
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    // What the first stream alone brings with it is not counted.
    let mut clients = [server.client().await, server.client().await];
    let mut streams = vec![KeepAlive::open(&mut clients[0]).await];
    clients[0].mint(mint("/chat/a", "w_1")).await.unwrap();
    assert!(may_go_on(&streams[0].beat(1, heartbeat("w_1", 1)).await));
    let before = resident_kib(&server);
    for number in 0..STREAMS {
        streams.push(KeepAlive::open(&mut clients[number % 2]).await);
    }
    let each = (resident_kib(&server) - before) * 1024 / u64::try_from(STREAMS).unwrap();
    println!("{each} bytes for each idle stream");
    assert!(each < BYTES_MAX, "{each} bytes");
}
