//! The audit: who did what as an operator, and who was refused.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{
    ClaimEventType, EntitySignal, ListClaimEventsRequest, ListClaimsRequest, MintRequest,
    RevokeClaimRequest, SignalEntityRequest,
};
use claims::testing::TestDatabase;
use support::identity::{Files, audit, token, with_token};
use support::{admin, eventually, mint_epoch};
use tonic::Code;

const ENTITY: &str = "/chat/a";
/// An operator of all tenants, one of a single tenant, and one who may do everything.
const POLICY: &str = r#"
[[grant]]
callers = ["token:chief", "token:root"]
tenants = ["*"]
roles = ["operator"]

[[grant]]
callers = ["token:small"]
tenants = ["own"]
roles = ["operator"]

[[grant]]
callers = ["token:root"]
tenants = ["*"]
roles = ["holder", "observer"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_does_is_told_in_the_audit_and_in_the_event_under_its_name() {
    let db = TestDatabase::in_service().await;
    let files = Files::new(POLICY, &["chief", "small", "root"]);
    let server = files.server(db.url(), &[("CLAIM_LOG_FORMAT", "json")]).await;
    let mut client = server.client().await;
    let asked = MintRequest { tenant_id: "other".into(), ..mint_epoch(ENTITY, "w_1", "sub", 9) };
    client.mint(with_token(&token("root"), asked)).await.unwrap();
    let mut operators = admin(server.address).await;
    let chief = token("chief");
    let stop = SignalEntityRequest {
        tenant_id: "other".into(),
        entity_url: ENTITY.into(),
        signal: EntitySignal::Stop.into(),
        reason: "a line\nand another".into(),
    };
    operators.signal_entity(with_token(&chief, stop.clone())).await.unwrap();
    let revoke = |consumer: &str| RevokeClaimRequest {
        tenant_id: "other".into(),
        consumer_id: consumer.into(),
        epoch: 9,
        reason: "stuck".into(),
    };
    operators.revoke_claim(with_token(&chief, revoke("w_1"))).await.unwrap();
    operators.revoke_claim(with_token(&chief, revoke("w_none"))).await.unwrap_err();
    operators.signal_entity(with_token(&token("small"), stop)).await.unwrap_err();
    operators.revoke_claim(revoke("w_1")).await.unwrap_err();

    eventually("all is told", async || audit(&server).len() == 5).await;
    let told = audit(&server);
    let (signal, revocation) =
        ("claim.v1.ClaimAdminService/SignalEntity", "claim.v1.ClaimAdminService/RevokeClaim");
    for (line, caller, method, outcome, reason) in [
        (&told[0], "token:chief", signal, "OK", "a line\nand another"),
        (&told[1], "token:chief", revocation, "OK", "stuck"),
        (&told[2], "token:chief", revocation, "NOT_FOUND/CLAIM_NOT_FOUND", "stuck"),
        (&told[3], "token:small", signal, "NOT_PERMITTED", "no such grant"),
    ] {
        assert_eq!(line["caller"], caller, "{line}");
        assert_eq!(line["tenant"], "other", "{line}");
        assert_eq!(line["method"], method, "{line}");
        assert_eq!(line["outcome"], outcome, "{line}");
        assert_eq!(line["reason"], reason, "{line}");
    }
    assert_eq!(told[3]["permission"], "operator");
    assert_eq!(told[4]["outcome"], "UNAUTHENTICATED");
    assert_eq!(told[4]["reason"], "no credentials");

    let history = ListClaimEventsRequest { tenant_id: "other".into(), ..Default::default() };
    let events = client.list_claim_events(with_token(&token("root"), history)).await.unwrap();
    let actors: Vec<_> = events
        .into_inner()
        .events
        .into_iter()
        .filter(|event| event.r#type() != ClaimEventType::Minted)
        .map(|event| event.actor)
        .collect();
    assert_eq!(actors, ["token:chief", "token:chief"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_calls_is_told_in_part_and_counted_in_whole() {
    const CALLS: usize = 1000;
    let db = TestDatabase::new().await;
    let files = Files::new(POLICY, &["small"]);
    let server = files.server(db.url(), &[("CLAIM_LOG_FORMAT", "json")]).await;
    let client = server.client().await;
    let calls = (0..CALLS).map(|_| {
        let mut client = client.clone();
        async move {
            let asked = ListClaimsRequest::default();
            let refused = client.list_claims(with_token(&token("small"), asked)).await;
            assert_eq!(refused.unwrap_err().code(), Code::PermissionDenied);
        }
    });
    futures_util::future::join_all(calls).await;
    let counted = || {
        let told = audit(&server);
        let left_out: u64 = told.iter().filter_map(|line| line["left_out"].as_u64()).sum();
        let refusals = told.iter().filter(|line| line["outcome"] == "NOT_PERMITTED").count();
        (refusals, usize::try_from(left_out).expect("a count"))
    };
    eventually("each is told or counted", async || {
        let (told, left_out) = counted();
        told + left_out == CALLS
    })
    .await;
    assert!(counted().1 > 0, "some were left out: {:?}", counted());
}
