//! Streams that end, fall silent or lead nowhere.

use crate::support::line::{Line, Way};
use crate::support::script::{RENEW, Reply};
use crate::support::stage::Stage;
use crate::support::{TTL, claim, client, eventually, in_time, mint, status, status_retry};
use claim_client::{Client, HoldState};
use std::time::Duration;
use tonic::Code;

/// The contract: a heartbeat that is unanswered or failed is sent again within so long of its
/// sending.
const AGAIN: Duration = Duration::from_secs(5);

/// A client that begins with the first of two servers.
async fn client_at_first(first: &Stage, addresses: &[String]) -> Client {
    loop {
        let client = client(addresses);
        let asked = first.count("get_claim");
        let id =
            claim_client::ClaimId { tenant_id: String::new(), consumer_id: "w".into(), epoch: 1 };
        client.get_claim(&id).await.expect("a claim");
        if first.count("get_claim") > asked {
            return client;
        }
    }
}

#[tokio::test]
async fn a_draining_server_is_left_at_once_and_every_claim_heartbeats_anew_at_the_next() {
    let (one, other) = (Stage::start().await, Stage::start().await);
    let client = client_at_first(&one, &[one.url(), other.url()]).await;
    let guards =
        [mint(&client, "w_1").await, mint(&client, "w_2").await, mint(&client, "w_3").await];
    eventually("all are heard", || (1..=3).all(|n| !one.beats_of(&format!("w_{n}")).is_empty()))
        .await;
    let draining = || status_retry(Code::Unavailable, "DRAINING", Duration::from_millis(100));
    one.script.set_beats(move |_| Reply::End(draining()));
    eventually("all are heard by the other", || {
        (1..=3).all(|n| !other.beats_of(&format!("w_{n}")).is_empty())
    })
    .await;
    let first_there = other.beats().iter().map(|beat| beat.at).min().expect("heartbeats");
    let last_there =
        (1..=3).map(|n| other.beats_of(&format!("w_{n}"))[0].at).max().expect("heartbeats");
    let last_here = one.beats().iter().map(|beat| beat.at).max().expect("heartbeats");
    assert!(first_there - last_here < Duration::from_millis(500), "nobody waits to go on");
    assert!(last_there - first_there < Duration::from_millis(200), "not each in its own time");
    assert!(guards.iter().all(|guard| matches!(guard.state(), HoldState::Writing { .. })));
    assert_eq!(other.streams(), 1);
}

#[tokio::test]
async fn a_black_hole_is_left_in_time_for_the_next_heartbeat() {
    let (one, other) = (Stage::start().await, Stage::start().await);
    let line = Line::to(one.address).await;
    let client = client_at_first(&one, &[line.url(), other.url()]).await;
    let guard = client.mint(claim("w_1").lease_ttl(TTL * 4)).await.unwrap();
    eventually("it is heard", || !one.beats().is_empty()).await;
    let before = one.beats().len();
    line.set(Way::BlackHole);
    eventually("the other hears it", || !other.beats().is_empty()).await;
    assert_eq!(one.beats().len(), before, "nothing passed");
    let last = one.beats()[before - 1].at;
    let next_due = Duration::from_millis(2_700);
    assert!(other.beats()[0].at - last < next_due + AGAIN);
    assert!(matches!(guard.state(), HoldState::Writing { .. }), "the lease was long enough");
}

#[tokio::test]
async fn a_black_hole_of_the_only_server_is_left_for_a_fresh_connection() {
    let stage = Stage::start().await;
    let line = Line::to(stage.address).await;
    let guard = mint(&client(&[line.url()]), "w_1").await;
    eventually("it is heard", || !stage.beats().is_empty()).await;
    line.set(Way::BlackHole);
    in_time("writing is suspended", guard.suspended()).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!guard.cancellation().is_cancelled());
    line.set(Way::Open);
    in_time("writing is allowed again", guard.may_write()).await.unwrap();
    assert!(stage.beats().last().expect("heartbeats").stream > 0, "over another stream");
}

