//! The database is there, but has no room for all lanes: those that have a connection serve.

use super::support::store_at;
use claims::domain::EntitySignal;
use claims::store::{ClaimStore, StoreError};
use claims::testing::{TestDatabase, eventually, mint, signal};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::Instant;

/// Longest wait for the answer that the database is unavailable, if it refuses connections at once
/// and the machine is not busy with something else.
const REFUSED_WITHIN: Duration = Duration::from_millis(500);

/// Sessions of the lanes that decide batches.
const DECIDE_SESSIONS: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'claims/decide'";

/// The role of a test's store: roles belong to the whole cluster.
fn role(db: &TestDatabase) -> String {
    let (_, name) = db.url().rsplit_once('/').expect("a URL");
    format!("crowded_{name}")
}

/// Allows the store's role that many connections.
async fn allow(db: &TestDatabase, connections: i32) {
    let allow = format!("ALTER ROLE {} CONNECTION LIMIT {connections}", role(db));
    db.sql.batch_execute(&allow).await.expect("a role");
}

/// A store whose role may do everything but have more than one connection.
async fn crowded_store(db: &TestDatabase) -> ClaimStore {
    let role = role(db);
    let grant = format!(
        "CREATE ROLE {role} LOGIN CONNECTION LIMIT 1;
         GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
         GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
    );
    db.sql.batch_execute(&grant).await.expect("a role");
    let (scheme, rest) = db.url().split_once("://").expect("a URL");
    let (_user, place) = rest.split_once('@').expect("a user");
    store_at(&format!("{scheme}://{role}@{place}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_cannot_connect_leaves_the_calls_to_one_that_is_connected() {
    let db = TestDatabase::in_service().await;
    let store = crowded_store(&db).await;
    store.mint(mint("/a", "w1").mint).await.unwrap();
    let cont = || store.signal(signal("/a", EntitySignal::Cont));
    for _ in 0..50 {
        cont().await.unwrap();
    }
    for answer in join_all((0..500).map(|_| cont())).await {
        answer.unwrap();
    }
    // As soon as there is room both serve.
    allow(&db, 2).await;
    eventually("the other lane is connected", async || {
        cont().await.unwrap();
        db.number(DECIDE_SESSIONS).await == 2
    })
    .await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lanes_that_connect_for_the_same_call_do_not_refuse_it_while_one_may_succeed() {
    let db = TestDatabase::in_service().await;
    let store = crowded_store(&db).await;
    let mints = (0..50).map(|number| store.mint(mint(&format!("/e{number}"), "w").mint));
    for answer in join_all(mints).await {
        answer.unwrap();
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_there_is_no_room_for_any_lane_calls_are_refused_and_then_served() {
    let db = TestDatabase::in_service().await;
    let store = crowded_store(&db).await;
    allow(&db, 0).await;
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let asked_at = Instant::now();
        let calls = (0..100).map(|_| store.signal(signal("/a", EntitySignal::Cont)));
        for answer in join_all(calls).await {
            assert!(matches!(answer, Err(StoreError::Unavailable)), "{answer:?}");
        }
        quickest = quickest.min(asked_at.elapsed());
    }
    assert!(quickest < REFUSED_WITHIN, "{quickest:?}");
    allow(&db, 1).await;
    eventually("a call is served", async || {
        store.signal(signal("/a", EntitySignal::Cont)).await.is_ok()
    })
    .await;
    db.check_invariants().await;
}
