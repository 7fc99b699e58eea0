//! Servers that are killed, drained or stopped.

use crate::support::programs::Server;
use crate::support::{TTL, claim, client, heard, in_time, may_write, mint};
use claim_client::{Client, Done};
use claims::testing::TestDatabase;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_claim_outlives_its_server_being_killed_and_started_again() {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start(db.url()).await;
    let address = server.address.to_string();
    let client = client(&[server.url()]);
    let guard = client.mint(claim("w_1").lease_ttl(TTL * 3)).await.unwrap();
    heard(&client, &guard).await;
    server.kill().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let _server = Server::start_at(db.url(), &address).await;
    let begin = Instant::now();
    while begin.elapsed() < TTL * 4 {
        assert!(may_write(&guard), "it came back in time");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!guard.cancellation().is_cancelled());
    guard.done(Done::completed()).await.unwrap();
    db.check_invariants().await;
}

#[tokio::test]
async fn a_killed_server_leaves_its_claims_to_the_other() {
    let db = TestDatabase::in_service().await;
    let mut servers = [Server::start(db.url()).await, Server::start(db.url()).await];
    let client = client(&[servers[0].url(), servers[1].url()]);
    let guard = mint(&client, "w_1").await;
    heard(&client, &guard).await;
    // Each in its turn, so that the claim is at the killed one at least once.
    for server in &mut servers {
        let address = server.address.to_string();
        server.kill().await;
        watch(&client, &guard, TTL).await;
        *server = Server::start_at(db.url(), &address).await;
    }
}

#[tokio::test]
async fn a_drained_server_hands_its_claims_over_without_any_lapse() {
    let db = TestDatabase::in_service().await;
    let mut servers = [Server::start(db.url()).await, Server::start(db.url()).await];
    let client = client(&[servers[0].url(), servers[1].url()]);
    let mut guards = Vec::new();
    for n in 0..20 {
        guards.push(mint(&client, &format!("w_{n}")).await);
    }
    heard(&client, &guards[0]).await;
    for server in &mut servers {
        let address = server.address.to_string();
        server.signal("TERM");
        let begin = Instant::now();
        while begin.elapsed() < TTL {
            for guard in &guards {
                assert!(may_write(guard), "{:?}", guard.state());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        server.ended().await;
        *server = Server::start_at(db.url(), &address).await;
    }
    let lapsed = "SELECT count(*) FROM claim_leases WHERE lease_expires_at <= clock_timestamp()";
    assert_eq!(db.number(lapsed).await, 0);
}

#[tokio::test]
async fn a_server_that_hangs_is_left_for_the_other() {
    let db = TestDatabase::in_service().await;
    let servers = [Server::start(db.url()).await, Server::start(db.url()).await];
    let client = client(&[servers[0].url(), servers[1].url()]);
    let guard = client.mint(claim("w_1").lease_ttl(Duration::from_secs(12))).await.unwrap();
    heard(&client, &guard).await;
    for server in &servers {
        server.signal("STOP");
        watch(&client, &guard, Duration::from_secs(13)).await;
        server.signal("CONT");
    }
}

/// The claim is held for that long, and the service answers.
async fn watch(client: &Client, guard: &claim_client::ClaimGuard, length: Duration) {
    let begin = Instant::now();
    while begin.elapsed() < length {
        assert!(may_write(guard), "{:?}", guard.state());
        let seen = in_time("an answer", client.get_claim(guard.id())).await;
        assert!(!seen.expect("a claim").lapsed);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
