//! What a server says without being asked.

use crate::support::script::{RENEW, Reply};
use crate::support::stage::Stage;
use crate::support::{TTL, claim, client, eventually, in_time, mint, status};
use claim_client::{Done, HoldState, MintRequest};
use claim_proto::v1::keep_alive_response::Result as Answer;
use std::time::Duration;
use tonic::Code;

/// An error as it stands in an answer.
fn ended(reason: &str) -> Answer {
    use prost::Message;
    let status = status(Code::FailedPrecondition, reason);
    Answer::Error(tonic_types::Status::decode(status.details()).expect("details"))
}

#[tokio::test]
async fn a_push_that_the_claim_is_lost_fires_the_token_of_that_claim_alone() {
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    // Of such leases the next heartbeats are due after 10 s.
    let long = |consumer| claim(consumer).lease_ttl(Duration::from_secs(30));
    let one = client.mint(long("w_1")).await.unwrap();
    let other = client.mint(long("w_2")).await.unwrap();
    eventually("both are heard", || stage.beats().len() >= 2).await;
    stage.script.set_beats(|beat| match &*beat.consumer {
        "w_1" => Reply::No(status(Code::FailedPrecondition, "CLAIM_SUPERSEDED")),
        _ => RENEW,
    });
    let heard = stage.beats().len();
    stage.push("w_1", 1, &ended("CLAIM_SUPERSEDED"));
    in_time("a loss", one.cancellation().cancelled()).await;
    assert_eq!(stage.beats().len(), heard + 1, "it was asked for at once");
    assert!(matches!(one.state(), HoldState::Lost(_)));
    assert!(matches!(other.state(), HoldState::Writing { .. }));
}

#[tokio::test]
async fn stop_is_offered_by_push_and_by_answer_and_heartbeats_go_on() {
    for by_push in [true, false] {
        let stage = Stage::start().await;
        stage.script.set_beats(move |_| if by_push { RENEW } else { Reply::Stop });
        let guard = mint(&client(&[stage.url()]), "w_1").await;
        assert!(!guard.is_stop_requested());
        eventually("it is heard", || !stage.beats().is_empty()).await;
        if by_push {
            stage.script.set_beats(|_| Reply::Stop);
            stage.push_stop("w_1", 1);
        }
        in_time("stop is offered", guard.stop_requested()).await;
        assert!(guard.is_stop_requested());
        assert!(!guard.cancellation().is_cancelled(), "it is a request");
        let beats = stage.beats().len();
        eventually("heartbeats go on", || stage.beats().len() > beats + 1).await;
        in_time("writing is allowed", guard.may_write()).await.unwrap();
    }
}

#[tokio::test]
async fn a_request_to_stop_that_is_withdrawn_is_offered_no_longer() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    stage.script.set_beats(|_| Reply::Stop);
    in_time("stop is offered", guard.stop_requested()).await;
    stage.script.set_beats(|_| RENEW);
    eventually("it is withdrawn", || !guard.is_stop_requested()).await;
}

#[tokio::test]
async fn a_push_extends_no_lease() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    stage.script.set_beats(|_| Reply::Silence);
    let response = claim_proto::v1::HeartbeatResponse {
        lease_remaining: Some(prost_types::Duration { seconds: 600, nanos: 0 }),
        heartbeat_interval: Some(prost_types::Duration { seconds: 200, nanos: 0 }),
        ..Default::default()
    };
    stage.push("w_1", 1, &Answer::Response(response));
    in_time("writing is suspended", guard.suspended()).await;
}

#[tokio::test]
async fn a_push_that_may_be_about_several_claims_makes_each_ask_for_itself() {
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    let of = |tenant: &str| MintRequest::new("/chat/a", "w_1").tenant_id(tenant).lease_ttl(TTL * 3);
    let (one, other) = (client.mint(of("t1")).await.unwrap(), client.mint(of("t2")).await.unwrap());
    eventually("both are heard", || stage.beats().len() >= 2).await;
    let heard = stage.beats().len();
    stage.push("w_1", 1, &ended("CLAIM_REVOKED"));
    eventually("both ask", || stage.beats().len() >= heard + 2).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    for guard in [&one, &other] {
        assert!(matches!(guard.state(), HoldState::Writing { .. }), "the answers were good");
    }
    // What happened to the claim of one tenant is told when only that of the other is held.
    one.done(Done::completed()).await.unwrap();
    stage.push("w_1", 1, &ended("CLAIM_RELEASED"));
    let heard = stage.beats().len();
    eventually("it asks", || stage.beats().len() > heard).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(matches!(other.state(), HoldState::Writing { .. }), "it was another tenant's");
}

#[tokio::test]
async fn a_push_about_a_claim_that_is_not_held_here_is_nobodys() {
    let stage = Stage::start().await;
    let guard = client(&[stage.url()]).mint(claim("w_1").epoch("sub", 7)).await.unwrap();
    eventually("it is heard", || !stage.beats().is_empty()).await;
    stage.push("w_1", 6, &ended("CLAIM_SUPERSEDED"));
    stage.push("w_2", 7, &ended("CLAIM_SUPERSEDED"));
    stage.push("w_1", 7, &Answer::Response(claim_proto::v1::HeartbeatResponse::default()));
    let beats = stage.beats().len();
    eventually("it goes on", || stage.beats().len() > beats).await;
    assert!(matches!(guard.state(), HoldState::Writing { .. }));
}