#[tokio::test]
async fn an_unanswered_heartbeat_is_sent_again_within_five_seconds_whatever_the_interval() {
    let stage = Stage::start().await;
    // Of such a lease the next heartbeat would be due after 10 s.
    let long = claim("w_1").lease_ttl(Duration::from_secs(30));
    let short = claim("w_2").lease_ttl(Duration::from_secs(1));
    let client = client(&[stage.url()]);
    // The short one keeps the stream from falling silent.
    let _short = client.mint(short).await.unwrap();
    let _long = client.mint(long).await.unwrap();
    stage.script.set_beats(|beat| if beat.consumer == "w_1" { Reply::Silence } else { RENEW });
    eventually("two heartbeats", || stage.beats_of("w_1").len() >= 2).await;
    let beats = stage.beats_of("w_1");
    assert!(beats[1].at - beats[0].at <= AGAIN, "{:?}", beats[1].at - beats[0].at);
    assert_eq!(beats[0].stream, beats[1].stream, "the stream was not silent");
}

#[tokio::test]
async fn a_heartbeat_that_fails_is_sent_again_within_five_seconds_whatever_the_server_asks() {
    let stage = Stage::start().await;
    let later = || status_retry(Code::Unavailable, "DATABASE_UNAVAILABLE", Duration::from_secs(60));
    stage.script.set_beats(move |_| Reply::No(later()));
    let long = claim("w_1").lease_ttl(Duration::from_secs(30));
    let _guard = client(&[stage.url()]).mint(long).await.unwrap();
    eventually("two heartbeats", || stage.beats().len() >= 2).await;
    let beats = stage.beats();
    assert!(beats[1].at - beats[0].at <= AGAIN);
    assert!(beats[1].at - beats[0].at >= Duration::from_secs(4), "as late as it may be");
}

#[tokio::test]
async fn a_stream_whose_server_asks_to_stay_away_is_opened_when_a_heartbeat_falls_due() {
    let stage = Stage::start().await;
    let client = client(&[stage.url()]);
    let guard = client.mint(claim("w_1").lease_ttl(TTL * 3)).await.unwrap();
    let away = || status_retry(Code::Unavailable, "DRAINING", Duration::from_secs(60));
    stage.script.set_beats(move |beat| match beat.stream {
        // The stream ends when its heartbeat has been answered and none is out.
        0 => Reply::RenewAndEnd(away()),
        _ => RENEW,
    });
    eventually("it is heard again", || stage.beats().len() >= 2).await;
    assert!(matches!(guard.state(), HoldState::Writing { .. }), "{:?}", guard.state());
}

#[tokio::test]
async fn a_stream_that_ends_again_and_again_is_opened_ever_more_slowly_and_never_given_up() {
    let stage = Stage::start().await;
    stage.script.set_beats(|_| Reply::End(status(Code::Unavailable, "DATABASE_UNAVAILABLE")));
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    in_time("writing is suspended", guard.suspended()).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    let streams = stage.streams();
    assert!((4..=20).contains(&streams), "{streams}");
    let beats = stage.beats();
    for pair in beats.windows(2) {
        assert!(pair[1].at - pair[0].at <= AGAIN, "each is a heartbeat that failed");
    }
    assert!(!guard.cancellation().is_cancelled());
    stage.script.set_beats(|_| RENEW);
    in_time("writing is allowed again", guard.may_write()).await.unwrap();
}

#[tokio::test]
async fn a_server_that_wants_other_credentials_is_no_reason_to_give_a_claim_up() {
    // The stream itself is refused, for a reason that has nothing to do with any claim.
    let stage = Stage::start().await;
    stage.script.set_beats(|_| Reply::End(status(Code::Unauthenticated, "UNAUTHENTICATED")));
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    in_time("writing is suspended", guard.suspended()).await;
    assert!(!guard.cancellation().is_cancelled());
    stage.script.set_beats(|_| RENEW);
    in_time("writing is allowed again", guard.may_write()).await.unwrap();
}

#[tokio::test]
async fn answers_of_a_stream_that_was_given_up_change_nothing() {
    let stage = Stage::start().await;
    // The first stream answers only after it has been given up for its silence.
    let late = Duration::from_millis(3500);
    stage.script.set_beats(move |beat| match beat.stream {
        0 => Reply::Renew { answer_after: late },
        _ => Reply::Silence,
    });
    let guard = mint(&client(&[stage.url()]), "w_1").await;
    in_time("writing is suspended", guard.suspended()).await;
    eventually("another stream", || stage.streams() >= 2).await;
    tokio::time::sleep(late).await;
    assert_eq!(guard.state(), HoldState::Suspended);
}
