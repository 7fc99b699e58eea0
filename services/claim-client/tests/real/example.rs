//! The example, as a reader would run it.

use crate::support::programs::{Reaper, Server, example};
use claims::testing::TestDatabase;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

async fn fleet(addresses: &str, flags: &[&str]) -> (bool, String) {
    fleet_within(Duration::from_secs(120), addresses, flags).await
}

async fn fleet_within(longest: Duration, addresses: &str, flags: &[&str]) -> (bool, String) {
    let running = Command::new(example("runner"))
        .arg(format!("--address={addresses}"))
        .args(flags)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = timeout(longest, running).await.expect("it ends in time");
    let ended = ended.expect("the example runs");
    let text = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8(text).expect("UTF-8"))
}

#[tokio::test]
async fn a_fleet_whose_runners_are_killed_does_every_piece_of_work_once() {
    let db = TestDatabase::in_service().await;
    let servers = [Server::start(db.url()).await, Server::start(db.url()).await];
    let addresses = format!("{},{}", servers[0].url(), servers[1].url());
    let flags = [
        "--entities=12",
        "--runners=3",
        "--slots=3",
        "--kill-every=800ms",
        "--pause-every=1s",
        "--run-for=10s",
        "--step-time=200ms",
        "--lease=2s",
    ];
    let (is_even, text) = fleet(&addresses, &flags).await;
    assert!(is_even, "{text}");
    assert!(text.contains("finished exactly as often as the claims say: once"), "{text}");
    assert!(text.contains("no two holders were allowed to write at the same time"), "{text}");
    let killed = "SELECT count(*) FROM consumer_claims WHERE state NOT IN ('released')";
    assert!(db.number(killed).await > 0, "some were killed at work: {text}");
    db.check_invariants().await;
}

/// Two hundred entities, twenty runners, two servers that are killed in turn, and a reaper.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "four minutes; scripts/test-fleet runs it"]
async fn a_large_fleet_is_killed_for_minutes_and_does_every_piece_of_work_once() {
    let db = TestDatabase::in_service().await;
    let mut servers = [Server::start(db.url()).await, Server::start(db.url()).await];
    let addresses = format!("{},{}", servers[0].url(), servers[1].url());
    let _reaper = Reaper::start(db.url());
    let flags = [
        "--entities=200",
        "--runners=20",
        "--slots=6",
        "--kill-every=2s",
        "--pause-every=3s",
        "--run-for=3m",
        "--lease=5s",
    ];
    let running = fleet_within(Duration::from_secs(420), &addresses, &flags);
    let (is_even, text) = tokio::select! {
        ended = running => ended,
        () = kill_in_turn(&mut servers, db.url()) => unreachable!("it goes on"),
    };
    println!("{text}");
    assert!(is_even, "{text}");
    assert!(text.contains("no two holders were allowed to write at the same time"), "{text}");
    db.check_invariants().await;
}

/// Kills one server after the other, and starts it again at its old address.
async fn kill_in_turn(servers: &mut [Server], database_url: &str) {
    loop {
        for server in &mut *servers {
            tokio::time::sleep(Duration::from_secs(20)).await;
            let address = server.address.to_string();
            server.kill().await;
            *server = Server::start_at(database_url, &address).await;
        }
    }
}

#[tokio::test]
async fn the_example_explains_itself() {
    let (is_good, text) = fleet("http://127.0.0.1:1", &["--help"]).await;
    assert!(is_good && text.contains("--kill-every"), "{text}");
}
