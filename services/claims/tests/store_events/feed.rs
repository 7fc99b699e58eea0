//! The one reader of a process, and those who cannot follow it.

use super::support::{
    Watcher, behind, everything, filter, quick, quick_store, recorded, scene, write, write_many,
};
use claims::store::{
    ClaimStore, EventSettings, News, StoreError, StoreSettings, WatchError, WatchFrom,
};
use claims::testing::{PATIENCE, TestDatabase, eventually};
use std::time::Duration;
use tokio::time::Instant;

/// Connections of the readers of events.
async fn readers(db: &TestDatabase) -> i64 {
    db.number(
        "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'claims/events'",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_that_is_too_slow_is_ended_with_its_position_and_can_resume() {
    let db = TestDatabase::in_service().await;
    let events = EventSettings { window: 4, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    let (mut slow, mut quick) = (Watcher::now(&store).await, Watcher::now(&store).await);
    let first = write(&db, "/a").await;
    assert_eq!(slow.events(1).await, [first]);
    assert_eq!(quick.events(1).await, [first]);
    // Each in a batch of its own, more than are kept.
    for _ in 0..10 {
        let sequence = write(&db, "/a").await;
        assert_eq!(quick.events(1).await, [sequence]);
    }
    let (given, end) = slow.end().await;
    let WatchError::TooSlow { last } = end else { panic!("{end}") };
    assert_eq!((last.get(), given), (first, vec![]));
    let mut resumed = Watcher::start(&store, everything(), WatchFrom::After(last)).await.unwrap();
    let rest = recorded(&db, &format!("sequence > {first}")).await;
    assert_eq!(resumed.events(10).await, rest);
    // It is among the quick ones again.
    let next = write(&db, "/a").await;
    assert_eq!(resumed.events(1).await, [next]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_behind_by_less_than_is_kept_misses_nothing() {
    let db = TestDatabase::in_service().await;
    let events = EventSettings { window: 16, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    let (mut slow, mut quick) = (Watcher::now(&store).await, Watcher::now(&store).await);
    let mut all = Vec::new();
    for _ in 0..16 {
        let sequence = write(&db, "/a").await;
        assert_eq!(quick.events(1).await, [sequence]);
        all.push(sequence);
    }
    assert_eq!(slow.events(16).await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_number_of_watchers_share_one_reader_which_goes_with_the_last() {
    let (db, store) = scene().await;
    assert_eq!(readers(&db).await, 0, "nobody watches");
    let mut watchers = Vec::new();
    for _ in 0..20 {
        watchers.push(Watcher::now(&store).await);
    }
    let sequence = write(&db, "/a").await;
    for watcher in &mut watchers {
        assert_eq!(watcher.events(1).await, [sequence]);
    }
    assert_eq!(readers(&db).await, 1);
    watchers.truncate(1);
    let sequence = write(&db, "/a").await;
    assert_eq!(watchers[0].events(1).await, [sequence]);
    drop(watchers);
    eventually("the reader is gone", async || readers(&db).await == 0).await;
    // And comes back with the next.
    let unseen = write(&db, "/a").await;
    let mut watcher = Watcher::now(&store).await;
    assert_eq!(watcher.position, unseen);
    let sequence = write(&db, "/a").await;
    assert_eq!(watcher.events(1).await, [sequence]);
}

#[tokio::test(flavor = "multi_thread")]
async fn watchers_that_come_and_go_find_a_reader_at_every_moment() {
    let (db, store) = scene().await;
    for round in 0..40 {
        let mut watcher = Watcher::now(&store).await;
        let sequence = write(&db, "/a").await;
        assert_eq!(watcher.events(1).await, [sequence], "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_gone_leaves_no_reader() {
    let db = TestDatabase::in_service().await;
    let store = quick_store(&db);
    let mut watcher = Watcher::now(&store).await;
    let sequence = write(&db, "/a").await;
    assert_eq!(watcher.events(1).await, [sequence]);
    drop(store);
    let sequence = write(&db, "/a").await;
    assert_eq!(watcher.events(1).await, [sequence], "a watch lives on");
    drop(watcher);
    eventually("the reader is gone", async || readers(&db).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_watcher_of_a_feed_is_given_what_is_its_own() {
    let (db, store) = scene().await;
    let filters = [("default", "", ""), ("default", "/many/7", ""), ("other", "", "")];
    let mut watchers = Vec::new();
    for (tenant, url, name) in filters {
        let wanted = filter(tenant, url, name);
        watchers.push(Watcher::start(&store, wanted, WatchFrom::Now).await.unwrap());
    }
    // More than one batch holds.
    write_many(&db, 1_000).await;
    let last = recorded(&db, "true").await.len().try_into().unwrap();
    assert_eq!(watchers[0].all_up_to(last).await, recorded(&db, "true").await);
    assert_eq!(watchers[1].all_up_to(last).await, recorded(&db, "entity_url = '/many/7'").await);
    assert_eq!(watchers[2].all_up_to(last).await, [0; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_comes_in_time_whether_or_not_anything_happens() {
    let db = TestDatabase::in_service().await;
    let interval = Duration::from_millis(100);
    let events = EventSettings { checkpoint_interval: interval, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    write_many(&db, 2_000).await;
    let mut idle = Watcher::start(&store, filter("other", "", ""), behind(1_999)).await.unwrap();
    let begin = Instant::now();
    for _ in 0..3 {
        let item = idle.item().await.unwrap();
        assert!(matches!(item, claims::store::WatchItem::Checkpoint(_)), "{item:?}");
    }
    assert!(begin.elapsed() >= interval * 2, "not more often than that");
    // A checkpoint that is due comes before the events that wait.
    let mut busy = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    let first = busy.events(1).await;
    tokio::time::sleep(interval).await;
    let item = busy.item().await.unwrap();
    assert!(matches!(item, claims::store::WatchItem::Checkpoint(_)), "{item:?}");
    assert_eq!(busy.position, first[0]);
}

#[test]
fn checkpoints_come_as_often_as_the_contract_says() {
    let interval = EventSettings::default().checkpoint_interval;
    assert!(interval * 2 <= Duration::from_secs(15), "even if one is late: {interval:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_watches_than_there_may_be_are_refused_and_who_subscribes_is_not_counted() {
    let db = TestDatabase::in_service().await;
    let events = EventSettings { watches_max: 2, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    let mut watches = [Watcher::now(&store).await, Watcher::now(&store).await];
    for _ in 0..3 {
        let refused = Watcher::start(&store, everything(), WatchFrom::Now).await.err();
        assert!(matches!(refused, Some(WatchError::Store(StoreError::Overloaded))), "{refused:?}");
    }
    let mut subscriptions = Vec::new();
    for _ in 0..3 {
        subscriptions.push(store.events().subscribe().await.expect("a subscription"));
    }
    let sequence = write(&db, "/a").await;
    for watch in &mut watches {
        assert_eq!(watch.events(1).await, [sequence]);
    }
    for subscription in &mut subscriptions {
        let news = tokio::time::timeout(PATIENCE, subscription.next()).await.expect("news");
        assert!(matches!(news, News::Events(_)), "{news:?}");
    }
    // The place of one that is gone is another's, and that of one that did not begin too.
    let [first, _second] = watches;
    drop(first);
    Watcher::start(&store, everything(), behind(i64::MAX)).await.err().expect("a refusal");
    Watcher::now(&store).await;
    Watcher::now(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_at_the_limit_that_falls_behind_while_it_catches_up_is_served_on() {
    let db = TestDatabase::in_service().await;
    let events = EventSettings { window: 2, watches_max: 2, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    write_many(&db, 500).await;
    let mut live = Watcher::now(&store).await;
    let mut behind_by_far = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    let mut given = behind_by_far.events(1).await;
    for _ in 0..10 {
        let sequence = write(&db, "/a").await;
        assert_eq!(live.events(1).await, [sequence]);
    }
    given.extend(behind_by_far.all_up_to(510).await);
    assert_eq!(given, (1..=510).collect::<Vec<i64>>());
}
