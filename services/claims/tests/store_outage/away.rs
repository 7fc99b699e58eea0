//! The database's server is gone, and comes back with what was committed.

use super::support::{ANSWER_LIMIT, assert_all_unavailable, call_all, known, store_at};
use claims::cluster::{Cluster, PostgresPrograms};
use claims::store::{Reaper, StoreError};
use claims::testing::{
    TestDatabase, done, entity_key, eventually, heartbeat, mint, queued, tenant,
};
use futures_util::future::join_all;
use std::time::Duration;

/// Calls in flight when the database goes away.
const IN_FLIGHT: usize = 60;

/// A cluster of the test's own, and a way to work on it from async code.
struct OwnCluster(Option<Cluster>);

impl OwnCluster {
    async fn start() -> Self {
        let started = tokio::task::spawn_blocking(|| {
            let programs = PostgresPrograms::locate().expect("Postgres programs");
            Cluster::ephemeral(programs).expect("a cluster")
        });
        Self(Some(started.await.expect("a cluster")))
    }

    fn get(&self) -> &Cluster {
        self.0.as_ref().expect("the cluster is not being worked on")
    }

    async fn work(&mut self, work: fn(&mut Cluster)) {
        let mut cluster = self.0.take().expect("a cluster");
        let worked = tokio::task::spawn_blocking(move || {
            work(&mut cluster);
            cluster
        });
        self.0 = Some(worked.await.expect("a cluster"));
    }

    async fn take_away(&mut self) {
        self.work(|cluster| cluster.stop_immediately().expect("a stop")).await;
    }

    async fn bring_back(&mut self) {
        self.work(|cluster| cluster.start().expect("a start")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_outlives_its_database() {
    let mut cluster = OwnCluster::start().await;
    let mut db = TestDatabase::in_cluster(cluster.get()).await;
    let store = db.store();
    let mut reaper = Reaper::new(db.database(), "reaper");
    let held = known(&store, "/a").await;
    let renewal = store.heartbeat(heartbeat(&held.id)).await.unwrap();
    reaper.scan(Duration::ZERO).await.unwrap();

    cluster.take_away().await;
    assert_all_unavailable(&call_all(&store, &held).await);
    // Again, now that every lane knows.
    assert_all_unavailable(&call_all(&store, &held).await);
    let scan = tokio::time::timeout(ANSWER_LIMIT, reaper.scan(Duration::ZERO)).await.unwrap();
    scan.unwrap_err();

    cluster.bring_back().await;
    db.reconnect().await;
    db.service_has_been_up().await;
    eventually("the store answers again", async || store.probe().await.is_ok()).await;
    // What was committed is there, and what was refused has left no trace.
    let (claim, _) = store.get_claim(held.id.clone()).await.unwrap();
    assert_eq!(claim.lease.expires_at, renewal.expires_at);
    eventually("heartbeats are served", async || {
        store.heartbeat(heartbeat(&held.id)).await.is_ok()
    })
    .await;
    eventually("authorizations are served", async || {
        store.authorize(tenant(), held.stream.clone(), held.token).await.is_ok()
    })
    .await;
    let mut ended = None;
    eventually("decisions are served", async || {
        ended = store.done(done(&held.id)).await.ok();
        ended.is_some()
    })
    .await;
    assert!(!ended.unwrap().already_ended);
    eventually("the reaper scans", async || reaper.scan(Duration::ZERO).await.is_ok()).await;
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "released:done"]);
    assert_eq!(db.events_of(&entity_key("/new")).await, [""; 0]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_may_start_before_its_database() {
    let mut cluster = OwnCluster::start().await;
    let mut db = TestDatabase::in_cluster(cluster.get()).await;
    cluster.take_away().await;
    let store = store_at(db.url());
    let refused = tokio::time::timeout(ANSWER_LIMIT, store.mint(mint("/a", "w").mint)).await;
    assert!(matches!(refused, Ok(Err(StoreError::Unavailable))), "{refused:?}");
    cluster.bring_back().await;
    db.reconnect().await;
    eventually("a mint is served", async || store.mint(mint("/a", "w").mint).await.is_ok()).await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_between_two_calls_goes_unnoticed() {
    let mut cluster = OwnCluster::start().await;
    let mut db = TestDatabase::in_cluster(cluster.get()).await;
    let store = db.store();
    let held = known(&store, "/a").await;
    // Every lane and the pool have a connection.
    for _ in 0..4 {
        let (renewed, allowed, read) = tokio::join!(
            store.heartbeat(heartbeat(&held.id)),
            store.authorize(tenant(), held.stream.clone(), held.token),
            store.get_claim(held.id.clone()),
        );
        renewed.unwrap();
        allowed.unwrap();
        read.unwrap();
        known(&store, &format!("/{}", db.number("SELECT count(*) FROM consumer_claims").await))
            .await;
    }
    cluster.take_away().await;
    cluster.bring_back().await;
    db.reconnect().await;
    for number in 0..4 {
        store.heartbeat(heartbeat(&held.id)).await.unwrap();
        store.authorize(tenant(), held.stream.clone(), held.token).await.unwrap();
        store.sign(Duration::from_secs(30)).await.unwrap();
        store.get_claim(held.id.clone()).await.unwrap();
        store.mint(mint(&format!("/after/{number}"), "w").mint).await.unwrap();
    }
    assert!(!store.done(done(&held.id)).await.unwrap().already_ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_in_flight_are_answered_and_what_was_granted_is_there_afterwards() {
    let mut cluster = OwnCluster::start().await;
    let mut db = TestDatabase::in_cluster(cluster.get()).await;
    let store = db.store();
    let ask = |number: usize| {
        let consumer = format!("w{number}");
        mint(&format!("/e{number}"), &consumer).request("r").mint
    };
    let mut calls = Vec::new();
    for number in 0..IN_FLIGHT {
        calls.push(queued(store.mint(ask(number))).await);
    }
    let answers = async { tokio::time::timeout(ANSWER_LIMIT, join_all(calls)).await.unwrap() };
    let (answers, ()) = tokio::join!(answers, cluster.take_away());
    cluster.bring_back().await;
    db.reconnect().await;
    db.service_has_been_up().await;
    eventually("the store answers again", async || store.probe().await.is_ok()).await;
    for (number, answer) in answers.into_iter().enumerate() {
        let mut again = None;
        eventually("the mint is repeated", async || {
            again = store.mint(ask(number)).await.ok();
            again.is_some()
        })
        .await;
        let again = again.unwrap();
        match answer {
            Ok(minted) => {
                assert!(again.reminted);
                assert_eq!(again.claim.id, minted.claim.id);
            }
            // It was done or it was not; the repetition heals either.
            Err(error) => assert!(matches!(error, StoreError::Unavailable), "{error}"),
        }
    }
    db.check_invariants().await;
}
