//! The end of a claim, as its holder wants it or not.

use crate::support::script::{Act, Reply};
use crate::support::stage::Stage;
use crate::support::{TTL, client, eventually, in_time, mint, status};
use claim_client::{Client, Done, Error, HoldState, NotHeld};
use std::time::Duration;
use tonic::Code;

#[tokio::test]
async fn done_ends_the_heartbeats_and_is_no_loss() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    let (handle, lost) = (guard.handle(), guard.cancellation());
    let ended = guard.done(Done::completed().ack("/in/main", "7")).await.unwrap();
    assert!(ended.acks_recorded);
    eventually("it is over", || handle.state() == HoldState::Over).await;
    assert_eq!(handle.may_write().await, Err(NotHeld::Over));
    let beats = stage.beats().len();
    tokio::time::sleep(TTL).await;
    assert_eq!(stage.beats().len(), beats);
    assert!(!lost.is_cancelled());
}

#[tokio::test]
async fn a_claim_is_heartbeaten_until_its_done_is_answered() {
    let stage = Stage::start().await;
    stage.script.set_calls(|method, number| match (method, number) {
        ("done", 1) => Act::Silence,
        _ => Act::Answer,
    });
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    let handle = guard.handle();
    let done = tokio::spawn(guard.done(Done::completed()));
    eventually("the done is on its way", || stage.count("done") == 1).await;
    let beats = stage.beats().len();
    eventually("heartbeats go on", || stage.beats().len() >= beats + 4).await;
    assert!(!done.is_finished());
    assert!(matches!(handle.state(), HoldState::Writing { .. }));
    in_time("the second attempt is answered", done).await.unwrap().unwrap();
    assert_eq!(stage.count("done"), 2);
}

#[tokio::test]
async fn a_heartbeat_that_finds_the_claim_released_by_our_own_done_is_no_loss() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    stage.script.set_calls(|_, _| Act::AnswerAfter(TTL));
    stage.script.set_beats(|_| Reply::No(status(Code::FailedPrecondition, "CLAIM_RELEASED")));
    let lost = guard.cancellation();
    let heard = stage.beats().len();
    guard.done(Done::completed()).await.unwrap();
    assert!(stage.beats().len() > heard, "a heartbeat met the done");
    assert!(!lost.is_cancelled());
}

#[tokio::test]
async fn a_done_that_nobody_answers_gives_the_guard_back_alive() {
    let stage = Stage::start().await;
    let deadline = Duration::from_secs(2);
    let client = Client::builder([stage.url()]).call_deadline(deadline).build().unwrap();
    let guard = mint(&client, "w_1").await;
    let unavailable = || status(Code::Unavailable, "DATABASE_UNAVAILABLE");
    stage.script.set_calls(move |_, _| Act::No(unavailable()));
    let failed = guard.done(Done::completed()).await.unwrap_err();
    assert!(matches!(failed.error, Error::Unavailable { .. }), "{failed}");
    let beats = stage.beats().len();
    eventually("heartbeats go on", || stage.beats().len() > beats + 1).await;
    stage.script.set_calls(|_, _| Act::Answer);
    failed.guard.done(Done::completed()).await.unwrap();
}

#[tokio::test]
async fn a_guard_dropped_without_done_ends_its_heartbeats_and_no_others() {
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    let (dropped, kept) = (mint(&client, "w_1").await, mint(&client, "w_2").await);
    eventually("both are heard", || {
        ["w_1", "w_2"].iter().all(|consumer| !stage.beats_of(consumer).is_empty())
    })
    .await;
    let handle = dropped.handle();
    drop(dropped);
    eventually("it is over", || handle.state() == HoldState::Over).await;
    let beats = stage.beats_of("w_1").len();
    let others = stage.beats_of("w_2").len();
    eventually("the other goes on", || stage.beats_of("w_2").len() > others + 3).await;
    assert_eq!(stage.beats_of("w_1").len(), beats);
    assert_eq!(stage.count("done"), 0);
    assert!(matches!(kept.state(), HoldState::Writing { .. }));
}

#[tokio::test]
async fn a_mint_whose_caller_has_gone_is_not_heartbeaten() {
    let stage = Stage::start().await;
    stage.script.set_calls(|_, _| Act::AnswerAfter(Duration::from_millis(300)));
    let client = client(&[stage.url()]);
    let minting = tokio::time::timeout(Duration::from_millis(100), mint(&client, "w_1"));
    assert!(minting.await.is_err());
    eventually("it was asked for", || stage.count("mint") == 1).await;
    tokio::time::sleep(TTL).await;
    assert_eq!(stage.beats().len(), 0);
}
