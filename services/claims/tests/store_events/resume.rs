//! E2: a watch may begin behind any position, and gives exactly the rest.

use super::history::{FILTERS, condition, play};
use super::support::{
    Watcher, behind, everything, filter, quick, quick_store, recorded, scene, write,
};
use claims::store::{ClaimStore, EventSettings, StoreSettings, WatchError, WatchFrom};
use claims::testing::TestDatabase;

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_behind_any_position_gives_exactly_the_rest_whatever_it_is_about() {
    let (db, store) = scene().await;
    play(&store).await;
    // A number that nobody has, in the midst and at the end.
    db.sql.batch_execute("SELECT nextval('claim_event_sequence')").await.unwrap();
    let last = write(&db, "/a").await;
    for names @ (tenant, url, consumer) in FILTERS {
        let all = recorded(&db, &condition(names)).await;
        for position in 0..=last {
            let wanted = filter(tenant, url, consumer);
            let mut watcher = Watcher::start(&store, wanted, behind(position)).await.unwrap();
            let rest: Vec<i64> = all.iter().copied().filter(|event| *event > position).collect();
            assert_eq!(watcher.all_up_to(last).await, rest, "{names:?} behind {position}");
        }
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_a_watch_catches_up_follows_what_was_there() {
    let (db, store) = scene().await;
    play(&store).await;
    for names @ (tenant, url, consumer) in FILTERS {
        let wanted = filter(tenant, url, consumer);
        let from = WatchFrom::Oldest;
        let mut watcher = Watcher::start(&store, wanted, from).await.unwrap();
        play_a_bit(&db).await;
        let all = recorded(&db, &condition(names)).await;
        let last = db.number("SELECT max(sequence) FROM claim_events").await;
        assert_eq!(watcher.all_up_to(last).await, all, "{names:?}");
    }
}

async fn play_a_bit(db: &TestDatabase) {
    for url in ["/a", "/b", "/nowhere"] {
        write(db, url).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_of_one_server_is_good_at_another_and_after_a_restart() {
    let (db, store) = scene().await;
    play(&store).await;
    let all = recorded(&db, "tenant_id = 'default'").await;
    let mut position = 0;
    let mut given = Vec::new();
    // Every server gives three and is gone.
    while given.len() < all.len() {
        let server = quick_store(&db);
        let mut watcher = Watcher::start(&server, everything(), behind(position)).await.unwrap();
        let count = 3.min(all.len() - given.len());
        given.extend(watcher.events(count).await);
        position = watcher.position;
    }
    assert_eq!(given, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_is_as_good_a_position_as_an_event() {
    let (db, store) = scene().await;
    play(&store).await;
    let start = WatchFrom::Oldest;
    let mut watcher = Watcher::start(&store, filter("other", "", ""), start).await.unwrap();
    let last = db.number("SELECT max(sequence) FROM claim_events").await;
    let others = watcher.all_up_to(last).await;
    assert!(*others.last().unwrap() < last && watcher.position == last);
    drop(watcher);
    let next = write(&db, "/a").await;
    let mut watcher = Watcher::start(&store, everything(), behind(last)).await.unwrap();
    assert_eq!(watcher.events(1).await, [next]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_beyond_the_last_event_is_refused_and_not_waited_for() {
    let (db, store) = scene().await;
    let last = write(&db, "/a").await;
    Watcher::start(&store, everything(), behind(last)).await.unwrap();
    for beyond in [last + 1, i64::MAX] {
        let refused = Watcher::start(&store, everything(), behind(beyond)).await;
        let Some(WatchError::Invalid(field)) = refused.err() else { panic!("{beyond}") };
        assert_eq!(field.field, "after_sequence");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_a_history_that_is_set_back_is_ended() {
    let (db, store) = scene().await;
    let mut watcher = Watcher::now(&store).await;
    for _ in 0..5 {
        write(&db, "/a").await;
    }
    watcher.events(5).await;
    // As if an older copy of the database had been restored.
    let restore = "DELETE FROM claim_events WHERE sequence > 2;
         SELECT setval('claim_event_sequence', 2)";
    db.sql.batch_execute(restore).await.unwrap();
    let (given, end) = watcher.end().await;
    assert!(matches!(end, WatchError::SetBack { last } if last.get() == 2), "{end}");
    assert_eq!(given, [0; 0]);
    // A request that begins there is one with a position that cannot be.
    let refused = Watcher::start(&store, everything(), behind(5)).await.err();
    assert!(matches!(refused, Some(WatchError::Invalid(_))), "{refused:?}");
    // Whoever comes now is served from there on.
    let mut watcher = Watcher::now(&store).await;
    assert_eq!(watcher.position, 2);
    let next = write(&db, "/a").await;
    assert_eq!((next, watcher.events(1).await), (3, vec![3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_that_slept_while_the_history_was_set_back_and_grew_again_is_ended() {
    let db = TestDatabase::in_service().await;
    let events = EventSettings { window: 2, ..quick().events };
    let store = ClaimStore::start(&db.database(), &StoreSettings { events, ..quick() });
    for _ in 0..5 {
        write(&db, "/a").await;
    }
    let mut live = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    live.events(5).await;
    // One is at the end, and one, which wants nothing that there is, still reads the past.
    let mut sleepers = [
        Watcher::start(&store, everything(), behind(5)).await.unwrap(),
        Watcher::start(&store, filter("other", "", ""), WatchFrom::Oldest).await.unwrap(),
    ];
    let restore = "DELETE FROM claim_events WHERE sequence > 2;
         SELECT setval('claim_event_sequence', 2)";
    db.sql.batch_execute(restore).await.unwrap();
    live.end().await;
    let mut live = Watcher::now(&store).await;
    for _ in 0..10 {
        let sequence = write(&db, "/a").await;
        assert_eq!(live.events(1).await, [sequence]);
    }
    for sleeper in &mut sleepers {
        let (given, end) = sleeper.end().await;
        assert_eq!(given, [0; 0]);
        assert!(matches!(end, WatchError::SetBack { .. }), "{end}");
    }
}
