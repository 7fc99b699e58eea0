//! A subscription: what the rest of the server hears of what happens.

use super::support::{Watcher, Writer, quick, scene, write, write_many};
use claims::store::{ClaimStore, EventSettings, News, StoreSettings, Subscription};
use claims::testing::{PATIENCE, TestDatabase, done, mint};

/// The next news, or a failed test.
async fn next(subscription: &mut Subscription) -> News {
    tokio::time::timeout(PATIENCE, subscription.next()).await.expect("news in time")
}

/// The sequences of the next events; panics if there is other news.
async fn events(subscription: &mut Subscription, count: usize) -> Vec<i64> {
    let mut sequences: Vec<i64> = Vec::new();
    while sequences.len() < count {
        match next(subscription).await {
            News::Events(batch) => {
                sequences.extend(batch.events.iter().map(|event| event.sequence.get()));
            }
            news => panic!("no events, but {news:?}"),
        }
    }
    sequences
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_all_that_is_committed_after_it_began_of_all_tenants() {
    let (db, store) = scene().await;
    write(&db, "/past").await;
    // With the first subscriber the reader begins; with the second it is there.
    for _ in 0..2 {
        let mut subscription = store.events().subscribe().await.unwrap();
        let asked = mint("/a", "w").tenant("other");
        let claim = store.mint(asked.mint).await.unwrap().claim;
        let first = db.number("SELECT max(sequence) FROM claim_events").await;
        store.done(done(&claim.id)).await.unwrap();
        assert_eq!(events(&mut subscription, 2).await, [first, first + 1]);
        let News::Events(batch) = ({
            write(&db, "/b").await;
            next(&mut subscription).await
        }) else {
            panic!("no events");
        };
        assert_eq!(batch.events[0].event.entity.url.as_str(), "/b");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_hears_events_in_settled_order() {
    let (db, store) = scene().await;
    let mut subscription = store.events().subscribe().await.unwrap();
    let slow = Writer::begin(&db).await;
    let first = slow.writes("/a").await;
    let second = write(&db, "/b").await;
    slow.commits().await;
    assert_eq!(events(&mut subscription, 2).await, [first, second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_that_is_too_slow_is_told_that_it_missed_something_and_hears_on() {
    let db = TestDatabase::in_service().await;
    let settings = EventSettings { window: 2, ..quick().events };
    let settings = StoreSettings { events: settings, ..quick() };
    let store = ClaimStore::start(&db.database(), &settings);
    let mut subscription = store.events().subscribe().await.unwrap();
    let mut watcher = Watcher::now(&store).await;
    let mut last = 0;
    for _ in 0..5 {
        last = write(&db, "/a").await;
        assert_eq!(watcher.events(1).await, [last]);
    }
    assert!(matches!(next(&mut subscription).await, News::Missed));
    // A hole is told once more, where it is.
    let heard = loop {
        match next(&mut subscription).await {
            News::Events(batch) => break batch,
            News::Missed => {}
            News::Away => panic!("the database is there"),
        }
    };
    assert!(heard.after.get() >= last - 2 && heard.to.get() <= last);
    write_many(&db, 3).await;
    while !matches!(next(&mut subscription).await, News::Events(batch) if batch.to.get() == last + 3)
    {
    }
}
