//! `claim-reaper health`: what an orchestrator learns that can only run a command. How it asks is
//! tested with the server's, which shares it.

use crate::support::{AWAY, Probes, Running, run};
use claims::testing::{TestDatabase, eventually};

/// Asks whoever serves its probes there; exit code and the line on standard output.
async fn health(address: &str, arguments: &[&str]) -> (i32, String) {
    let environment = [("CLAIM_METRICS_LISTEN", address), ("CLAIM_REAPER_INTERVAL", "1s")];
    let ended = run(&[&["health"], arguments].concat(), &environment).await;
    (ended.code, ended.stdout.trim_end().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_passes_come_to_their_end_gives_0() {
    let db = TestDatabase::in_service().await;
    let mut daemon = Running::daemon(db.url(), &[]);
    let address = Probes::of(&daemon).await.address().to_owned();
    eventually("it is ready", async || health(&address, &[]).await.0 == 0).await;
    assert_eq!(health(&address, &["--live"]).await, (0, "alive".to_owned()));
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
    let (code, told) = health(&address, &[]).await;
    assert!(code == 1 && told.contains(&address), "{code} {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_without_its_database_gives_1_and_is_alive() {
    let mut daemon = Running::daemon(AWAY, &[]);
    let address = Probes::of(&daemon).await.address().to_owned();
    let (code, told) = health(&address, &[]).await;
    assert_eq!((code, told.as_str()), (1, "no pass has come to its end yet"));
    assert_eq!(health(&address, &["--live"]).await, (0, "alive".to_owned()));
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
}

#[tokio::test]
async fn a_flag_of_the_daemon_beside_it_is_a_wrong_setting() {
    for arguments in [&["--once", "health"][..], &["health", "--once"], &["health", "--timeout=0"]]
    {
        let ended = run(arguments, &[]).await;
        assert_eq!(ended.code, 64, "{arguments:?}: {ended:?}");
    }
}
