//! Quotas as callers meet them: a tenant beyond its own is refused and told when to come back, and nobody
//! else is concerned.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{
    DoneRequest, GetEntityRequest, HeartbeatBatchRequest, HeartbeatRequest, MintRequest,
    WatchClaimEventsRequest, watch_claim_events_response::Item,
};
use claims::testing::TestDatabase;
use futures_util::future::join_all;
use std::time::{Duration, Instant};
use support::quota_file::QuotaFile;
use support::refusal::Refusal;
use support::streams::KeepAlive;
use support::{Client, PATIENCE, Server, done, eventually, heartbeat, mint, mint_epoch, reason};
use tonic::{Code, Status};

/// A server with those quotas, on a database of its own.
async fn start(quotas: &str) -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let file = QuotaFile::saying(quotas);
    let server = Server::start_with(db.url(), &file.setting()).await;
    let client = server.client().await;
    (db, server, client)
}

/// As [`mint`], in that tenant.
fn mint_in(tenant: &str, entity: &str, consumer: &str) -> MintRequest {
    MintRequest { tenant_id: tenant.into(), ..mint(entity, consumer) }
}

/// Of a quota that is used up, when to come back.
fn exceeded(status: &Status) -> Duration {
    let refusal = Refusal::of(status);
    assert_eq!(refusal.kind(), (Code::ResourceExhausted, "QUOTA_EXCEEDED"), "{status:?}");
    assert_eq!(refusal.keys(), [] as [&str; 0]);
    refusal.retry.expect("a time to come back")
}

async fn live_claims(db: &TestDatabase) -> i64 {
    db.number("SELECT count(*) FROM claim_leases").await
}

