//! Several servers, and connections that are cut.

use crate::support::line::{Line, Way};
use crate::support::stage::Stage;
use crate::support::{client, eventually, in_time, mint};
use claim_client::{ClaimId, HoldState};
use std::time::Duration;

#[tokio::test]
async fn a_cut_connection_is_no_loss_and_the_claim_is_heard_over_the_next() {
    let stage = Stage::start().await;
    let line = Line::to(stage.address).await;
    let guard = mint(&client(&[line.url()]), "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    line.set(Way::Cut);
    tokio::time::sleep(Duration::from_millis(300)).await;
    line.set(Way::Open);
    eventually("another stream", || stage.beats().iter().any(|beat| beat.stream > 0)).await;
    assert!(matches!(guard.state(), HoldState::Writing { .. }));
    assert!(!guard.cancellation().is_cancelled());
}

#[tokio::test]
async fn a_server_that_dies_hands_its_claims_to_the_next() {
    let (one, other) = (Stage::start().await, Stage::start().await);
    let lines = [Line::to(one.address).await, Line::to(other.address).await];
    let client = client(&[lines[0].url(), lines[1].url()]);
    let guard = mint(&client, "w_1").await;
    eventually("it is heard", || one.beats().len() + other.beats().len() >= 1).await;
    let (present, next) = if one.beats().is_empty() { (1, &one) } else { (0, &other) };
    lines[present].set(Way::Cut);
    eventually("the next hears it", || !next.beats().is_empty()).await;
    assert!(matches!(guard.state(), HoldState::Writing { .. }));
    // So does every other call.
    let id = ClaimId { tenant_id: String::new(), consumer_id: "w_1".into(), epoch: 1 };
    in_time("an answer", client.get_claim(&id)).await.unwrap();
}

#[tokio::test]
async fn clients_begin_with_different_servers() {
    let (one, other) = (Stage::start().await, Stage::start().await);
    let id = ClaimId { tenant_id: String::new(), consumer_id: "w_1".into(), epoch: 1 };
    for _ in 0..32 {
        client(&[one.url(), other.url()]).get_claim(&id).await.unwrap();
    }
    assert!(one.count("get_claim") > 0 && other.count("get_claim") > 0);
}
