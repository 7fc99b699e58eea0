//! Calls with one answer: what is repeated, and what is not.

use crate::support::script::Act;
use crate::support::stage::Stage;
use crate::support::{claim, client, mint, status, status_retry};
use claim_client::{ClaimId, Client, Code, Error, HoldState, Refusal};
use std::time::{Duration, Instant};
use tonic::Status;

fn id() -> ClaimId {
    ClaimId { tenant_id: String::new(), consumer_id: "w_1".into(), epoch: 1 }
}

#[tokio::test]
async fn only_retryable_codes_are_repeated() {
    let again: [fn() -> Status; 4] = [
        || status(Code::Unavailable, "DATABASE_UNAVAILABLE"),
        || status(Code::DeadlineExceeded, "TIMED_OUT"),
        || status_retry(Code::ResourceExhausted, "OVERLOADED", Duration::from_millis(10)),
        // As the library calls an answer that was cut short.
        || Status::unknown("no status"),
    ];
    for failure in again {
        let stage = Stage::start().await;
        stage.script.set_calls(move |_, n| if n < 3 { Act::No(failure()) } else { Act::Answer });
        client(&[stage.url()]).get_claim(&id()).await.unwrap();
        assert_eq!(stage.count("get_claim"), 3, "{:?}", failure());
    }
    let once: [fn() -> Status; 5] = [
        || status(Code::NotFound, "CLAIM_NOT_FOUND"),
        || status(Code::InvalidArgument, "INVALID_FIELD"),
        || status(Code::ResourceExhausted, "WATCHER_TOO_SLOW"),
        || status(Code::Internal, "INTERNAL"),
        || Status::cancelled("somebody cancelled it"),
    ];
    for failure in once {
        let stage = Stage::start().await;
        stage.script.set_calls(move |_, _| Act::No(failure()));
        client(&[stage.url()]).get_claim(&id()).await.unwrap_err();
        assert_eq!(stage.count("get_claim"), 1, "{:?}", failure());
    }
}

#[tokio::test]
async fn a_repetition_waits_for_as_long_as_the_service_asks() {
    let stage = Stage::start().await;
    let asked = Duration::from_millis(700);
    stage.script.set_calls(move |_, n| match n {
        1 => Act::No(status_retry(Code::ResourceExhausted, "OVERLOADED", asked)),
        _ => Act::Answer,
    });
    client(&[stage.url()]).get_claim(&id()).await.unwrap();
    let calls = stage.calls();
    assert!(calls[1].at - calls[0].at >= asked);
}

#[tokio::test]
async fn a_mint_is_repeated_with_the_same_request_id() {
    let stage = Stage::start().await;
    stage.script.set_calls(|_, n| match n {
        1 => Act::No(status(Code::Unavailable, "DATABASE_UNAVAILABLE")),
        _ => Act::Answer,
    });
    let client = client(&[stage.url()]);
    let guard = mint(&client, "w_1").await;
    let calls = stage.calls();
    assert_eq!(calls.len(), 2);
    assert!(!calls[0].request_id.is_empty());
    assert_eq!(calls[0].request_id, calls[1].request_id);
    assert_eq!(guard.write_token().reveal(), "secret-1", "the token of the last answer");
    let _other = mint(&client, "w_2").await;
    assert_ne!(stage.calls()[2].request_id, calls[0].request_id);
}

#[tokio::test]
async fn the_lease_of_a_repeated_mint_counts_from_the_attempt_that_was_answered() {
    let stage = Stage::start().await;
    stage.script.set_calls(|_, n| if n == 1 { Act::Silence } else { Act::Answer });
    let ttl = Duration::from_secs(20);
    let guard = client(&[stage.url()]).mint(claim("w_1").lease_ttl(ttl)).await.unwrap();
    let calls = stage.calls();
    let between = calls[1].at - calls[0].at;
    assert!(between >= Duration::from_secs(5), "the first one had its time: {between:?}");
    let HoldState::Writing { until } = guard.state() else { panic!("{:?}", guard.state()) };
    assert!(until <= calls[1].at + ttl * 9 / 10, "not later than the server heard the second");
    assert!(until > calls[0].at + ttl * 9 / 10 + between / 2, "not from the first");
}

#[tokio::test]
async fn an_attempt_without_an_answer_is_given_up_for_the_other_server() {
    let (one, other) = (Stage::start().await, Stage::start().await);
    // Whichever is asked first stays silent.
    for stage in [&one, &other] {
        stage.script.set_calls(|_, n| if n == 1 { Act::Silence } else { Act::Answer });
    }
    let client = client(&[one.url(), other.url()]);
    let begin = Instant::now();
    // Both stay silent once; the third attempt is answered.
    client.get_claim(&id()).await.unwrap();
    assert!(one.count("get_claim") >= 1 && other.count("get_claim") >= 1);
    assert!(begin.elapsed() >= Duration::from_secs(10), "5 s for each attempt");
}

#[tokio::test]
async fn a_server_that_is_away_is_passed_by_without_delay() {
    let stage = Stage::start().await;
    let nobody = "http://127.0.0.1:1".to_owned();
    for _ in 0..8 {
        let begin = Instant::now();
        client(&[nobody.clone(), stage.url()]).get_claim(&id()).await.unwrap();
        assert!(begin.elapsed() < Duration::from_millis(500));
    }
}

#[tokio::test]
async fn a_call_ends_at_its_deadline_and_tells_what_the_last_attempt_ended_with() {
    let deadline = Duration::from_secs(1);
    let nobody = Client::builder(["http://127.0.0.1:1"]).call_deadline(deadline).build().unwrap();
    let begin = Instant::now();
    match nobody.get_claim(&id()).await.unwrap_err() {
        Error::Unavailable { attempts, last } => {
            assert!(attempts > 2, "{attempts}");
            assert_eq!(last.code, Code::Unavailable);
        }
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() <= deadline + Duration::from_millis(200));

    let silent = Stage::start().await;
    silent.script.set_calls(|_, _| Act::Silence);
    let client = Client::builder([silent.url()]).call_deadline(deadline).build().unwrap();
    let begin = Instant::now();
    match client.get_claim(&id()).await.unwrap_err() {
        Error::Unavailable { last, .. } => assert_eq!(last.code, Code::DeadlineExceeded),
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() <= deadline + Duration::from_millis(200));
}

#[tokio::test]
async fn a_refused_mint_is_told_by_its_type() {
    let stage = Stage::start().await;
    stage.script.set_calls(|_, _| Act::No(status(Code::AlreadyExists, "ALREADY_CLAIMED")));
    let refused = client(&[stage.url()]).mint(claim("w_1")).await.unwrap_err();
    assert!(matches!(refused.refusal(), Some(Refusal::AlreadyClaimed { .. })), "{refused}");
}
