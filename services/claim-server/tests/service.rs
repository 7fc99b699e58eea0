//! The service around its calls: health, deadlines, a database that goes and comes, and what a
//! server says of itself.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{
    AuthorizeWriteRequest, ClaimState, GetClaimRequest, GetEntityRequest, ListClaimsRequest,
    MintRequest,
};
use claims::testing::{TestDatabase, claim_id, entity_key};
use prost::Message;
use std::time::{Duration, Instant};
use support::own_database::OwnDatabase;
use support::probes::{all_are, health, http_address, http_get, of};
use support::raw::{self, Connection};
use support::refusal::Refusal;
use support::request::path;
use support::{Server, authorize, claim, done, eventually, heartbeat, mint};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus::{NotServing, Serving};

const ENTITY: &str = "/chat/a";
/// Longest that a call may take to learn that the database is away.
const FAST: Duration = Duration::from_secs(2);

type Client = ClaimServiceClient<Channel>;

/// How each call of the service is answered that needs the database.
async fn all_calls(client: &mut Client) -> Vec<(&'static str, Result<(), Status>, Duration)> {
    let entity_url = ENTITY.to_owned();
    let asked = AuthorizeWriteRequest {
        stream_path: "/chat/a/main".into(),
        write_token: "wrong".into(),
        ..Default::default()
    };
    let read = GetClaimRequest { consumer_id: "w_1".into(), epoch: 1, ..Default::default() };
    let mut answers = vec![];
    macro_rules! timed {
        ($name:literal, $call:expr) => {
            let begin = Instant::now();
            let answer = $call.await.map(|_| ());
            answers.push(($name, answer, begin.elapsed()));
        };
    }
    timed!("Mint", client.mint(mint("/chat/b", "w_2")));
    timed!("Heartbeat", client.heartbeat(heartbeat("w_1", 1)));
    timed!("Done", client.done(done("w_none", 1)));
    timed!("AuthorizeWrite", client.authorize_write(asked));
    timed!("GetClaim", client.get_claim(read));
    timed!("ListClaims", client.list_claims(ListClaimsRequest::default()));
    timed!("GetEntity", client.get_entity(GetEntityRequest { entity_url, ..Default::default() }));
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_outlives_its_database_and_serves_again_without_a_restart() {
    let mut database = OwnDatabase::new().await;
    let mut server = Server::start(&database.url).await;
    let mut client = server.client().await;
    let probes = http_address(&server).await;
    let health = health(&server).await;
    eventually("all serve", async || all_are(&health, Serving).await).await;
    assert_eq!(http_get(&probes, "/readyz").await, (200, "ready".into()));
    let mut watch = health.clone().watch(of("")).await.unwrap().into_inner();
    let mut seen = async || watch.message().await.unwrap().unwrap().status();
    assert_eq!(seen().await, Serving);
    let minted = client.mint(mint(ENTITY, "w_1")).await.unwrap().into_inner();

    for round in 1..=2 {
        database.stop().await;
        // From the first call on, and for each kind of call on its own connection.
        for _ in 0..2 {
            for (call, answer, took) in all_calls(&mut client).await {
                let refusal = Refusal::of(&answer.expect_err(call));
                let kind = (Code::Unavailable, "DATABASE_UNAVAILABLE");
                assert_eq!(refusal.kind(), kind, "{call}");
                assert!(refusal.retry.expect("a RetryInfo") > Duration::ZERO, "{call}");
                assert!(refusal.metadata.is_empty() && took < FAST, "{call}: {took:?}");
            }
        }
        assert_eq!(seen().await, NotServing);
        assert!(all_are(&health, NotServing).await);
        let away = (503, "the database is unavailable".to_owned());
        assert_eq!(http_get(&probes, "/readyz").await, away);
        assert_eq!(http_get(&probes, "/livez").await.0, 200);
        assert!(server.child.try_wait().unwrap().is_none());

        database.start().await;
        eventually("it serves again", async || {
            let answers = all_calls(&mut client.clone()).await;
            answers.iter().all(|(_, answer, _)| {
                !answer.as_ref().is_err_and(|status| status.code() == Code::Unavailable)
            })
        })
        .await;
        assert_eq!(seen().await, Serving);
        assert!(all_are(&health, Serving).await);
        assert_eq!(http_get(&probes, "/readyz").await.0, 200);
        // The claim is what it was, and so is its token.
        assert_eq!(claim(&mut client, "w_1", 1).await.state(), ClaimState::Active, "{round}");
        assert_eq!(authorize(&mut client, &minted).await.unwrap(), 1, "{round}");
    }
    let log = server.log.lock().unwrap().clone();
    for (line, times) in
        [("the database does not answer; not serving until it does", 2), ("panicked", 0)]
    {
        assert_eq!(log.matches(line).count(), times, "{line}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_before_its_database_serves_once_that_is_there() {
    let mut database = OwnDatabase::new().await;
    database.stop().await;
    let server = Server::start(&database.url).await;
    let mut client = server.client().await;
    let health = health(&server).await;
    assert!(all_are(&health, NotServing).await);
    let refusal = Refusal::of(&client.mint(mint(ENTITY, "w_1")).await.unwrap_err());
    assert_eq!(refusal.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    database.start().await;
    eventually("all serve", async || all_are(&health, Serving).await).await;
    eventually("a mint is accepted", async || {
        let mint = MintRequest { request_id: "q".into(), ..mint(ENTITY, "w_1") };
        client.clone().mint(mint).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_schema_is_not_served_from_until_it_is_migrated() {
    let db = TestDatabase::empty().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let refusal = Refusal::of(&client.mint(mint(ENTITY, "w_1")).await.unwrap_err());
    assert_eq!(refusal.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    claims::store::migrations::migrate(&db.database()).await.unwrap();
    eventually("a mint is accepted", async || {
        let mint = MintRequest { request_id: "q".into(), ..mint(ENTITY, "w_1") };
        client.clone().mint(mint).await.is_ok()
    })
    .await;
}

/// Calls with a time limit, and returns what the server has to say when that is over.
async fn call_within(
    connection: &Connection,
    call: &str,
    timeout: &str,
    message: &impl Message,
) -> Status {
    let body = raw::framed(&message.encode_to_vec());
    connection.send_with(&path(call), &[("grpc-timeout", timeout)], body).await.status()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_deadline_passed_while_it_waited_is_never_executed() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let mut client = server.client().await;
    let minted = client.mint(mint(ENTITY, "w_1")).await.unwrap().into_inner();
    let before = support::rows::all_rows(&db).await;
    let entity = db.hold_entity(&entity_key(ENTITY)).await;
    let lease = db.hold_lease(&claim_id("w_1", 1)).await;

    let connection = raw::connect(server.address).await;
    let begin = Instant::now();
    let supersede = MintRequest { supersede: true, ..mint(ENTITY, "w_2") };
    for (call, status) in [
        ("Mint", call_within(&connection, "Mint", "100m", &supersede).await),
        ("Done", call_within(&connection, "Done", "100m", &done("w_1", 1)).await),
        ("Heartbeat", call_within(&connection, "Heartbeat", "100m", &heartbeat("w_1", 1)).await),
    ] {
        let refusal = Refusal::of(&status);
        assert_eq!(refusal.kind(), (Code::DeadlineExceeded, "TIMED_OUT"), "{call}");
        assert_eq!((refusal.metadata.len(), refusal.retry), (0, None), "{call}");
    }
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(290) && took < FAST, "three times 100 ms: {took:?}");
    // The lock timeout of the tries that were under way frees the lanes; nobody tries again.
    eventually("nobody waits for the locks", async || {
        !db.is_blocked("claim-server/decide-solo").await
            && !db.is_blocked("claim-server/heartbeat-solo").await
    })
    .await;
    entity.release().await;
    lease.release().await;
    // Later calls of every kind have gone through the same lanes, and the earlier ones are gone.
    let renewed = client.heartbeat(heartbeat("w_1", 1)).await.unwrap().into_inner();
    assert!(!renewed.had_lapsed);
    client.mint(mint(ENTITY, "w_3")).await.unwrap_err();
    let mut after = support::rows::all_rows(&db).await;
    after.insert("claim_leases".into(), before["claim_leases"].clone());
    assert_eq!(after, before, "but for the lease, which the later heartbeat renewed");
    assert_eq!(authorize(&mut client, &minted).await.unwrap(), 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_time_is_up_already_is_not_begun() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let connection = raw::connect(server.address).await;
    for timeout in ["0S", "1n", "0H"] {
        let status = call_within(&connection, "Mint", timeout, &mint(ENTITY, "w_1")).await;
        let refusal = Refusal::of(&status);
        assert_eq!(refusal.kind(), (Code::DeadlineExceeded, "TIMED_OUT"), "{timeout}");
    }
    // What is no timeout is none; what is a very long one is one.
    for (timeout, consumer) in [("soon", "w_2"), ("99999999H", "w_3"), ("-1S", "w_4")] {
        let asked = MintRequest { supersede: true, ..mint(ENTITY, consumer) };
        let status = call_within(&connection, "Mint", timeout, &asked).await;
        assert_eq!(status.code(), Code::Ok, "{timeout}: {status:?}");
    }
    let mut client = server.client().await;
    let listed = client.list_claims(ListClaimsRequest::default()).await.unwrap().into_inner();
    assert!(listed.claims.iter().all(|claim| claim.consumer_id != "w_1"));
    assert_eq!(listed.claims.len(), 3);
}

/// When the last signature was made, in microseconds; 0 if none was.
async fn last_signed(db: &TestDatabase) -> i64 {
    db.number(
        "SELECT coalesce((extract(epoch FROM max(last_signed_at)) * 1000000)::bigint, 0)
         FROM service_liveness",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_signs_over_and_over_and_warns_of_another_outage_grace() {
    let db = TestDatabase::new().await;
    let first = Server::start(db.url()).await;
    let mut signatures = vec![last_signed(&db).await];
    while signatures.len() < 4 {
        let last = signatures[signatures.len() - 1];
        eventually("it signs again", async || last_signed(&db).await > last).await;
        signatures.push(last_signed(&db).await);
    }
    let apart = signatures[3] - signatures[2];
    assert!((1_000_000..5_000_000).contains(&apart), "{apart} µs apart");
    // Nothing was stale, so the service resumed once, with its first signature.
    let resumed = "SELECT (extract(epoch FROM resumed_at) * 1000000)::bigint FROM service_liveness";
    assert!(db.number(resumed).await <= signatures[1]);
    assert_eq!(db.number("SELECT outage_grace_ms FROM service_liveness").await, 30_000);

    let second = Server::start_with(db.url(), &[("CLAIM_OUTAGE_GRACE", "7s")]).await;
    for (server, found) in [(&second, "30s"), (&first, "7s")] {
        eventually("each warns of the other's", async || {
            let log = server.log.lock().unwrap();
            log.lines().any(|line| {
                line.contains("WARN") && line.contains("CLAIM_OUTAGE_GRACE") && line.contains(found)
            })
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reflection_tells_the_contract_with_its_comments_in_both_versions() {
    let db = TestDatabase::new().await;
    let server = Server::start(db.url()).await;
    let channel = support::channel(server.address).await;
    macro_rules! ask {
        ($version:ident, $question:ident($asked:expr)) => {{
            use tonic_reflection::pb::$version as pb;
            let request = pb::ServerReflectionRequest {
                message_request: Some(pb::server_reflection_request::MessageRequest::$question(
                    $asked.to_owned(),
                )),
                ..Default::default()
            };
            let mut client =
                pb::server_reflection_client::ServerReflectionClient::new(channel.clone());
            let requests = futures_util::stream::iter([request]);
            let answers = client.server_reflection_info(requests).await.unwrap();
            let answer = answers.into_inner().message().await.unwrap().unwrap();
            use pb::server_reflection_response::MessageResponse::*;
            match answer.message_response.unwrap() {
                ListServicesResponse(list) => {
                    (list.service.into_iter().map(|service| service.name).collect(), vec![])
                }
                FileDescriptorResponse(files) => (vec![], files.file_descriptor_proto),
                other => panic!("{other:?}"),
            }
        }};
    }
    let listed: [(Vec<String>, _); 2] =
        [ask!(v1, ListServices("")), ask!(v1alpha, ListServices(""))];
    for (names, _) in listed {
        for name in ["claim.v1.ClaimService", "claim.v1.ClaimAdminService", "grpc.health.v1.Health"]
        {
            assert!(names.iter().any(|listed| listed == name), "{name}: {names:?}");
        }
    }
    for service in ["claim.v1.ClaimService", "claim.v1.ClaimAdminService"] {
        let described: [(Vec<String>, Vec<Vec<u8>>); 2] =
            [ask!(v1, FileContainingSymbol(service)), ask!(v1alpha, FileContainingSymbol(service))];
        for (_, files) in described {
            let file: prost_types::FileDescriptorProto =
                Message::decode(files[0].as_slice()).unwrap();
            assert_eq!(format!("{}.{}", file.package(), file.service[0].name()), service);
            let comments = file.source_code_info.as_ref().unwrap();
            let is_told = |path: &[i32]| {
                let mut told = comments.location.iter().filter(|location| location.path == path);
                told.any(|location| !location.leading_comments().trim().is_empty())
            };
            assert!(is_told(&[6, 0]), "{service}");
            for (number, method) in (0..).zip(&file.service[0].method) {
                assert!(is_told(&[6, 0, 2, number]), "{service}/{}", method.name());
            }
        }
    }
}
