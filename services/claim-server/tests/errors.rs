//! Every refusal that can be met: its code, its reason and the keys of its metadata are the
//! contract's, and nothing else is told.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{
    AuthorizeWriteRequest, DoneOutcome, DoneRequest, GetClaimRequest, GetEntityRequest,
    HeartbeatRequest, ListClaimsRequest, MintRequest, MintResponse,
};
use claims::domain::EntitySignal;
use claims::testing::{TestDatabase, claim_id, entity_key, kill, revoke, signal};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use prost::Message;
use std::time::Duration;
use support::raw::{self, Connection};
use support::refusal::Refusal;
use support::request::path;
use support::{Server, authorize, claim, done, heartbeat, mint, mint_epoch, reap_once};
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

const ENTITY: &str = "/chat/a";

type Client = ClaimServiceClient<Channel>;

async fn start() -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = server.client().await;
    (db, server, client)
}

/// The refusal that a call met; panics if it was answered well.
fn refused<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Refusal {
    Refusal::of(&answer.expect_err("a refusal"))
}

/// A refusal with that code, reason and metadata, and nothing else.
fn expected<const N: usize>(code: Code, reason: &str, metadata: [(&str, &str); N]) -> Refusal {
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Refusal { code, reason: reason.into(), metadata: metadata.into(), fields: vec![], retry: None }
}

