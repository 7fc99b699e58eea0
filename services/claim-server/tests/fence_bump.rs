//! `claim-server fence-bump`: what operators see of it. What it does to a database is tested in the
//! store (`services/claims/tests/store/restore.rs`), and for real by `scripts/test-restore`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claims::testing::TestDatabase;
use serde_json::{Value, json};
use std::process::Output;
use support::rows::all_rows;
use support::{PATIENCE, Server, authorize, eventually, mint, reason};
use tokio::process::Command;
use tokio::time::timeout;

/// Runs it to its end: exit code, standard output, log.
async fn fence_bump(db: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_claim-server"))
        .arg("fence-bump")
        .args(arguments)
        .env("DATABASE_URL", db.url())
        .kill_on_drop(true)
        .output();
    let Output { status, stdout, stderr } =
        timeout(PATIENCE, program).await.expect("in time").expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

fn line(told: &str) -> Value {
    assert_eq!(told.lines().count(), 1, "one line: {told}");
    serde_json::from_str(told).expect("JSON")
}

/// As a restore leaves it: no server has signed for a while.
async fn no_server_has_signed(db: &TestDatabase) {
    let old =
        "UPDATE service_liveness SET last_signed_at = clock_timestamp() - interval '1 minute'";
    db.sql.batch_execute(old).await.expect("a signature of long ago");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_refuses_while_a_server_is_at_work_and_then_ends_every_claim_and_token() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let held = client.mint(mint("/chat/a", "w_1")).await.expect("a claim").into_inner();

    let (code, told, log) = fence_bump(&db, &[]).await;
    assert_eq!((code, told.as_str()), (Some(1), ""), "{log}");
    assert!(log.contains("stop every server first"), "{log}");
    authorize(&mut client, &held).await.expect("nothing was done");
    let (code, told, _) = fence_bump(&db, &["--dry-run"]).await;
    assert_eq!((code, &line(&told)["servers_at_work"]), (Some(0), &json!(true)));

    server.kill().await;
    no_server_has_signed(&db).await;
    let before = all_rows(&db).await;
    let (code, told, _) = fence_bump(&db, &["--dry-run"]).await;
    let expected = json!({
        "dry_run": true, "entities": 1, "epoch_marks": 1, "live_claims": 1,
        "servers_at_work": false, "clock_is_behind": false,
    });
    assert_eq!((code, line(&told)), (Some(0), expected));
    assert_eq!(all_rows(&db).await, before, "a dry run changes nothing");

    eventually("its sessions have ended", async || fence_bump(&db, &[]).await.0 == Some(0)).await;
    let (code, told, _) = fence_bump(&db, &[]).await;
    let bumped = line(&told);
    assert_eq!(code, Some(0), "it may be repeated");
    assert_eq!((&bumped["dry_run"], &bumped["failed"]), (&json!(false), &json!(0)));
    db.check_invariants().await;

    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let refused = authorize(&mut client, &held).await.expect_err("the token is dead");
    assert_eq!(reason(&refused), "WRITE_TOKEN_INVALID");
    let next = client.mint(mint("/chat/a", "w_2")).await.expect("a claim").into_inner();
    let fence = next.claim.expect("a claim").fence;
    assert!(fence > bumped["raised_to"].as_i64().expect("a number"), "{fence}, {bumped}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_and_nothing_is_begun() {
    let db = TestDatabase::new().await;
    for by in ["--by=0", "--by=-1", "--by=1000000000001", "--by=many"] {
        let (code, told, log) = fence_bump(&db, &[by]).await;
        assert_eq!((code, told.as_str()), (Some(64), ""), "{by}: {log}");
        assert!(log.contains("--by"), "{log}");
    }
    assert_eq!(db.number("SELECT raised_to FROM number_floor").await, 0);
}
