//! `claim-server migrate`: a database is brought to the program's schema, once, whoever asks.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use claims::testing::TestDatabase;
use std::process::Output;
use support::probes::{all_are, health, http_address, http_get};
use support::rows::all_rows;
use support::{PATIENCE, Server, eventually, mint};
use tokio::process::Command;
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

/// Runs `claim-server migrate` to its end.
async fn migrate(db: &TestDatabase, arguments: &[&str]) -> (Option<i32>, String) {
    let program = Command::new(env!("CARGO_BIN_EXE_claim-server"))
        .arg("migrate")
        .args(arguments)
        .env("DATABASE_URL", db.url())
        .kill_on_drop(true)
        .output();
    let Output { status, stdout, stderr } =
        tokio::time::timeout(PATIENCE, program).await.expect("in time").expect("it runs");
    let told = String::from_utf8(stdout).unwrap();
    assert!(told.lines().count() <= 1, "one line: {told}");
    (status.code(), format!("{told}{}", String::from_utf8(stderr).unwrap()))
}

/// Columns, indexes, constraints and triggers: what a schema is made of.
async fn schema(db: &TestDatabase) -> Vec<String> {
    let query = "
        SELECT table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable AS part
            FROM information_schema.columns WHERE table_schema = 'public'
        UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
            WHERE connamespace = 'public'::regnamespace
        ORDER BY part";
    let parts = db.sql.query(query, &[]).await.unwrap();
    parts.iter().map(|part| part.get(0)).collect()
}

async fn steps(db: &TestDatabase) -> i64 {
    db.number("SELECT count(*) FROM __diesel_schema_migrations").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_whether_steps_are_missing_and_changes_nothing() {
    let db = TestDatabase::empty().await;
    let (code, told) = migrate(&db, &["--check"]).await;
    assert_eq!(code, Some(1), "{told}");
    for step in ["entities", "claims", "events", "liveness"] {
        assert!(told.contains(step), "{step}: {told}");
    }
    assert!(schema(&db).await.iter().all(|part| part.contains("__diesel")), "nothing was made");

    assert_eq!(migrate(&db, &[]).await.0, Some(0));
    assert_eq!(migrate(&db, &["--check"]).await.0, Some(0));
    db.sql
        .batch_execute(
            "DELETE FROM __diesel_schema_migrations
             WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
        )
        .await
        .unwrap();
    let (code, told) = migrate(&db, &["--check"]).await;
    assert_eq!(code, Some(1), "one step is enough");
    assert!(told.starts_with("missing: ") && !told.contains(','), "and no other is named: {told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn migrating_twice_changes_nothing_and_keeps_what_is_there() {
    let db = TestDatabase::empty().await;
    let (code, told) = migrate(&db, &[]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("entities") && told.contains("liveness"), "it tells what it did: {told}");
    {
        let server = Server::start(db.url()).await;
        server.client().await.mint(mint("/chat/a", "w_1")).await.unwrap();
    }
    let (before, rows) = (schema(&db).await, all_rows(&db).await);
    let (code, told) = migrate(&db, &[]).await;
    assert_eq!((code, told.contains("up to date")), (Some(0), true), "{told}");
    assert_eq!(schema(&db).await, before);
    assert_eq!(all_rows(&db).await, rows);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_migrate_at_once_both_succeed_and_each_step_is_made_once() {
    let alone = TestDatabase::empty().await;
    assert_eq!(migrate(&alone, &[]).await.0, Some(0));
    let db = TestDatabase::empty().await;
    let ended = tokio::join!(migrate(&db, &[]), migrate(&db, &[]), migrate(&db, &[]));
    let all = [&ended.0, &ended.1, &ended.2];
    assert!(all.iter().all(|(code, _)| *code == Some(0)), "{all:?}");
    let applied = all.iter().filter(|(_, told)| told.contains("applied")).count();
    assert_eq!(applied, 1, "{all:?}");
    assert_eq!(schema(&db).await, schema(&alone).await);
    assert_eq!(steps(&db).await, steps(&alone).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_not_ready_before_its_database_is_migrated_and_ready_by_itself_afterwards() {
    let db = TestDatabase::empty().await;
    let server = Server::start(db.url()).await;
    let (probes, health) = (http_address(&server).await, health(&server).await);
    eventually("it has looked at its database", async || {
        http_get(&probes, "/readyz").await.1 != "starting"
    })
    .await;
    let behind = "the database's schema is behind: claim-server migrate";
    assert_eq!(http_get(&probes, "/readyz").await, (503, behind.to_owned()));
    assert!(all_are(&health, NotServing).await);
    assert_eq!(http_get(&probes, "/livez").await.0, 200);

    assert_eq!(migrate(&db, &[]).await.0, Some(0));
    eventually("all serve", async || all_are(&health, Serving).await).await;
    assert_eq!(http_get(&probes, "/readyz").await, (200, "ready".to_owned()));
    server.client().await.mint(mint("/chat/a", "w_1")).await.unwrap();
    db.check_invariants().await;
}

/// As a server of the release before finds it: whatever is new to the database is none of its business.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_database_lacks_one_step_is_not_ready_and_one_step_more_does_not_matter() {
    let db = TestDatabase::new().await;
    let newest = "SELECT max(version) FROM __diesel_schema_migrations";
    let newest: String = db.sql.query_one(newest, &[]).await.unwrap().get(0);
    let record = |version: &str, newer: &str| {
        format!(
            "UPDATE __diesel_schema_migrations SET version = '{newer}' WHERE version = '{version}'"
        )
    };
    db.sql.batch_execute(&record(&newest, "99991231000000")).await.unwrap();
    let server = Server::start(db.url()).await;
    let probes = http_address(&server).await;
    let says = async |word: &str| http_get(&probes, "/readyz").await.1.contains(word);
    eventually("it misses the step", async || says("schema is behind").await).await;
    let more = format!("INSERT INTO __diesel_schema_migrations (version) VALUES ('{newest}')");
    db.sql.batch_execute(&more).await.unwrap();
    eventually("it is ready", async || says("ready").await).await;
    server.client().await.mint(mint("/chat/a", "w_1")).await.unwrap();
}
