//! The database goes away for longer than a lease.

use crate::support::programs::Server;
use crate::support::{TTL, client, heard, in_time, mint};
use claim_client::{Done, HoldState};
use claims::testing::{Proxy, Road, TestDatabase};
use std::time::Duration;

#[tokio::test]
async fn an_outage_longer_than_a_lease_suspends_the_work_and_costs_nobody_the_claim() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let server = Server::start(proxy.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    heard(&client, &guard).await;
    proxy.set(Road::BlackHole);
    in_time("writing is suspended", guard.suspended()).await;
    tokio::time::sleep(TTL * 2).await;
    assert_eq!(guard.state(), HoldState::Suspended);
    assert!(!guard.cancellation().is_cancelled(), "nobody has said that it is lost");

    proxy.set(Road::Open);
    let waited = tokio::time::timeout(Duration::from_secs(15), guard.may_write()).await;
    waited.expect("it comes back by itself").unwrap();
    let token = guard.write_token().reveal();
    client.authorize_write("", &guard.claim().stream_path, token).await.unwrap();
    assert!(guard.done(Done::completed()).await.unwrap().entity_cleared);
    db.check_invariants().await;
}
