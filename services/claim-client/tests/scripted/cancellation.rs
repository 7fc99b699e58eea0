//! What ends the work, and what does not.

use crate::support::script::{RENEW, Reply};
use crate::support::stage::Stage;
use crate::support::{claim, client, eventually, in_time, mint, status, status_retry};
use claim_client::{CancelOn, HoldState, NotHeld, Refusal};
use std::time::Duration;
use tonic::{Code, Status};

#[tokio::test]
async fn a_definite_refusal_fires_the_token_and_ends_the_heartbeats() {
    let refusals = [
        (Code::FailedPrecondition, "CLAIM_SUPERSEDED"),
        (Code::FailedPrecondition, "CLAIM_EXPIRED"),
        (Code::FailedPrecondition, "CLAIM_REVOKED"),
        (Code::FailedPrecondition, "CEILING_REACHED"),
        (Code::PermissionDenied, "WRITE_TOKEN_INVALID"),
        (Code::NotFound, "CLAIM_NOT_FOUND"),
    ];
    let checks = refusals.map(async |(code, reason)| {
        let stage = Stage::start().await;
        stage.script.set_beats(move |_| Reply::No(status(code, reason)));
        let guard = mint(&client(&[stage.url()]), "w_1").await;
        in_time(reason, guard.cancellation().cancelled()).await;
        assert!(matches!(guard.state(), HoldState::Lost(_)), "{reason}: {:?}", guard.state());
        assert!(matches!(guard.may_write().await, Err(NotHeld::Lost(_))), "{reason}");
        tokio::time::sleep(Duration::from_millis(1000)).await;
        assert_eq!(stage.beats().len(), 1, "{reason}: nothing is left to be renewed");
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn what_is_not_about_the_claim_is_no_loss_however_long_it_lasts() {
    let failures: [fn() -> Status; 7] = [
        || status(Code::Unavailable, "DATABASE_UNAVAILABLE"),
        || status(Code::DeadlineExceeded, "TIMED_OUT"),
        || status_retry(Code::ResourceExhausted, "OVERLOADED", Duration::from_millis(100)),
        || status(Code::Internal, "INTERNAL"),
        || status(Code::Unauthenticated, "UNAUTHENTICATED"),
        || status(Code::PermissionDenied, "NOT_PERMITTED"),
        || Status::failed_precondition("CLAIM_EXPIRED, says somebody without a reason"),
    ];
    let checks = failures.map(async |failure| {
        let stage = Stage::start().await;
        stage.script.set_beats(move |_| Reply::No(failure()));
        let guard = mint(&client(&[stage.url()]), "w_1").await;
        in_time("writing is suspended", guard.suspended()).await;
        let beats = stage.beats().len();
        assert!(beats >= 2, "it was tried again: {beats}");
        eventually("heartbeats go on", || stage.beats().len() > beats).await;
        assert!(!guard.cancellation().is_cancelled(), "{:?}", failure());
        stage.script.set_beats(|_| RENEW);
        in_time("writing is allowed again", guard.may_write()).await.unwrap();
    });
    futures_util::future::join_all(checks).await;
}

#[tokio::test]
async fn work_that_must_not_go_on_unheld_is_cancelled_when_the_lease_may_have_run_out() {
    let stage = Stage::start().await;
    stage.script.set_beats(|_| Reply::Silence);
    let client = client(&[stage.url()]);
    let asked = claim("w_1").cancel_on(CancelOn::Suspension);
    let strict = client.mint(asked).await.unwrap();
    let patient = mint(&client, "w_2").await;
    in_time("the strict one is cancelled", strict.cancellation().cancelled()).await;
    assert_eq!(strict.state(), HoldState::Suspended);
    in_time("the patient one is suspended", patient.suspended()).await;
    assert!(!patient.cancellation().is_cancelled());

    // It winds down, and its claim is renewed all the same.
    stage.script.set_beats(|_| RENEW);
    in_time("it may write its last words", strict.may_write()).await.unwrap();
    assert!(strict.cancellation().is_cancelled(), "what was cancelled stays so");
}

#[tokio::test]
async fn work_that_goes_on_without_its_guard_is_told() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    let (lost, handle) = (guard.cancellation(), guard.handle());
    // As a task does that fails.
    drop(guard);
    in_time("it is cancelled", lost.cancelled()).await;
    assert_eq!(handle.state(), HoldState::Over);
    assert_eq!(handle.may_write().await, Err(NotHeld::Over));
}

#[tokio::test]
async fn a_token_that_the_work_cancels_concerns_nobody_else() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    guard.cancellation().cancel();
    assert!(!guard.cancellation().is_cancelled());
    assert!(matches!(guard.state(), HoldState::Writing { .. }));
}

#[tokio::test]
async fn the_reason_of_a_loss_is_told_with_what_came_with_it() {
    let stage = Stage::start().await;
    stage.script.set_beats(|_| Reply::No(status(Code::FailedPrecondition, "CEILING_REACHED")));
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    in_time("a loss", guard.cancellation().cancelled()).await;
    assert_eq!(guard.state(), HoldState::Lost(Refusal::CeilingReached));
    let not_held = guard.may_write().await.unwrap_err();
    assert_eq!(not_held.to_string(), "the claim is lost: the claim has reached its ceiling");
}
