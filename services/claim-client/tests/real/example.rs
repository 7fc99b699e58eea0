//! The example, as a reader would run it.

use crate::support::programs::{Server, example};
use claims::testing::TestDatabase;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

async fn fleet(addresses: &str, flags: &[&str]) -> (bool, String) {
    let running = Command::new(example("runner"))
        .arg(format!("--address={addresses}"))
        .args(flags)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = timeout(Duration::from_secs(120), running).await.expect("it ends in time");
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
        "--run-for=10s",
        "--step-time=200ms",
        "--lease=2s",
    ];
    let (is_even, text) = fleet(&addresses, &flags).await;
    assert!(is_even, "{text}");
    assert!(text.contains("finished exactly as often as the claims say: once"), "{text}");
    let killed = "SELECT count(*) FROM consumer_claims WHERE state NOT IN ('released')";
    assert!(db.number(killed).await > 0, "some were killed at work: {text}");
    db.check_invariants().await;
}

#[tokio::test]
async fn the_example_explains_itself() {
    let (is_good, text) = fleet("http://127.0.0.1:1", &["--help"]).await;
    assert!(is_good && text.contains("--kill-every"), "{text}");
}