async fn minted(client: &mut Client, request: MintRequest) -> MintResponse {
    client.mint(request).await.expect("a claim").into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_minted_is_not_found() {
    let (_db, _server, mut client) = start().await;
    minted(&mut client, MintRequest { tenant_id: "other".into(), ..mint(ENTITY, "w_1") }).await;
    let no_claim = expected(Code::NotFound, "CLAIM_NOT_FOUND", []);
    assert_eq!(refused(client.heartbeat(heartbeat("w_1", 1)).await), no_claim);
    assert_eq!(refused(client.done(done("w_1", 1)).await), no_claim);
    let request = GetClaimRequest { consumer_id: "w_1".into(), epoch: 1, ..Default::default() };
    assert_eq!(refused(client.get_claim(request).await), no_claim);
    let request = GetEntityRequest { entity_url: ENTITY.into(), ..Default::default() };
    let no_entity = expected(Code::NotFound, "ENTITY_NOT_FOUND", []);
    assert_eq!(refused(client.get_entity(request).await), no_entity);

    // Of a tenant that has a claim: another epoch of it, and the default tenant's entity.
    let known = HeartbeatRequest { tenant_id: "other".into(), ..heartbeat("w_1", 2) };
    assert_eq!(refused(client.heartbeat(known).await), no_claim);
    // What is not there is in no list either, and that is no refusal.
    let list = client.list_claims(ListClaimsRequest::default()).await.unwrap().into_inner();
    assert!(list.claims.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_entity_names_its_holder_and_when_it_may_be_taken() {
    let (db, _server, mut client) = start().await;
    minted(&mut client, mint_epoch(ENTITY, "w_1", "sub", 5)).await;
    db.age(&claim_id("w_1", 5), Duration::from_secs(10)).await;
    let others = [
        mint(ENTITY, "w_2"),
        // The same epoch (M3), and the same identity by another caller (M2).
        mint_epoch(ENTITY, "w_2", "sub", 5),
        mint_epoch(ENTITY, "w_1", "sub", 5),
        // A higher epoch, but of another authority (M4).
        mint_epoch(ENTITY, "w_2", "other", 6),
    ];
    for other in others {
        let met = refused(client.mint(other).await);
        assert_eq!(met.kind(), (Code::AlreadyExists, "ALREADY_CLAIMED"));
        assert_eq!(met.keys(), ["holder_consumer_id", "holder_epoch", "takeable_in_ms"]);
        assert_eq!(met.metadata["holder_consumer_id"], "w_1");
        assert_eq!(met.metadata["holder_epoch"], "5");
        let takeable: u64 = met.metadata["takeable_in_ms"].parse().unwrap();
        assert!((10_000..=20_000).contains(&takeable), "in {takeable} ms");
        assert_eq!((met.retry, met.fields.len()), (None, 0));
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_until_an_entity_may_be_taken_counts_an_outage_in() {
    let db = TestDatabase::new().await;
    let server = Server::start_with(db.url(), &[("CLAIM_OUTAGE_GRACE", "5m")]).await;
    let mut client = server.client().await;
    minted(&mut client, mint(ENTITY, "w_1")).await;
    // Heard of before the service resumed, which the server's own first signature says it did.
    support::eventually("the server has signed", async || {
        db.number("SELECT count(*) FROM service_liveness").await == 1
    })
    .await;
    db.lapse(&claim_id("w_1", 1), Duration::from_secs(60)).await;
    let met = refused(client.mint(mint(ENTITY, "w_2")).await);
    let takeable: u64 = met.metadata["takeable_in_ms"].parse().unwrap();
    assert!((270_000..=300_000).contains(&takeable), "in {takeable} ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_in_use_names_the_entity_it_is_used_for() {
    let (_db, _server, mut client) = start().await;
    let first = MintRequest { runner_id: "r".into(), ..mint_epoch(ENTITY, "w_1", "sub", 5) };
    minted(&mut client, first.clone()).await;
    let in_use = expected(Code::AlreadyExists, "IDENTITY_IN_USE", [("entity_url", ENTITY)]);
    let elsewhere = MintRequest { entity_url: "/chat/b".into(), ..first.clone() };
    assert_eq!(refused(client.mint(elsewhere).await), in_use);
    let stream = MintRequest { stream_path: format!("{ENTITY}/other"), ..first.clone() };
    assert_eq!(refused(client.mint(stream).await), in_use);
    let authority = MintRequest { authority: "other".into(), ..first };
    assert_eq!(refused(client.mint(authority).await), in_use);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_epoch_is_told_the_highest_one() {
    let (db, _server, mut client) = start().await;
    let fenced = |highest: &str| {
        expected(Code::FailedPrecondition, "EPOCH_FENCED", [("highest_epoch", highest)])
    };
    minted(&mut client, mint_epoch(ENTITY, "w_7", "sub", 7)).await;
    let older = mint_epoch(ENTITY, "w_6", "sub", 6);
    assert_eq!(refused(client.mint(older.clone()).await), fenced("7"));
    // The mark outlives its claim.
    client.done(done("w_7", 7)).await.unwrap();
    assert_eq!(refused(client.mint(older).await), fenced("7"));
    assert_eq!(refused(client.mint(mint_epoch(ENTITY, "w_8", "sub", 7)).await), fenced("7"));

    // The top of the range is never wrapped.
    minted(&mut client, mint_epoch(ENTITY, "w_top", "", i64::MAX)).await;
    client.done(done("w_top", i64::MAX)).await.unwrap();
    let top = i64::MAX.to_string();
    assert_eq!(refused(client.mint(mint(ENTITY, "w_9")).await), fenced(&top));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_takes_no_claims_says_in_which_state_it_is() {
    let (db, _server, mut client) = start().await;
    let store = db.store();
    minted(&mut client, mint("/stopping", "w_holder")).await;
    for (url, by) in [
        ("/paused", EntitySignal::Stop),
        ("/stopping", EntitySignal::Term),
        ("/stopped", EntitySignal::Term),
        ("/killed", EntitySignal::Kill),
    ] {
        store.signal(signal(url, by)).await.unwrap();
        let state = [("entity_state", url.trim_start_matches('/'))];
        let not_claimable = expected(Code::FailedPrecondition, "ENTITY_NOT_CLAIMABLE", state);
        assert_eq!(refused(client.mint(mint(url, "w_1")).await), not_claimable);
        let taking = MintRequest { supersede: true, ..mint(url, "w_1") };
        assert_eq!(refused(client.mint(taking).await), not_claimable);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_claim_is_told_by_whom() {
    let (db, _server, mut client) = start().await;
    let first = MintRequest { runner_id: "r".into(), ..mint_epoch(ENTITY, "w_1", "sub", 1) };
    minted(&mut client, first.clone()).await;
    minted(&mut client, mint_epoch(ENTITY, "w_2", "sub", 9)).await;
    let by = [("superseded_by_consumer_id", "w_2"), ("superseded_by_epoch", "9")];
    let superseded = expected(Code::FailedPrecondition, "CLAIM_SUPERSEDED", by);
    assert_eq!(refused(client.heartbeat(heartbeat("w_1", 1)).await), superseded);
    assert_eq!(refused(client.mint(first).await), superseded);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_claim_is_told_when_and_why_it_ended() {
    let (db, _server, mut client) = start().await;
    let store = db.store();
    let ends = ["released", "failed", "expired", "ceiling", "revoked", "killed"];
    for (number, how) in ends.into_iter().enumerate() {
        let (url, consumer) = (format!("/ended/{how}"), format!("w_{number}"));
        let request = MintRequest {
            runner_id: "r".into(),
            max_duration: (how == "ceiling")
                .then_some(prost_types::Duration { seconds: 20, nanos: 0 }),
            ..mint_epoch(&url, &consumer, "sub", 1)
        };
        minted(&mut client, request.clone()).await;
        let id = claim_id(&consumer, 1);
        let failed = DoneOutcome::Failed.into();
        let (reason, end_reason) = match how {
            "released" => {
                client.done(done(&consumer, 1)).await.unwrap();
                ("CLAIM_RELEASED", "done")
            }
            "failed" => {
                client.done(DoneRequest { outcome: failed, ..done(&consumer, 1) }).await.unwrap();
                ("CLAIM_FAILED", "failed")
            }
            "expired" | "ceiling" => {
                db.service_has_been_up().await;
                db.lapse(&id, Duration::from_secs(6)).await;
                assert_eq!(reap_once(db.url()).await.1["expired"], 1);
                let lapsed = if how == "expired" { "lease_lapsed" } else { "ceiling_reached" };
                ("CLAIM_EXPIRED", lapsed)
            }
            "revoked" => {
                store.revoke(revoke(&id, "an operator's \"reason\" – ü")).await.unwrap();
                ("CLAIM_REVOKED", "an operator's \"reason\" – ü")
            }
            _ => {
                store.signal(kill(&url)).await.unwrap();
                ("CLAIM_REVOKED", "killed")
            }
        };
        let ended = claim(&mut client, &consumer, 1).await;
        // A timestamp prints as RFC 3339 in UTC.
        let end_time = ended.end_time.unwrap().to_string();
        assert!(end_time.ends_with('Z') && end_time.contains('T'), "{end_time}");
        let told = [("end_time", end_time.as_str()), ("end_reason", end_reason)];
        let refusal = expected(Code::FailedPrecondition, reason, told);
        assert_eq!(refused(client.heartbeat(heartbeat(&consumer, 1)).await), refusal);
        if how != "killed" {
            assert_eq!(refused(client.mint(request).await), refusal, "never reactivated");
        }
        // A done is told of the first ending, and is no refusal (D5).
        let again = client.done(done(&consumer, 1)).await.unwrap().into_inner();
        assert!(again.already_ended && again.entity_cleared, "{how}");
        assert_eq!(again.acks_recorded, ended.acked_streams.len() == 1, "{how}");
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_at_its_ceiling_is_renewed_by_nothing() {
    let (db, _server, mut client) = start().await;
    let request = MintRequest {
        max_duration: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
        request_id: "q".into(),
        ..mint(ENTITY, "w_1")
    };
    minted(&mut client, request.clone()).await;
    db.age(&claim_id("w_1", 1), Duration::from_secs(60)).await;
    let reached = expected(Code::FailedPrecondition, "CEILING_REACHED", []);
    assert_eq!(refused(client.heartbeat(heartbeat("w_1", 1)).await), reached);
    assert_eq!(refused(client.mint(request).await), reached);
    assert!(client.done(done("w_1", 1)).await.unwrap().into_inner().entity_cleared);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_right_token_learns_that_its_lease_has_lapsed() {
    let (db, _server, mut client) = start().await;
    let held = minted(&mut client, mint(ENTITY, "w_1")).await;
    db.lapse(&claim_id("w_1", 1), Duration::from_secs(1)).await;
    let lapsed = expected(Code::FailedPrecondition, "LEASE_LAPSED", []);
    assert_eq!(Refusal::of(&authorize(&mut client, &held).await.unwrap_err()), lapsed);
    let wrong = MintResponse { write_token: "wrong".into(), ..held.clone() };
    let refusal = Refusal::of(&authorize(&mut client, &wrong).await.unwrap_err());
    assert_eq!(refusal, expected(Code::PermissionDenied, "WRITE_TOKEN_INVALID", []));
    // "Heartbeat, then retry the write."
    assert!(client.heartbeat(heartbeat("w_1", 1)).await.unwrap().into_inner().had_lapsed);
    authorize(&mut client, &held).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_supplied_token_that_is_not_the_claims_changes_nothing() {
    let (db, _server, mut client) = start().await;
    let held = minted(&mut client, mint(ENTITY, "w_1")).await;
    let other = minted(&mut client, mint("/chat/b", "w_2")).await;
    let before = support::rows::all_rows(&db).await;
    let invalid = expected(Code::PermissionDenied, "WRITE_TOKEN_INVALID", []);
    let cut = held.write_token[..42].to_owned();
    for token in ["wrong".into(), "\0\u{85}".into(), "x".repeat(256), cut, other.write_token] {
        let write_token = token.clone();
        let beat = HeartbeatRequest { write_token, ..heartbeat("w_1", 1) };
        assert_eq!(refused(client.heartbeat(beat).await), invalid, "{token:?}");
        let over = DoneRequest { write_token: token, ..done("w_1", 1) };
        assert_eq!(refused(client.done(over).await), invalid);
    }
    assert_eq!(support::rows::all_rows(&db).await, before);
    let over = DoneRequest { write_token: held.write_token.clone(), ..done("w_1", 1) };
    client.done(over.clone()).await.unwrap();
    // The digest is kept after the end, so a repetition is recognised (D2).
    assert!(client.done(over).await.unwrap().into_inner().already_ended);
    let over = DoneRequest { write_token: "wrong".into(), ..done("w_1", 1) };
    assert_eq!(refused(client.done(over).await), invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_write_discloses_nothing_by_a_single_byte() {
    let (db, server, mut client) = start().await;
    let store = db.store();
    let stream = |url: &str| format!("{url}/main");
    let mut cases: Vec<(&str, String, String)> = vec![];

    let held = minted(&mut client, mint("/held", "w_held")).await;
    cases.push(("an unknown entity", stream("/unknown"), held.write_token.clone()));
    cases.push(("no token", stream("/held"), String::new()));
    cases.push(("a wrong token", stream("/held"), "wrong".into()));
    cases.push(("another stream of the entity", "/held/other".into(), held.write_token.clone()));

    let old = minted(&mut client, mint_epoch("/superseded", "w_old", "sub", 1)).await;
    minted(&mut client, mint_epoch("/superseded", "w_new", "sub", 2)).await;
    cases.push(("superseded", stream("/superseded"), old.write_token));

    let again = MintRequest { request_id: "q".into(), ..mint("/reminted", "w_again") };
    let older = minted(&mut client, again.clone()).await;
    minted(&mut client, again).await;
    cases.push(("re-minted", stream("/reminted"), older.write_token));

    let released = minted(&mut client, mint("/released", "w_released")).await;
    client.done(done("w_released", 1)).await.unwrap();
    cases.push(("released", stream("/released"), released.write_token));

    let expired = minted(&mut client, mint("/expired", "w_expired")).await;
    db.service_has_been_up().await;
    db.lapse(&claim_id("w_expired", 1), Duration::from_secs(6)).await;
    store.signal(signal("/idle", EntitySignal::Term)).await.unwrap();
    assert_eq!(reap_once(db.url()).await.1["expired"], 1);
    cases.push(("expired", stream("/expired"), expired.write_token));
    cases.push(("stopped", stream("/idle"), held.write_token.clone()));

    let killed = minted(&mut client, mint("/killed", "w_killed")).await;
    store.signal(kill("/killed")).await.unwrap();
    cases.push(("killed", stream("/killed"), killed.write_token));

    minted(&mut client, mint("/lapsed", "w_lapsed")).await;
    db.lapse(&claim_id("w_lapsed", 1), Duration::from_secs(1)).await;
    cases.push(("lapsed, with another's token", stream("/lapsed"), held.write_token.clone()));

    let connection = raw::connect(server.address).await;
    let mut first = None;
    for (what, stream_path, write_token) in cases {
        let request = AuthorizeWriteRequest { stream_path, write_token, tenant_id: String::new() };
        let message = raw::framed(&request.encode_to_vec());
        let mut answer = connection.send(&path("AuthorizeWrite"), message).await;
        let refusal = Refusal::of(&answer.status());
        assert_eq!(refusal, expected(Code::PermissionDenied, "WRITE_TOKEN_INVALID", []), "{what}");
        // When it was answered is no secret.
        answer.headers.remove("date");
        let all = (answer.headers, answer.body);
        assert_eq!(first.get_or_insert_with(|| all.clone()), &all, "{what}");
    }
    assert_eq!(authorize(&mut client, &held).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_service_has_an_id_and_tells_nothing_else() {
    let (db, server, mut client) = start().await;
    // A rule of the table that the program does not know of.
    let rule = "ALTER TABLE consumer_claims ADD CONSTRAINT a_secret_rule
         CHECK (consumer_id <> 'w_damaged')";
    db.sql.batch_execute(rule).await.unwrap();
    let status = client.mint(mint(ENTITY, "w_damaged")).await.unwrap_err();
    let refusal = Refusal::of(&status);
    assert_eq!(refusal.kind(), (Code::Internal, "INTERNAL"));
    assert_eq!(refusal.keys(), ["request_id"]);
    assert_eq!(status.message(), "internal error");
    let told = format!("{status:?}");
    assert!(!told.contains("secret") && !told.contains("consumer_claims"), "{told}");
    // Whoever reports it can be helped: the log has the id, and the cause.
    let id = refusal.metadata["request_id"].clone();
    support::eventually("the log has both", async || {
        let log = server.log.lock().unwrap();
        log.contains(&id) && log.contains("a_secret_rule")
    })
    .await;
    assert_eq!(claim_count(&mut client).await, 0);
    minted(&mut client, mint(ENTITY, "w_1")).await;
}

async fn claim_count(client: &mut Client) -> usize {
    client.list_claims(ListClaimsRequest::default()).await.unwrap().into_inner().claims.len()
}

/// Calls in flight at once over one connection, and connections: together some more than the 8192
/// that may wait.
const CALLS_OF_A_CONNECTION: usize = 1_024;
const CONNECTIONS: usize = 9;

#[tokio::test(flavor = "multi_thread")]
async fn a_call_beyond_those_that_may_wait_is_told_to_come_back_later() {
    let (db, server, mut client) = start().await;
    minted(&mut client, mint(ENTITY, "w_1")).await;
    let held = db.hold_entity(&entity_key(ENTITY)).await;
    let connections = join_all((0..CONNECTIONS).map(|_| raw::connect(server.address))).await;
    let body = raw::framed(&mint(ENTITY, "w_2").encode_to_vec());
    let mint = path("Mint");
    // The longest time that a call can have: on a busy machine it takes a while to send so many.
    let headers = [("grpc-timeout", "60S")];
    let call = |connection: Connection| {
        let (mint, headers, body) = (&mint, &headers, body.clone());
        async move {
            let answer = connection.send_with(mint, headers, body).await;
            (connection, Refusal::of(&answer.status()))
        }
    };
    let mut calls: FuturesUnordered<_> = connections
        .iter()
        .flat_map(|connection| (0..CALLS_OF_A_CONNECTION).map(|_| connection.clone()))
        .map(call)
        .collect();
    // Nobody gets a good answer before the lock is gone. Whoever learns that the entity cannot be
    // had, or that the server is too busy to hold on to its database, comes back at once.
    let refusal = loop {
        let (connection, refusal) = calls.next().await.expect("as many as ever");
        match refusal.reason.as_str() {
            "DATABASE_UNAVAILABLE" | "TIMED_OUT" => calls.push(call(connection)),
            _ => break refusal,
        }
    };
    assert_eq!(refusal.kind(), (Code::ResourceExhausted, "OVERLOADED"));
    assert!(refusal.metadata.is_empty());
    assert!(refusal.retry.expect("a RetryInfo") > Duration::ZERO);
    // Callers that leave take their calls with them.
    drop(calls);
    held.release().await;
    support::eventually("there is room again", async || {
        client.clone().mint(support::mint("/chat/b", "w_3")).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_is_no_call_of_the_contract_is_unimplemented() {
    let (db, server, mut client) = start().await;
    minted(&mut client, mint(ENTITY, "w_1")).await;
    let before = support::rows::all_rows(&db).await;
    let connection = raw::connect(server.address).await;
    for unknown in [
        "claim.v1.ClaimService/Steal",
        "claim.v1.ClaimService/mint",
        "claim.v1.ClaimService/Mint/",
        "claim.v2.ClaimService/Mint",
        "claim.v1.ClaimService",
        "",
    ] {
        let status = connection.send(unknown, raw::framed(&[])).await.status();
        assert_eq!(status.code(), Code::Unimplemented, "{unknown}: {status:?}");
    }
    assert_eq!(support::rows::all_rows(&db).await, before);
}
