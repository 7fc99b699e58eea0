//! How long a holder may write.

use crate::support::script::{RENEW, Reply};
use crate::support::stage::Stage;
use crate::support::{TTL, client, eventually, in_time, mint};
use claim_client::HoldState;
use std::time::{Duration, Instant};

/// The lease less its margin.
const TRUSTED: Duration = Duration::from_millis(1800);

fn until(state: &HoldState) -> Instant {
    match state {
        HoldState::Writing { until } => *until,
        other => panic!("writing is allowed: {other:?}"),
    }
}

#[tokio::test]
async fn the_time_to_write_counts_from_sending_and_not_from_a_late_answer() {
    let stage = Stage::start().await;
    let late = Duration::from_millis(1000);
    stage.script.set_beats(move |_| Reply::Renew { answer_after: late });
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    let first = until(&guard.state());
    eventually("the answer is here", || until(&guard.state()) != first).await;
    let sent_before = stage.beats()[0].at;
    assert!(until(&guard.state()) <= sent_before + TRUSTED, "not later than the server heard it");
    assert!(until(&guard.state()) >= sent_before + TRUSTED - Duration::from_millis(300));
}

#[tokio::test]
async fn the_time_to_write_of_a_mint_counts_from_sending_it() {
    let stage = Stage::start().await;
    let late = Duration::from_millis(700);
    stage.script.set_calls(move |_, _| crate::support::script::Act::AnswerAfter(late));
    let asked = Instant::now();
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    assert!(until(&guard.state()) <= asked + TRUSTED + Duration::from_millis(300));
    assert!(until(&guard.state()) <= Instant::now() + TRUSTED - late);
}

#[tokio::test]
async fn unanswered_heartbeats_suspend_writing_and_a_later_answer_gives_it_back() {
    let stage = Stage::start().await;
    stage.script.set_beats(|_| Reply::Silence);
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    let lost = guard.cancellation();
    let trusted_until = until(&guard.state());
    in_time("writing is suspended", guard.suspended()).await;
    assert!(Instant::now() >= trusted_until, "not before the lease may have run out");
    assert_eq!(guard.state(), HoldState::Suspended);

    let beats = stage.beats().len();
    eventually("heartbeats go on", || stage.beats().len() > beats).await;
    assert!(!lost.is_cancelled(), "nobody has said that the claim is lost");
    assert_eq!(guard.state(), HoldState::Suspended);

    stage.script.set_beats(|_| RENEW);
    let until = in_time("writing is allowed again", guard.may_write()).await.unwrap();
    assert!(until > Instant::now() && until <= Instant::now() + TTL);
    assert!(!lost.is_cancelled());
}

#[tokio::test]
async fn answered_heartbeats_keep_writing_allowed_for_longer_than_a_lease() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    let begin = Instant::now();
    while begin.elapsed() < TTL * 2 {
        assert!(matches!(guard.state(), HoldState::Writing { .. }), "{:?}", guard.state());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let beats = stage.beats();
    assert!((4..=8).contains(&beats.len()), "about three in a lease: {}", beats.len());
}

#[tokio::test]
async fn every_heartbeat_carries_the_token_and_a_tag_of_its_own() {
    let stage = Stage::start().await;
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    eventually("some heartbeats", || stage.beats().len() >= 3).await;
    let beats = stage.beats();
    assert!(beats.iter().all(|beat| beat.write_token == guard.write_token().reveal()));
    let tags: Vec<u64> = beats.iter().map(|beat| beat.tag).collect();
    assert!(tags[0] >= 1 && tags.is_sorted_by(|a, b| a < b), "{tags:?}");
}

#[tokio::test]
async fn a_note_goes_with_the_next_heartbeat_and_until_it_has_arrived() {
    let stage = Stage::start().await;
    stage.script.set_beats(|beat| match beat.progress {
        Some(_) if beat.tag < 3 => Reply::Silence,
        _ => RENEW,
    });
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    guard.set_progress("half way").unwrap();
    eventually("some heartbeats", || stage.beats().len() >= 4).await;
    let notes: Vec<bool> = stage.beats().iter().map(|beat| beat.progress.is_some()).collect();
    assert_eq!(notes[..4], [true, true, true, false]);
}
