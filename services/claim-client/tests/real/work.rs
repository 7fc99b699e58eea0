//! Mint, work, done.

use crate::support::programs::{Server, reap};
use crate::support::{TTL, claim, client, entity, heard, id, in_time, may_write, mint};
use claim_client::v1::{ClaimState, EntityState};
use claim_client::{Done, HoldState, Refusal};
use claims::testing::{TestDatabase, claim_id};
use std::time::Duration;

#[tokio::test]
async fn a_claim_is_minted_worked_under_and_done() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let asked = claim("w_1").wake_id("wake-7").runner_id("runner-1");
    let guard = client.mint(asked).await.unwrap();
    let minted = guard.claim();
    assert_eq!(
        (minted.entity_url.as_str(), minted.stream_path.as_str()),
        ("/chat/w_1", "/chat/w_1/main")
    );
    assert_eq!((minted.epoch, minted.fence), (1, 1));
    assert_eq!((minted.wake_id.as_str(), minted.runner_id.as_str()), ("wake-7", "runner-1"));
    assert!(!guard.is_remint() && guard.ended_predecessor().is_none());

    guard.set_progress("half way").unwrap();
    // For longer than two leases.
    for _ in 0..60 {
        in_time("writing is allowed", guard.may_write()).await.unwrap();
        let token = guard.write_token().reveal();
        let write = client.authorize_write("", &minted.stream_path, token).await.unwrap();
        assert_eq!((write.consumer_id.as_str(), write.epoch, write.fence), ("w_1", 1, 1));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let seen = client.get_claim(guard.id()).await.unwrap();
    assert_eq!((seen.state(), seen.progress.as_str()), (ClaimState::Active, "half way"));

    let lost = guard.cancellation();
    let (stream, token) = (minted.stream_path.clone(), guard.write_token().clone());
    let ended = guard.done(Done::completed().ack("/in/main", "41")).await.unwrap();
    assert!(ended.entity_cleared && ended.acks_recorded && !ended.already_ended);
    assert_eq!(ended.entity_state(), EntityState::Idle);
    let claim = ended.claim.unwrap();
    assert_eq!(claim.state(), ClaimState::Released);
    assert_eq!(claim.acked_streams[0].offset, "41");
    assert!(!lost.is_cancelled());
    let refused = client.authorize_write("", stream, token.reveal()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::WriteTokenInvalid));
    db.check_invariants().await;
}

#[tokio::test]
async fn a_failure_is_reported_with_what_went_wrong() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    let ended = guard.done(Done::failed("out of paper")).await.unwrap();
    assert_eq!(ended.claim.unwrap().state(), ClaimState::Failed);
    assert_eq!(client.get_entity("", entity("w_1")).await.unwrap().last_error, "out of paper");
}

#[tokio::test]
async fn a_process_that_lost_its_guard_ends_the_claim_by_its_identity() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let guard = mint(&client(&[server.url()]), "w_1").await;
    drop(guard);
    let after_a_restart = client(&[server.url()]);
    let ended = after_a_restart.done(&id("w_1", 1), Done::completed()).await.unwrap();
    assert!(ended.entity_cleared && !ended.already_ended);
    let refused = after_a_restart.done(&id("w_2", 1), Done::completed()).await.unwrap_err();
    assert_eq!(refused.refusal(), Some(&Refusal::ClaimNotFound));
}

#[tokio::test]
async fn a_guard_dropped_without_done_lets_the_lease_lapse_and_the_reaper_end_the_claim() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    heard(&client, &guard).await;
    drop(guard);
    assert_eq!(client.get_claim(&id("w_1", 1)).await.unwrap().state(), ClaimState::Active);
    in_time("the lease lapses", async {
        while !client.get_claim(&id("w_1", 1)).await.unwrap().lapsed {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    })
    .await;
    // The reap grace passes.
    db.age(&claim_id("w_1", 1), Duration::from_secs(5)).await;
    reap(db.url()).await;
    assert_eq!(client.get_claim(&id("w_1", 1)).await.unwrap().state(), ClaimState::Expired);
    assert_eq!(mint(&client, "w_1").await.claim().fence, 2);
}

#[tokio::test]
async fn a_claimed_entity_is_refused_with_its_holder_and_the_time_to_come_back() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let _holder = mint(&client, "w_1").await;
    let other = claim_client::MintRequest::new(entity("w_1"), "w_2");
    match client.mint(other).await.unwrap_err().refusal() {
        Some(Refusal::AlreadyClaimed { holder_consumer_id, holder_epoch, takeable_in }) => {
            assert_eq!((holder_consumer_id.as_str(), *holder_epoch), ("w_1", 1));
            assert!(*takeable_in <= TTL && *takeable_in > TTL / 2);
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn limits_are_the_services_and_named_by_it() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let asked = claim("w_1").lease_ttl(Duration::from_millis(1));
    match client.mint(asked).await.unwrap_err().refusal() {
        Some(Refusal::InvalidField(fields)) => assert_eq!(fields[0].field, "lease_ttl"),
        other => panic!("{other:?}"),
    }
    let guard = client.mint(claim("w_1").lease_ttl(Duration::MAX)).await;
    assert!(matches!(guard.unwrap_err().refusal(), Some(Refusal::InvalidField(_))));
}

#[test]
fn work_that_blocks_every_thread_of_its_runtime_does_not_let_the_lease_lapse() {
    let watching = tokio::runtime::Runtime::new().unwrap();
    let db = watching.block_on(TestDatabase::in_service());
    let server = watching.block_on(Server::start(db.url()));
    let working =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let guard = working.block_on(async { mint(&client(&[server.url()]), "w_1").await });
    for _ in 0..2 {
        // What no async code should do.
        working.spawn(async { std::thread::sleep(TTL * 3) });
    }
    let looking = watching.block_on(async { client(&[server.url()]) });
    let begin = std::time::Instant::now();
    while begin.elapsed() < TTL * 5 / 2 {
        assert!(may_write(&guard), "{:?}", guard.state());
        let seen = watching.block_on(looking.get_claim(&id("w_1", 1))).unwrap();
        assert!(!seen.lapsed);
        std::thread::sleep(Duration::from_millis(50));
    }
    watching.block_on(guard.done(Done::completed())).unwrap();
}

#[tokio::test]
async fn a_handle_tells_that_the_claim_is_over_when_its_guard_is_gone() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let guard = mint(&client(&[server.url()]), "w_1").await;
    let handle = guard.handle();
    guard.done(Done::completed()).await.unwrap();
    in_time("it is over", async {
        while handle.state() != HoldState::Over {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
