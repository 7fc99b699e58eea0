//! Watches that go on although their servers do not.

use crate::support::programs::Server;
use crate::support::{client, in_time, mint};
use claim_client::v1::{ClaimEvent, ListClaimEventsRequest, WatchClaimEventsRequest};
use claim_client::{Client, Done, Refusal, WatchItem};
use claims::testing::TestDatabase;
use std::time::Duration;

/// Claims that are minted and done while servers are killed.
const CLAIMS: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_outlives_its_servers_and_gives_every_event_once_and_in_order() {
    let db = TestDatabase::in_service().await;
    let mut servers = [Server::start(db.url()).await, Server::start(db.url()).await];
    let addresses = [servers[0].url(), servers[1].url()];
    let (working, watching) = (client(&addresses), client(&addresses));
    let ask = WatchClaimEventsRequest { after_sequence: Some(0), ..Default::default() };
    let watch = watching.watch_claim_events(ask);
    let events = tokio::spawn(collect(watch, CLAIMS * 2));
    for n in 0..CLAIMS {
        mint(&working, &format!("w_{n}")).await.done(Done::completed()).await.unwrap();
        if n % 10 == 9 {
            let server = &mut servers[(n / 10) % 2];
            let address = server.address.to_string();
            server.kill().await;
            *server = Server::start_at(db.url(), &address).await;
        }
    }
    let seen = in_time("every event", events).await.unwrap();
    assert_eq!(seen, listed(&working).await);
    assert_eq!(seen.len(), CLAIMS * 2);
}

#[tokio::test]
async fn a_watch_of_what_was_removed_is_refused_by_its_type() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    for n in 0..3 {
        mint(&client, &format!("w_{n}")).await.done(Done::completed()).await.unwrap();
    }
    let events = listed(&client).await;
    let (first, last) = (events[0].sequence, events[4].sequence);
    db.sql
        .batch_execute(&format!("DELETE FROM claim_events WHERE sequence <= {last}"))
        .await
        .unwrap();
    let pruned = "UPDATE claim_events_pruned SET highest_sequence =";
    db.sql.batch_execute(&format!("{pruned} {last}")).await.unwrap();

    let ask = WatchClaimEventsRequest { after_sequence: Some(first), ..Default::default() };
    let refused = client.watch_claim_events(ask).next().await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::EventsPruned { pruned_sequence: last }));
}

#[tokio::test]
async fn a_watch_from_now_on_tells_first_where_it_begins() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    mint(&client, "w_1").await.done(Done::completed()).await.unwrap();
    let mut watch = client.watch_claim_events(WatchClaimEventsRequest::default());
    assert_eq!(watch.position(), None);
    let last = listed(&client).await.last().unwrap().sequence;
    assert_eq!(watch.next().await.unwrap(), WatchItem::Checkpoint(last));
    assert_eq!(watch.position(), Some(last));
    let _guard = mint(&client, "w_2").await;
    let next = in_time("an event", async {
        loop {
            if let WatchItem::Event(event) = watch.next().await.unwrap() {
                return event;
            }
        }
    });
    assert_eq!(next.await.consumer_id, "w_2");
    // It may be dropped while it waits, and asked again.
    assert!(tokio::time::timeout(Duration::from_millis(50), watch.next()).await.is_err());
}

async fn collect(mut watch: claim_client::EventWatch, count: usize) -> Vec<ClaimEvent> {
    let mut events = Vec::new();
    while events.len() < count {
        if let WatchItem::Event(event) = watch.next().await.expect("an item") {
            events.push(event);
        }
    }
    events
}

async fn listed(client: &Client) -> Vec<ClaimEvent> {
    let ask = ListClaimEventsRequest { page_size: 1000, ..Default::default() };
    client.list_claim_events(ask).await.expect("a page").events
}
