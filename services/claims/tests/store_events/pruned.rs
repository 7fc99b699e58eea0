//! E3: what was pruned is never silently skipped.

use super::support::{
    Watcher, Writer, at, behind, everything, filter, recorded, scene, write, write_many,
};
use claims::store::ClaimStore;
use claims::store::{EventCursor, EventPage, EventQuery, ListError, Reaper, WatchError, WatchFrom};
use claims::testing::{TestDatabase, eventually};
use std::time::Duration;

const RETENTION: Duration = Duration::from_secs(7 * 86_400);

/// Makes the events up to a sequence so old that pruning removes them, and prunes.
async fn prune(db: &TestDatabase, upto: i64) {
    let age = format!(
        "UPDATE claim_events SET occurred_at = now() - interval '8 days' WHERE sequence <= {upto}"
    );
    db.sql.batch_execute(&age).await.expect("an older history");
    let mut reaper = Reaper::new(db.database(), "reaper");
    while reaper.prune_step(RETENTION).await.expect("a step").rows() > 0 {}
}

/// The sequence up to which a watch says that pruning went.
fn pruned(error: &WatchError) -> i64 {
    match error {
        WatchError::Pruned { pruned } => pruned.get(),
        other => panic!("not pruned, but: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_positive_position_below_the_highest_pruned_one_is_refused() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    prune(&db, 6).await;
    for position in 1..6 {
        let refused = Watcher::start(&store, everything(), behind(position)).await;
        assert_eq!(pruned(&refused.err().expect("a refusal")), 6, "behind {position}");
    }
    for position in 6..=10 {
        let mut watcher = Watcher::start(&store, everything(), behind(position)).await.unwrap();
        assert_eq!(watcher.all_up_to(10).await, ((position + 1)..=10).collect::<Vec<i64>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_the_oldest_begins_where_the_history_begins() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    prune(&db, 6).await;
    for url in ["", "/many/8"] {
        let wanted = filter("default", url, "");
        let mut watcher = Watcher::start(&store, wanted, WatchFrom::Oldest).await.unwrap();
        assert_eq!(watcher.position, 0);
        let expected = if url.is_empty() { vec![7, 8, 9, 10] } else { vec![8] };
        assert_eq!(watcher.all_up_to(10).await, expected);
    }
    // Nothing is left at all.
    prune(&db, 10).await;
    let mut watcher = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    assert_eq!(watcher.all_up_to(10).await, [0; 0]);
    let next = write(&db, "/a").await;
    assert_eq!(watcher.events(1).await, [next]);
    let now = Watcher::now(&store).await;
    assert_eq!(now.position, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_the_oldest_is_given_what_pruning_left_between() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    // An event that is younger than later ones, as transactions write them.
    let age = "UPDATE claim_events SET occurred_at = now() - interval '8 days'
         WHERE sequence <= 6 AND sequence <> 4";
    db.sql.batch_execute(age).await.unwrap();
    Reaper::new(db.database(), "reaper").prune_step(RETENTION).await.unwrap();
    let mut watcher = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    assert_eq!(watcher.all_up_to(10).await, [4, 7, 8, 9, 10]);
    let refused = Watcher::start(&store, everything(), WatchFrom::After(at(4))).await;
    assert_eq!(pruned(&refused.err().expect("5 and 6 are missing")), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catch_up_that_pruning_overtakes_is_ended() {
    for from in [WatchFrom::Oldest, WatchFrom::After(at(1))] {
        let (db, store) = scene().await;
        // More than two pages.
        write_many(&db, 2_500).await;
        let mut watcher = Watcher::start(&store, everything(), from).await.unwrap();
        let first = watcher.events(1).await[0];
        prune(&db, 1_500).await;
        let (given, end) = watcher.end().await;
        assert_eq!(pruned(&end), 1_500);
        // The page that it had is given to the end, and nothing behind the hole.
        let page: Vec<i64> = ((first + 1)..).take(given.len()).collect();
        assert_eq!(given, page);
        assert!(given.len() < 1_500, "{} events", given.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_that_overtakes_the_reader_ends_the_watches_that_missed_something() {
    let (db, store) = scene().await;
    let first = write(&db, "/a").await;
    let mut watcher = Watcher::start(&store, everything(), behind(first)).await.unwrap();
    watcher.hears_nothing().await;
    // The reader waits for a writer while all the others' events are written and pruned.
    let slow = Writer::begin(&db).await;
    slow.writes("/b").await;
    let mut last = 0;
    for _ in 0..3 {
        last = write(&db, "/c").await;
    }
    let kept = write(&db, "/d").await;
    prune(&db, last).await;
    eventually("all but the young are pruned", async || recorded(&db, "true").await == [kept])
        .await;
    slow.rolls_back().await;
    let (given, end) = watcher.end().await;
    assert_eq!((given, pruned(&end)), (vec![], last));
    // The reader itself goes on.
    let mut watcher = Watcher::start(&store, everything(), behind(last)).await.unwrap();
    assert_eq!(watcher.events(1).await, [kept]);
    let next = write(&db, "/e").await;
    assert_eq!(watcher.events(1).await, [next]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pruning_that_overtakes_the_reader_ends_a_watch_that_began_with_an_empty_history() {
    let (db, store) = scene().await;
    let mut watcher = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    watcher.hears_nothing().await;
    let slow = Writer::begin(&db).await;
    slow.writes("/b").await;
    let last = write(&db, "/c").await;
    let kept = write(&db, "/d").await;
    prune(&db, last).await;
    eventually("all but the young are pruned", async || recorded(&db, "true").await == [kept])
        .await;
    slow.rolls_back().await;
    let (given, end) = watcher.end().await;
    assert_eq!((given, pruned(&end)), (vec![], last));
}

async fn page(store: &ClaimStore, after: Option<EventCursor>) -> Result<EventPage, ListError> {
    store.events().list(EventQuery { filter: everything(), page_size: 3, after }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_pruning_overtakes_is_ended_and_another_one_begins_behind_it() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    let first = page(&store, None).await.unwrap();
    prune(&db, 3).await;
    let second = page(&store, first.next).await.expect("nothing of it is missing");
    assert_eq!(second.events[0].sequence, at(4));
    prune(&db, 8).await;
    for cursor in [first.next, second.next] {
        let refused = page(&store, cursor).await.err();
        let Some(ListError::Pruned { pruned }) = refused else { panic!("{refused:?}") };
        assert_eq!(pruned, at(8));
    }
    let kept = page(&store, None).await.unwrap();
    assert_eq!((kept.events.len(), kept.events[0].sequence, kept.next), (2, at(9), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_shows_what_pruning_had_left_between_before_it_began() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    let age = "UPDATE claim_events SET occurred_at = now() - interval '8 days'
         WHERE sequence <= 6 AND sequence NOT IN (1, 2, 4)";
    db.sql.batch_execute(age).await.unwrap();
    Reaper::new(db.database(), "reaper").prune_step(RETENTION).await.unwrap();
    let listed = super::support::listed(&store, everything(), 1).await;
    assert_eq!(listed, [1, 2, 4, 7, 8, 9, 10]);
}
