//! ListClaimEvents: pages that together are the history as it was when the listing began.

use super::history::{FILTERS, condition, play};
use super::support::{at, everything, filter, listed, recorded, scene, write, write_many};
use claims::domain::EventType;
use claims::store::{ClaimStore, EventCursor, EventPage, EventQuery};
use claims::testing::{done, mint};

async fn page(store: &ClaimStore, page_size: usize, after: Option<EventCursor>) -> EventPage {
    let query = EventQuery { filter: everything(), page_size, after };
    store.events().list(query).await.expect("a page")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_of_a_listing_are_the_whole_history_whatever_their_size() {
    let (db, store) = scene().await;
    play(&store).await;
    for names @ (tenant, url, consumer) in FILTERS {
        let all = recorded(&db, &condition(names)).await;
        for page_size in [1, 2, 3, 7, 100, 1_000] {
            let wanted = filter(tenant, url, consumer);
            assert_eq!(listed(&store, wanted, page_size).await, all, "{names:?} by {page_size}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_tells_who_held_an_entity_and_why_it_changed_hands() {
    let (_db, store) = scene().await;
    let first = store.mint(mint("/a", "w1").epoch("sub", 1).mint).await.unwrap().claim.id;
    let second = store.mint(mint("/a", "w2").epoch("sub", 2).mint).await.unwrap().claim.id;
    store.done(done(&first)).await.unwrap();
    store.done(done(&second)).await.unwrap();
    let page = page(&store, 100, None).await;
    let told: Vec<(EventType, &str, i64, &str)> = page
        .events
        .iter()
        .map(|event| {
            let claim = event.event.claim.as_ref().unwrap();
            let kind = event.event.event_type;
            (kind, claim.1.as_str(), event.event.fence.get(), event.event.reason.as_str())
        })
        .collect();
    assert_eq!(
        told,
        [
            (EventType::Minted, "w1", 1, ""),
            (EventType::Superseded, "w1", 1, "newer_epoch"),
            (EventType::Minted, "w2", 2, ""),
            (EventType::Released, "w1", 1, "done"),
            (EventType::Released, "w2", 2, "done"),
        ]
    );
    let times: Vec<_> = page.events.iter().map(|event| event.occurred_at).collect();
    assert!(times.is_sorted());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_ends_where_the_history_ended_when_it_began() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    let first = page(&store, 6, None).await;
    for _ in 0..10 {
        write(&db, "/later").await;
    }
    let second = page(&store, 6, first.next).await;
    assert_eq!((first.events.len(), second.events.len(), second.next), (6, 4, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_just_full_is_the_last_one() {
    let (db, store) = scene().await;
    write_many(&db, 10).await;
    let only = page(&store, 10, None).await;
    assert_eq!((only.events.len(), only.next), (10, None));
    let first = page(&store, 9, None).await;
    assert_eq!(first.next, Some(EventCursor { after: at(9), upto: at(10), pruned: at(0) }));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_a_small_tenant_among_many_come_in_short_pages() {
    let (db, store) = scene().await;
    let rare = mint("/a", "w").tenant("small").mint;
    let claim = store.mint(rare).await.unwrap().claim.id;
    write_many(&db, 25_000).await;
    store.done(done(&claim)).await.unwrap();
    let small = || filter("small", "", "");
    let (mut pages, mut after, mut sequences) = (0, None, Vec::new());
    loop {
        let query = EventQuery { filter: small(), page_size: 10, after };
        let page = store.events().list(query).await.unwrap();
        pages += 1;
        sequences.extend(page.events.iter().map(|event| event.sequence.get()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(sequences, recorded(&db, "tenant_id = 'small'").await);
    assert!((2..10).contains(&pages), "{pages} pages, each bounded");
    // By entity it is a matter of one.
    assert_eq!(listed(&store, filter("small", "/a", ""), 10).await, sequences);
}
