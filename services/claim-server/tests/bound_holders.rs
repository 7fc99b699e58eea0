//! Holders that are bound: to runners, or by a tenant that wants to see the write token.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{DoneRequest, HeartbeatBatchRequest, HeartbeatRequest, MintRequest};
use claims::testing::TestDatabase;
use support::identity::{Files, grant, token, with_token};
use support::refusal::Refusal;
use support::streams::{KeepAlive, batch_outcome};
use support::{done, heartbeat, mint};
use tonic::Code;

const BOUND: &str = r#"
[[grant]]
callers = ["token:runner"]
tenants = ["default"]
roles = ["holder"]
runner_prefixes = ["prod-"]

[[grant]]
callers = ["token:free"]
tenants = ["*"]
roles = ["holder"]

[[tenant]]
name = "careful"
requires_token = true
"#;

fn for_runner(entity: &str, consumer: &str, runner: &str) -> MintRequest {
    MintRequest { runner_id: runner.into(), ..mint(entity, consumer) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_bound_to_runners_mints_for_these_and_must_show_the_write_token() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(BOUND, &["runner", "free"]);
    let server = files.server(db.url(), &[]).await;
    let mut client = server.client().await;
    let runner = token("runner");
    for wrong in ["", "dev-1", "Prod-1"] {
        let asked = with_token(&runner, for_runner("/chat/a", "w_1", wrong));
        let refusal = Refusal::of(&client.mint(asked).await.unwrap_err());
        assert_eq!(refusal.kind(), (Code::PermissionDenied, "NOT_PERMITTED"), "{wrong:?}");
        assert_eq!(refusal.metadata["permission"], "holder");
    }
    let asked = with_token(&runner, for_runner("/chat/a", "w_1", "prod-1"));
    let minted = client.mint(asked).await.unwrap().into_inner();

    let invalid = (Code::PermissionDenied, "WRITE_TOKEN_INVALID");
    // By the identity alone, of a claim that is there and of one that is not.
    for consumer in ["w_1", "w_none"] {
        let beat = with_token(&runner, heartbeat(consumer, 1));
        assert_eq!(Refusal::of(&client.heartbeat(beat).await.unwrap_err()).kind(), invalid);
        let over = with_token(&runner, done(consumer, 1));
        assert_eq!(Refusal::of(&client.done(over).await.unwrap_err()).kind(), invalid);
    }
    let batch = HeartbeatBatchRequest {
        heartbeats: vec![
            heartbeat("w_1", 1),
            HeartbeatRequest { write_token: minted.write_token.clone(), ..heartbeat("w_1", 1) },
            HeartbeatRequest { tenant_id: "careful".into(), ..heartbeat("w_1", 1) },
        ],
    };
    let results = client.heartbeat_batch(with_token(&runner, batch)).await.unwrap().into_inner();
    let mut results = results.results.into_iter().map(batch_outcome);
    assert_eq!(results.next().unwrap().unwrap_err().kind(), invalid);
    results.next().unwrap().unwrap();
    assert_eq!(results.next().unwrap().unwrap_err().reason, "NOT_PERMITTED");

    let good = DoneRequest { write_token: minted.write_token, ..done("w_1", 1) };
    client.done(with_token(&runner, good)).await.unwrap();
    // Who is not bound may go by the identity, in a tenant that leaves it at that.
    let free = token("free");
    client.mint(with_token(&free, mint("/chat/b", "w_2"))).await.unwrap();
    client.heartbeat(with_token(&free, heartbeat("w_2", 1))).await.unwrap();
    client.done(with_token(&free, done("w_2", 1))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_tenant_that_requires_tokens_an_identity_is_not_enough_for_anybody() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(BOUND, &["free"]);
    let server = files.server(db.url(), &[]).await;
    let mut client = server.client().await;
    let free = token("free");
    let careful = || "careful".to_owned();
    let asked = MintRequest { tenant_id: careful(), ..mint("/chat/a", "w_1") };
    let minted = client.mint(with_token(&free, asked)).await.unwrap().into_inner();
    let before = support::rows::all_rows(&db).await;
    let beat = HeartbeatRequest { tenant_id: careful(), ..heartbeat("w_1", 1) };
    let over = DoneRequest { tenant_id: careful(), ..done("w_1", 1) };
    for status in [
        client.heartbeat(with_token(&free, beat.clone())).await.unwrap_err(),
        client.done(with_token(&free, over.clone())).await.unwrap_err(),
    ] {
        assert_eq!(Refusal::of(&status).kind(), (Code::PermissionDenied, "WRITE_TOKEN_INVALID"));
    }
    assert_eq!(support::rows::all_rows(&db).await, before);
    let write_token = minted.write_token;
    let beat = HeartbeatRequest { write_token: write_token.clone(), ..beat };
    client.heartbeat(with_token(&free, beat)).await.unwrap();
    let over = DoneRequest { write_token, ..over };
    client.done(with_token(&free, over)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_heartbeat_on_a_stream_is_refused_by_itself() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(&grant("token:runner", "own", &["holder"]), &["runner"]);
    let server = files.server(db.url(), &[]).await;
    let runner = token("runner");
    let mut client = server.client().await;
    let own = || "own".to_owned();
    let asked = MintRequest { tenant_id: own(), ..mint("/chat/a", "w_1") };
    client.mint(with_token(&runner, asked)).await.unwrap();
    let mut stream = KeepAlive::try_open_with(&mut client, &runner).await.unwrap();
    let beat = HeartbeatRequest { tenant_id: own(), ..heartbeat("w_1", 1) };
    stream.beat(1, beat.clone()).await.unwrap();
    let other = HeartbeatRequest { tenant_id: "other".into(), ..beat.clone() };
    assert_eq!(stream.beat(2, other).await.unwrap_err().reason, "NOT_PERMITTED");
    stream.beat(3, beat).await.unwrap();
}
