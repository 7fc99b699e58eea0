//! The file of quotas: checked before anything is served, and read again when it changes.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::GetEntityRequest;
use claims::testing::TestDatabase;
use std::path::Path;
use std::process::Output;
use support::quota_file::QuotaFile;
use support::{Client, PATIENCE, Server, eventually, mint};
use tokio::process::Command;

/// Runs the server with a file of quotas for as long as it wants to.
async fn serve(file: &Path) -> (Option<i32>, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_claim-server"))
        .arg("serve")
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none")
        .env("CLAIM_LISTEN", "127.0.0.1:0")
        .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
        .env("CLAIM_QUOTA_FILE", file)
        .kill_on_drop(true)
        .output();
    let Output { status, stdout, stderr } =
        tokio::time::timeout(PATIENCE, program).await.expect("in time").expect("it runs");
    assert!(stdout.is_empty(), "it was never ready");
    (status.code(), String::from_utf8(stderr).expect("text"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_used_ends_the_program_before_it_serves() {
    for (text, told) in [
        ("[default_tenant]\ncalls_per_minute = 5", "calls_per_minute"),
        ("[tenant.a]\nlive_claims = -1", "line 2"),
        ("[tenant.a]\ncalls_per_second = 0", "tenant.\"a\".calls_per_second"),
        ("[default_tenant]\nstreams = 5", "default_tenant.streams"),
        ("surprise = true", "surprise"),
    ] {
        let file = QuotaFile::saying(text);
        let (code, said) = serve(file.path()).await;
        assert_eq!(code, Some(64), "{text}: {said}");
        assert!(said.starts_with("CLAIM_QUOTA_FILE: ") && said.contains(told), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let missing = std::env::temp_dir().join("claim-quotas-that-are-not-there.toml");
    let (code, said) = serve(&missing).await;
    assert_eq!((code, said.lines().count()), (Some(64), 1), "{said}");
}

/// Whether the default tenant may not read ten times at once.
async fn is_limited(client: &mut Client) -> bool {
    for _ in 0..10 {
        let read = GetEntityRequest { entity_url: "/a".into(), ..Default::default() };
        if client.get_entity(read).await.is_err() {
            return true;
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_counts_without_a_restart_and_a_broken_one_does_not() {
    let db = TestDatabase::in_service().await;
    let file = QuotaFile::saying("");
    let server = Server::start_with(db.url(), &file.setting()).await;
    let mut client = server.client().await;
    client.mint(mint("/a", "w_1")).await.unwrap();
    assert!(!is_limited(&mut client).await);

    file.say("[default_tenant]\ncalls_per_second = 1");
    eventually("the limit counts", async || is_limited(&mut client.clone()).await).await;

    let lines = |words: &str| {
        let log = server.log.lock().expect("a log");
        log.lines().filter(|line| line.contains(words)).count()
    };
    file.say("[default_tenant]\ncalls_per_second = 0");
    eventually("it is told", async || lines("must be 1 to 1000000") > 0).await;
    assert!(is_limited(&mut client).await, "what was read before stays");
    file.remove();
    eventually("it is told", async || lines("what was read before stays") > 1).await;
    assert!(is_limited(&mut client).await);

    file.say("");
    eventually("no limit any more", async || !is_limited(&mut client.clone()).await).await;
    assert_eq!(lines("must be 1 to 1000000"), 1, "once, and not with every look");
    assert_eq!(lines("what was read before stays"), 2);
}
