//! The database goes away and comes back; nothing that was committed is missing afterwards.

use super::support::{Watcher, behind, everything, quick, quick_store, recorded, write};
use claims::cluster::{Cluster, PostgresPrograms};
use claims::store::{ClaimStore, Database, News, StoreError, StoreSettings, WatchError, WatchFrom};
use claims::testing::{PATIENCE, Proxy, Road, TestDatabase, eventually};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// For how long the database may fail until watches are ended, and what a busy machine may add.
const AWAY_AFTER: Duration = Duration::from_secs(2);
const AT_MOST: Duration = Duration::from_secs(12);

/// Asserts that a watch was ended because the database is away, after so long.
fn assert_away(end: &WatchError, since: Instant) {
    assert!(matches!(end, WatchError::Store(StoreError::Unavailable)), "{end}");
    let took = since.elapsed();
    assert!((AWAY_AFTER..AT_MOST).contains(&took), "after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_are_ended_when_the_database_is_away_for_long_and_resume_when_it_is_back() {
    let cluster = tokio::task::spawn_blocking(|| {
        Cluster::ephemeral(PostgresPrograms::locate().expect("Postgres programs"))
    });
    let mut cluster = cluster.await.unwrap().unwrap();
    let mut db = TestDatabase::in_cluster(&cluster).await;
    let store = quick_store(&db);
    let mut live = Watcher::now(&store).await;
    let mut subscription = store.events().subscribe().await.unwrap();
    let first = write(&db, "/a").await;
    assert_eq!(live.events(1).await, [first]);
    timeout(PATIENCE, subscription.next()).await.unwrap();

    let away = Instant::now();
    cluster = tokio::task::spawn_blocking(move || {
        cluster.stop_immediately().expect("a stop");
        cluster
    })
    .await
    .unwrap();
    let (given, end) = live.end().await;
    assert_eq!(given, [0; 0]);
    assert_away(&end, away);
    assert!(matches!(timeout(PATIENCE, subscription.next()).await.unwrap(), News::Away));
    // Nobody begins a watch or a listing meanwhile.
    for from in [WatchFrom::Now, behind(first)] {
        let refused = Watcher::start(&store, everything(), from).await.err().unwrap();
        assert!(matches!(refused, WatchError::Store(StoreError::Unavailable)), "{refused}");
    }
    store.events().subscribe().await.err().expect("no subscription either");

    cluster = tokio::task::spawn_blocking(move || {
        cluster.start().expect("a start");
        cluster
    })
    .await
    .unwrap();
    db.reconnect().await;
    let mut missed = Vec::new();
    for _ in 0..3 {
        missed.push(write(&db, "/b").await);
    }
    let mut resumed = None;
    eventually("a watch begins again", async || {
        resumed = Watcher::start(&store, everything(), behind(live.position)).await.ok();
        resumed.is_some()
    })
    .await;
    assert_eq!(resumed.unwrap().events(3).await, missed);
    // Who stayed hears what happened since.
    let News::Events(batch) = timeout(PATIENCE, subscription.next()).await.unwrap() else {
        panic!("no events");
    };
    assert_eq!(batch.events[0].sequence.get(), missed[0]);
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_lost_its_connection_goes_on_where_it_was() {
    let db = TestDatabase::in_service().await;
    let store = quick_store(&db);
    let mut watcher = Watcher::now(&store).await;
    let mut all = Vec::new();
    for _ in 0..5 {
        all.push(write(&db, "/a").await);
        eventually("the reader has a connection", async || {
            db.end_sessions("claims/events").await > 0
        })
        .await;
        all.push(write(&db, "/a").await);
    }
    assert_eq!(watcher.events(10).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catch_up_survives_the_loss_of_its_connections() {
    let db = TestDatabase::in_service().await;
    let store = quick_store(&db);
    super::support::write_many(&db, 3_000).await;
    let mut watcher = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    let mut given = watcher.events(1).await;
    while given.len() < 3_000 {
        db.end_sessions("claims/").await;
        let count = 500.min(3_000 - given.len());
        given.extend(watcher.events(count).await);
    }
    assert_eq!(given, recorded(&db, "true").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_silent_is_away_too_for_watches_live_and_catching_up() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let database = Database::parse(proxy.url()).unwrap();
    let store = ClaimStore::start(&database, &StoreSettings { ..quick() });
    super::support::write_many(&db, 3_000).await;
    let mut live = Watcher::now(&store).await;
    let sequence = write(&db, "/a").await;
    assert_eq!(live.events(1).await, [sequence]);
    let mut catching_up = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    catching_up.events(1).await;

    proxy.set(Road::BlackHole);
    let silent = Instant::now();
    let ((_, live_end), (given, end)) = tokio::join!(live.end(), catching_up.end());
    assert_away(&live_end, silent);
    assert_away(&end, silent);
    proxy.set(Road::Open);
    let mut resumed = None;
    eventually("a watch begins again", async || {
        resumed = Watcher::start(&store, everything(), behind(catching_up.position)).await.ok();
        resumed.is_some()
    })
    .await;
    let last = write(&db, "/b").await;
    let rest = resumed.unwrap().all_up_to(last).await;
    let all = recorded(&db, "true").await;
    assert_eq!([vec![1], given, rest].concat(), all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_short_outage_ends_no_watch() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let database = Database::parse(proxy.url()).unwrap();
    let store = ClaimStore::start(&database, &quick());
    let mut watcher = Watcher::now(&store).await;
    let first = write(&db, "/a").await;
    assert_eq!(watcher.events(1).await, [first]);
    proxy.set(Road::BlackHole);
    let second = write(&db, "/b").await;
    watcher.hears_nothing().await;
    proxy.set(Road::Open);
    assert_eq!(watcher.events(1).await, [second]);
}
