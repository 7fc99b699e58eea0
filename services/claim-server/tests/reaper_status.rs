//! GetReaperStatus tells what the last pass of a real reaper left in the database.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::claim_admin_service_client::ClaimAdminServiceClient;
use claim_proto::v1::{GetReaperStatusRequest, GetReaperStatusResponse, ReaperPass};
use claims::testing::{TestDatabase, claim_id, entity_key, mint};
use std::time::Duration;
use support::{Server, channel, reap_once};

/// Due: lapsed for longer than the reap grace of 5 s.
const DUE: Duration = Duration::from_secs(6);

async fn status(server: &Server) -> GetReaperStatusResponse {
    let mut admin = ClaimAdminServiceClient::new(channel(server.address).await);
    admin.get_reaper_status(GetReaperStatusRequest {}).await.expect("a status").into_inner()
}

/// A pass without its times.
fn counts(pass: Option<ReaperPass>) -> ReaperPass {
    let pass = pass.expect("a pass");
    let (start, end) = (pass.start_time.expect("a time"), pass.end_time.expect("a time"));
    assert!((start.seconds, start.nanos) <= (end.seconds, end.nanos));
    ReaperPass { start_time: None, end_time: None, ..pass }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_pass_there_is_nothing_to_tell() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    assert_eq!(status(&server).await, GetReaperStatusResponse::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_pass_is_told_with_what_it_left() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let store = db.store();
    for number in 0..4 {
        let asked = mint(&format!("/e{number}"), &format!("w{number}")).mint;
        store.mint(asked).await.expect("a claim");
    }
    for number in 0..3 {
        db.lapse(&claim_id(&format!("w{number}"), 1), DUE).await;
    }
    let held = db.hold_entity(&entity_key("/e1")).await;
    assert_eq!(reap_once(db.url()).await.1["expired"], 2);

    let told = status(&server).await;
    assert_eq!(counts(told.last_pass), ReaperPass { expired: 2, ..Default::default() });
    assert_eq!((told.due_now, told.live_claims), (1, 2));
    let age = told.oldest_due_age.expect("an age").seconds;
    assert!((1..20).contains(&age), "due for a second and a bit: {age}");

    held.release().await;
    assert_eq!(reap_once(db.url()).await.1["expired"], 1);
    let told = status(&server).await;
    assert_eq!(counts(told.last_pass), ReaperPass { expired: 1, ..Default::default() });
    assert_eq!((told.due_now, told.oldest_due_age, told.live_claims), (0, None, 1));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pass_that_was_braked_tells_so() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let store = db.store();
    for number in 0..20 {
        let asked = mint(&format!("/e{number}"), &format!("w{number}")).mint;
        let id = store.mint(asked).await.expect("a claim").claim.id;
        db.lapse(&id, DUE).await;
    }
    let (code, summary) = reap_once(db.url()).await;
    assert_eq!((code, summary["held_back"].as_u64()), (3, Some(20)));
    let told = status(&server).await;
    let braked = ReaperPass { held_back: 20, hold_reason: "brake".into(), ..Default::default() };
    assert_eq!(counts(told.last_pass), braked);
    assert_eq!((told.due_now, told.live_claims), (20, 20));
}