/// Repeats a call until a quota refuses it: on a slow machine the bucket fills meanwhile.
async fn until_exceeded<T, F: Future<Output = Result<T, Status>>>(mut call: impl FnMut() -> F) {
    for _ in 0..1_000 {
        if let Err(status) = call().await {
            exceeded(&status);
            return;
        }
    }
    panic!("nothing was refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_beyond_its_quota_is_told_when_to_come_back_and_another_is_served() {
    let (db, _server, mut client) = start("[tenant.noisy]\ncalls_per_second = 1").await;
    let begin = Instant::now();
    let (mut minted, mut refused) = (0_u64, 0);
    while refused < 20 {
        let number = minted + refused;
        match client.mint(mint_in("noisy", &format!("/n{number}"), "w_1")).await {
            Ok(_) => minted += 1,
            Err(status) => {
                // All but the first are given at the entrance, on the same connection.
                let retry = exceeded(&status);
                assert!(!retry.is_zero() && retry <= Duration::from_secs(1), "{retry:?}");
                refused += 1;
            }
        }
        client.mint(mint_in("quiet", &format!("/q{number}"), "w_1")).await.unwrap();
        client.mint(mint(&format!("/q{number}"), "w_1")).await.unwrap();
    }
    assert!(minted >= 1 && minted <= 1 + begin.elapsed().as_secs(), "{minted}");
    let of_noisy = "SELECT count(*) FROM entity_dispatch_state WHERE tenant_id = 'noisy'";
    assert_eq!(u64::try_from(db.number(of_noisy).await), Ok(minted), "a refusal writes nothing");
    eventually("the time has passed", async || {
        client.clone().mint(mint_in("noisy", "/later", "w_1")).await.is_ok()
    })
    .await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_mint_no_more_can_still_keep_and_end_what_it_has() {
    let (db, _server, mut client) = start("[default_tenant]\ncalls_per_second = 2").await;
    client.mint(mint("/a", "w_1")).await.unwrap();
    let read = GetEntityRequest { entity_url: "/a".into(), ..Default::default() };
    until_exceeded(async || client.clone().get_entity(read.clone()).await).await;
    client.heartbeat(heartbeat("w_1", 1)).await.unwrap();
    client.done(done("w_1", 1)).await.unwrap();
    until_exceeded(async || client.clone().done(done("w_1", 1)).await).await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_heartbeat_of_a_batch_or_a_stream_counts_for_itself() {
    let (db, _server, mut client) =
        start("[default_tenant]\ncalls_per_second = 1\nburst = 3").await;
    client.mint(mint("/a", "w_1")).await.unwrap();
    let batch = HeartbeatBatchRequest { heartbeats: vec![heartbeat("w_1", 1); 10] };
    let results = client.heartbeat_batch(batch).await.unwrap().into_inner().results;
    let outcomes = results.into_iter().map(support::streams::batch_outcome);
    let outcomes: Vec<_> = outcomes.collect();
    assert!(outcomes[..3].iter().all(Result::is_ok), "{outcomes:?}");
    for outcome in &outcomes[3..] {
        let refused = outcome.as_ref().unwrap_err();
        assert_eq!(refused.kind(), (Code::ResourceExhausted, "QUOTA_EXCEEDED"));
        assert!(refused.retry.is_some());
    }
    let mut stream = KeepAlive::open(&mut client).await;
    let mut tag = 0;
    let refused = loop {
        tag += 1;
        if let Err(refused) = stream.beat(tag, heartbeat("w_1", 1)).await {
            break refused;
        }
    };
    assert_eq!(refused.reason, "QUOTA_EXCEEDED");
    let other = HeartbeatRequest { tenant_id: "other".into(), ..heartbeat("w_1", 1) };
    let other = stream.beat(u64::MAX, other).await.unwrap_err();
    assert_eq!(
        other.reason, "CLAIM_NOT_FOUND",
        "the stream goes on, and another tenant's heartbeat"
    );
    let comes_back = async {
        let mut retry = refused.retry;
        while let Some(time) = retry {
            tokio::time::sleep(time).await;
            tag += 1;
            retry = stream.beat(tag, heartbeat("w_1", 1)).await.err().and_then(|no| no.retry);
        }
    };
    tokio::time::timeout(PATIENCE, comes_back).await.expect("it is let in when it comes back");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_at_its_limit_of_live_claims_mints_none_more_and_keeps_those_it_has() {
    const LIMIT: i64 = 5;
    let (db, _server, client) = start("[tenant.small]\nlive_claims = 5").await;
    let minted = (0..20).map(|number| {
        let mut client = client.clone();
        async move { client.mint(mint_in("small", &format!("/e{number}"), "w")).await }
    });
    let minted = join_all(minted).await;
    let refused: Vec<_> = minted.iter().filter_map(|minted| minted.as_ref().err()).collect();
    assert!(refused.iter().all(|status| exceeded(status) >= Duration::from_secs(1)));
    assert_eq!((minted.len() - refused.len(), live_claims(&db).await), (5, LIMIT));
    let held = minted.iter().flatten().next().unwrap().get_ref().claim.clone().unwrap();

    let mut client = client;
    // The same mint again, and one that takes over: they add none, for which there would be no room.
    let again = MintRequest { epoch: Some(held.epoch), ..mint_in("small", &held.entity_url, "w") };
    let again = client.mint(again).await.unwrap_err();
    assert_eq!(reason(&again), "ALREADY_CLAIMED", "the store decides, not the quota");
    let takes_over = MintRequest { supersede: true, ..mint_in("small", &held.entity_url, "other") };
    let took = client.mint(takes_over).await.unwrap().into_inner();
    assert!(took.ended_predecessor.is_some());
    let newer = took.claim.unwrap();
    // Others are not concerned.
    client.mint(mint("/e", "w")).await.unwrap();

    for claim in [held, newer] {
        let ended = done(&claim.consumer_id, claim.epoch);
        client.done(DoneRequest { tenant_id: "small".into(), ..ended }).await.unwrap();
    }
    eventually("what has ended makes room", async || {
        client.clone().mint(mint_in("small", "/new", "w_new")).await.is_ok()
    })
    .await;
    exceeded(&client.mint(mint_in("small", "/one/more", "w_more")).await.unwrap_err());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_whose_answer_was_lost_is_healed_at_the_limit() {
    let (db, _server, mut client) = start("[default_tenant]\nlive_claims = 1").await;
    let asked = MintRequest { runner_id: "r_1".into(), ..mint_epoch("/a", "w_1", "sub", 1) };
    let first = client.mint(asked.clone()).await.unwrap().into_inner();
    let again = client.mint(asked).await.unwrap().into_inner();
    assert!(again.reminted && again.write_token != first.write_token);
    exceeded(&client.mint(mint("/b", "w_2")).await.unwrap_err());
    assert_eq!(live_claims(&db).await, 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_count_the_same_claims() {
    let db = TestDatabase::in_service().await;
    let file = QuotaFile::saying("[default_tenant]\nlive_claims = 2");
    let (one, other) = (
        Server::start_with(db.url(), &file.setting()).await,
        Server::start_with(db.url(), &file.setting()).await,
    );
    let (mut one, mut other) = (one.client().await, other.client().await);
    one.mint(mint("/a", "w_1")).await.unwrap();
    one.mint(mint("/b", "w_2")).await.unwrap();
    exceeded(&other.mint(mint("/c", "w_3")).await.unwrap_err());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_has_no_more_streams_than_it_may_and_what_it_closes_makes_room() {
    let (_db, server, mut client) = start("[default_caller]\nstreams = 2").await;
    let first = KeepAlive::open(&mut client).await;
    // Who has no credentials is one caller, on whatever connection.
    let _second = KeepAlive::open(&mut server.client().await).await;
    let Err(refused) = KeepAlive::try_open(&mut client).await else { panic!("a third stream") };
    exceeded(&refused);
    drop(first);
    eventually("a stream that is gone makes room", async || {
        KeepAlive::try_open(&mut client.clone()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_no_more_watchers_than_it_may() {
    let (_db, _server, mut client) = start("[tenant.small]\nwatchers = 1").await;
    let of =
        |tenant: &str| WatchClaimEventsRequest { tenant_id: tenant.into(), ..Default::default() };
    let mut watch = client.watch_claim_events(of("small")).await.unwrap().into_inner();
    let first = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
    assert!(matches!(first.item, Some(Item::Checkpoint(_))));
    exceeded(&client.watch_claim_events(of("small")).await.unwrap_err());
    let _other = client.watch_claim_events(of("other")).await.unwrap();
    drop(watch);
    eventually("a watch that is gone makes room", async || {
        client.clone().watch_claim_events(of("small")).await.is_ok()
    })
    .await;
}
