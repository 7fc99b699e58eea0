//! A watch that begins far behind: it reads the database at its own pace, in turn with the others.

use super::support::{
    Watcher, behind, everything, filter, quick, quick_store, recorded, scene, write, write_many,
};
use claims::store::{
    ClaimStore, EVENT_WRITERS_LOCK, EventSettings, StoreError, StoreSettings, WatchError, WatchFrom,
};
use claims::testing::{TestDatabase, done, mint};
use futures_util::FutureExt;
use futures_util::future::join_all;

#[tokio::test(flavor = "multi_thread")]
async fn many_watches_that_come_back_at_once_are_all_served_and_leave_room_for_others() {
    let (db, store) = scene().await;
    write_many(&db, 3_000).await;
    let catching_up = join_all((0..40).map(async |number: i64| {
        let mut watcher =
            Watcher::start(&store, everything(), behind(number)).await.expect("a watch");
        assert_eq!(watcher.all_up_to(3_000).await, ((number + 1)..=3_000).collect::<Vec<i64>>());
    }));
    let asked = mint("/a", "w").tenant("other");
    let claim = store.mint(asked.mint).await.unwrap().claim.id;
    let (_, ()) = tokio::join!(catching_up, async {
        for _ in 0..50 {
            store.get_claim(claim.clone()).await.expect("a read among the catch-ups");
        }
    });
    let most = "SELECT count(*) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'claims/read'";
    assert!(db.number(most).await <= 4);
    store.done(done(&claim)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_reads_the_past_is_not_too_slow_for_the_present() {
    let db = TestDatabase::in_service().await;
    let events = EventSettings { window: 2, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    write_many(&db, 3_000).await;
    let mut behind_by_far =
        Watcher::start(&store, everything(), WatchFrom::Oldest).await.expect("a watch");
    let mut live = Watcher::now(&store).await;
    let mut given = behind_by_far.events(10).await;
    // More than the feed keeps, each in a batch of its own.
    for _ in 0..10 {
        let sequence = write(&db, "/a").await;
        assert_eq!(live.events(1).await, [sequence]);
    }
    let all = recorded(&db, "true").await;
    given.extend(behind_by_far.all_up_to(*all.last().unwrap()).await);
    assert_eq!(given, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_something_rare_tells_how_far_it_has_come() {
    let (db, store) = scene().await;
    write_many(&db, 3_000).await;
    let rare = write(&db, "/rare").await;
    let others = filter("other", "", "");
    let mut watcher = Watcher::start(&store, others, WatchFrom::Oldest).await.unwrap();
    assert_eq!(watcher.all_up_to(rare).await, [0; 0]);
    let wanted = filter("default", "/rare", "");
    let mut watcher = Watcher::start(&store, wanted, WatchFrom::Oldest).await.unwrap();
    assert_eq!(watcher.events(1).await, [rare]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_event_ends_only_the_watches_that_want_it() {
    let db = TestDatabase::in_service().await;
    let store = quick_store(&db);
    let mut concerned =
        Watcher::start(&store, filter("broken", "", ""), WatchFrom::Now).await.unwrap();
    let mut other = Watcher::now(&store).await;
    let first = write(&db, "/a").await;
    // No entity has such a URL.
    let damage = format!(
        "BEGIN; SELECT pg_advisory_xact_lock_shared({EVENT_WRITERS_LOCK});
         INSERT INTO claim_events (tenant_id, entity_url, stream_path, consumer_id, epoch, fence,
             type, reason, actor, occurred_at)
         VALUES ('broken', 'no path', '', '', 0, 0, 'signaled', 'stop', 'operator', now());
         COMMIT"
    );
    db.stranger().await.batch_execute(&damage).await.unwrap();
    let second = write(&db, "/b").await;
    assert_eq!(other.events(2).await, [first, second]);
    let (given, end) = concerned.end().await;
    assert_eq!(given, [0; 0]);
    assert!(matches!(end, WatchError::Store(StoreError::Internal)), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_not_asked_any_more_while_they_wait_for_a_page_hold_up_no_other() {
    let (db, store) = scene().await;
    // So that the watches below know at once that they are behind.
    let mut live = Watcher::now(&store).await;
    write_many(&db, 3_000).await;
    live.events(3_000).await;
    let mut unread = Vec::new();
    for _ in 0..8 {
        let mut watch = store.events().watch(everything(), WatchFrom::Oldest).await.unwrap();
        watch.next().await.expect("a checkpoint");
        // Asked once more, so that it wants a page, and never again.
        let _ = watch.next().now_or_never();
        unread.push(watch);
    }
    let mut fresh = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    assert_eq!(fresh.all_up_to(3_000).await, (1..=3_000).collect::<Vec<i64>>());
    // Whoever asks again after all is given what it missed.
    let mut asked_again = Watcher::of(unread.remove(5));
    assert_eq!(asked_again.all_up_to(3_000).await, (1..=3_000).collect::<Vec<i64>>());
}
