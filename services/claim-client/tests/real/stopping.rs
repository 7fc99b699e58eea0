//! The service asks to finish.

use crate::support::operator::Operator;
use crate::support::programs::Server;
use crate::support::{TTL, client, entity, heard, in_time, may_write, mint};
use claim_client::Done;
use claim_client::v1::{EntitySignal, EntityState};
use claims::testing::TestDatabase;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_paused_entity_offers_stop_at_once_and_keeps_the_claim_while_the_work_winds_down() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    heard(&client, &guard).await;
    let asked = Instant::now();
    Operator::at(&server).await.signal(&entity("w_1"), EntitySignal::Stop).await;
    in_time("stop is offered", guard.stop_requested()).await;
    assert!(asked.elapsed() < TTL, "{:?}", asked.elapsed());

    let winding_down = Instant::now();
    while winding_down.elapsed() < TTL * 2 {
        assert!(may_write(&guard) && guard.is_stop_requested());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!guard.cancellation().is_cancelled());
    let ended = guard.done(Done::completed()).await.unwrap();
    assert_eq!((ended.entity_cleared, ended.entity_state()), (true, EntityState::Paused));
}

#[tokio::test]
async fn a_request_to_stop_is_withdrawn_when_the_entity_goes_on() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    heard(&client, &guard).await;
    let mut operator = Operator::at(&server).await;
    operator.signal(&entity("w_1"), EntitySignal::Stop).await;
    in_time("stop is offered", guard.stop_requested()).await;
    operator.signal(&entity("w_1"), EntitySignal::Cont).await;
    in_time("it is withdrawn", async {
        while guard.is_stop_requested() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    operator.signal(&entity("w_1"), EntitySignal::Term).await;
    in_time("stop is offered again", guard.stop_requested()).await;
    let ended = guard.done(Done::completed()).await.unwrap();
    assert_eq!(ended.entity_state(), EntityState::Stopped);
}
