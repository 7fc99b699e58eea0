//! The calls of operators: what they do, what they are told, and what is recorded of it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::claim_admin_service_client::ClaimAdminServiceClient;
use claim_proto::v1::{
    ClaimState, EntitySignal, EntityState, RevokeClaimRequest, RevokeClaimResponse,
    SignalEntityRequest, SignalEntityResponse,
};
use claims::testing::{TestDatabase, entity_key};
use support::refusal::Refusal;
use support::{Client, Server, authorize, claim, done, entity, heartbeat, mint, mint_epoch};
use tonic::transport::Channel;
use tonic::{Code, Status};

const ENTITY: &str = "/chat/a";

struct Stage {
    db: TestDatabase,
    _server: Server,
    client: Client,
    admin: ClaimAdminServiceClient<Channel>,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::in_service().await;
        let server = Server::start(db.url()).await;
        let (client, admin) = (server.client().await, support::admin(server.address).await);
        Self { db, _server: server, client, admin }
    }

    async fn revoke(
        &mut self,
        consumer: &str,
        epoch: i64,
        reason: &str,
    ) -> Result<RevokeClaimResponse, Status> {
        let request = RevokeClaimRequest {
            consumer_id: consumer.into(),
            epoch,
            reason: reason.into(),
            ..Default::default()
        };
        Ok(self.admin.revoke_claim(request).await?.into_inner())
    }

    async fn signal(
        &mut self,
        url: &str,
        signal: EntitySignal,
        reason: &str,
    ) -> Result<SignalEntityResponse, Status> {
        let request = SignalEntityRequest {
            entity_url: url.into(),
            signal: signal.into(),
            reason: reason.into(),
            ..Default::default()
        };
        Ok(self.admin.signal_entity(request).await?.into_inner())
    }

    /// Type, reason and actor of an entity's last event.
    async fn last_event(&self, url: &str) -> [String; 3] {
        let query = "SELECT type, reason, actor FROM claim_events WHERE entity_url = $1
             ORDER BY sequence DESC LIMIT 1";
        let row = self.db.sql.query_one(query, &[&url]).await.expect("an event");
        [row.get(0), row.get(1), row.get(2)]
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_the_current_claim_frees_its_entity_at_once_and_says_by_whom_and_why() {
    let mut stage = Stage::new().await;
    let held = stage.client.mint(mint(ENTITY, "w_1")).await.unwrap().into_inner();
    let revoked = stage.revoke("w_1", 1, "gone wild").await.unwrap();
    assert!(revoked.entity_cleared && !revoked.already_ended);
    let ended = revoked.claim.unwrap();
    assert_eq!((ended.state(), ended.end_reason.as_str()), (ClaimState::Revoked, "gone wild"));
    assert!(ended.end_time.is_some());
    assert_eq!(ended, claim(&mut stage.client, "w_1", 1).await);
    assert_eq!(stage.last_event(ENTITY).await, ["revoked", "gone wild", "anonymous"]);
    assert_eq!(entity(&mut stage.client, ENTITY).await.state(), EntityState::Idle);
    let dead = Refusal::of(&authorize(&mut stage.client, &held).await.unwrap_err());
    assert_eq!(dead.reason, "WRITE_TOKEN_INVALID");
    stage.client.mint(mint(ENTITY, "w_2")).await.unwrap();
    stage.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn revoking_a_superseded_claim_leaves_its_successor_alone() {
    let mut stage = Stage::new().await;
    stage.client.mint(mint_epoch(ENTITY, "w_1", "sub", 1)).await.unwrap();
    let newer = stage.client.mint(mint_epoch(ENTITY, "w_2", "sub", 2)).await.unwrap().into_inner();
    let revoked = stage.revoke("w_1", 1, "").await.unwrap();
    assert!(!revoked.entity_cleared && !revoked.already_ended);
    assert_eq!(revoked.claim.unwrap().end_reason, "revoked");
    authorize(&mut stage.client, &newer).await.unwrap();
    stage.client.heartbeat(heartbeat("w_2", 2)).await.unwrap();
    stage.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_has_ended_is_not_revoked_again_and_the_first_ending_is_told() {
    let mut stage = Stage::new().await;
    stage.client.mint(mint(ENTITY, "w_1")).await.unwrap();
    stage.client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let first = stage.client.done(done("w_1", 1)).await.unwrap().into_inner();
    stage.revoke("w_2", 1, "first").await.unwrap();
    let before = stage.db.all_rows().await;
    for (consumer, reason) in [("w_1", "done"), ("w_2", "first")] {
        let again = stage.revoke(consumer, 1, "second").await.unwrap();
        assert!(again.already_ended && again.entity_cleared, "{consumer}");
        let ended = again.claim.unwrap();
        assert_eq!(ended.end_reason, reason);
        if consumer == "w_1" {
            assert_eq!(Some(ended), first.claim);
        }
    }
    let mut after = stage.db.all_rows().await;
    after.insert("service_liveness".into(), before["service_liveness"].clone());
    assert_eq!(after, before, "nothing is written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_never_minted_cannot_be_revoked() {
    let mut stage = Stage::new().await;
    stage.client.mint(mint(ENTITY, "w_1")).await.unwrap();
    for (consumer, epoch) in [("w_unknown", 1), ("w_1", 2)] {
        let refusal = Refusal::of(&stage.revoke(consumer, epoch, "").await.unwrap_err());
        assert_eq!(refusal.kind(), (Code::NotFound, "CLAIM_NOT_FOUND"));
        assert!(refusal.metadata.is_empty());
    }
    let other = RevokeClaimRequest {
        tenant_id: "other".into(),
        consumer_id: "w_1".into(),
        epoch: 1,
        ..Default::default()
    };
    stage.admin.revoke_claim(other).await.unwrap_err();
    stage.client.heartbeat(heartbeat("w_1", 1)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_recorded_with_its_name_and_what_its_operator_said() {
    let mut stage = Stage::new().await;
    stage.client.mint(mint(ENTITY, "w_1")).await.unwrap();
    let paused = stage.signal(ENTITY, EntitySignal::Stop, "deploy: 42").await.unwrap();
    assert!(paused.changed);
    assert_eq!(stage.last_event(ENTITY).await, ["signaled", "stop: deploy: 42", "anonymous"]);
    let told = paused.entity.unwrap();
    assert_eq!(
        (told.state(), told.entity_url.as_str(), told.fence),
        (EntityState::Paused, ENTITY, 1)
    );
    let current = told.current_claim.unwrap();
    assert_eq!((current.consumer_id.as_str(), current.state()), ("w_1", ClaimState::Active));
    assert!((25..=30).contains(&current.lease_remaining.unwrap().seconds));
    assert!(!current.lapsed);

    // What holds already is no change and no event.
    let again = stage.signal(ENTITY, EntitySignal::Stop, "again").await.unwrap();
    assert!(!again.changed);
    assert_eq!(again.entity.unwrap().state(), EntityState::Paused);
    assert_eq!(stage.last_event(ENTITY).await[1], "stop: deploy: 42");
    let running = stage.signal(ENTITY, EntitySignal::Cont, "").await.unwrap();
    assert_eq!((running.changed, running.entity.unwrap().state()), (true, EntityState::Running));
    assert_eq!(stage.last_event(ENTITY).await, ["signaled", "cont", "anonymous"]);
    stage.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_entity_takes_no_claims_until_it_is_continued() {
    let mut stage = Stage::new().await;
    stage.signal(ENTITY, EntitySignal::Stop, "").await.unwrap();
    let refusal = Refusal::of(&stage.client.mint(mint(ENTITY, "w_1")).await.unwrap_err());
    assert_eq!(
        (refusal.reason.as_str(), refusal.metadata["entity_state"].as_str()),
        ("ENTITY_NOT_CLAIMABLE", "paused")
    );
    let idle = stage.signal(ENTITY, EntitySignal::Cont, "").await.unwrap();
    assert_eq!(idle.entity.unwrap().state(), EntityState::Idle);
    stage.client.mint(mint(ENTITY, "w_1")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_to_end_ends_with_its_claim() {
    let mut stage = Stage::new().await;
    stage.client.mint(mint(ENTITY, "w_1")).await.unwrap();
    let stopping = stage.signal(ENTITY, EntitySignal::Term, "").await.unwrap();
    assert_eq!((stopping.changed, stopping.entity.unwrap().state()), (true, EntityState::Stopping));
    for signal in [EntitySignal::Stop, EntitySignal::Cont] {
        let refusal = Refusal::of(&stage.signal(ENTITY, signal, "").await.unwrap_err());
        assert_eq!(refusal.kind(), (Code::FailedPrecondition, "SIGNAL_NOT_APPLICABLE"));
        assert_eq!(refusal.metadata["entity_state"], "stopping");
    }
    stage.client.done(done("w_1", 1)).await.unwrap();
    let stopped = stage.signal(ENTITY, EntitySignal::Term, "").await.unwrap();
    assert_eq!((stopped.changed, stopped.entity.unwrap().state()), (false, EntityState::Stopped));
    for signal in [EntitySignal::Stop, EntitySignal::Cont, EntitySignal::Kill] {
        let refusal = Refusal::of(&stage.signal(ENTITY, signal, "").await.unwrap_err());
        assert_eq!(refusal.kind(), (Code::FailedPrecondition, "ENTITY_TERMINAL"));
        assert_eq!(refusal.metadata["entity_state"], "stopped");
    }
    stage.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_an_entity_ends_all_its_claims() {
    let mut stage = Stage::new().await;
    stage.client.mint(mint_epoch(ENTITY, "w_1", "sub", 1)).await.unwrap();
    let held = stage.client.mint(mint_epoch(ENTITY, "w_2", "sub", 2)).await.unwrap().into_inner();
    let killed = stage.signal(ENTITY, EntitySignal::Kill, "fire").await.unwrap();
    assert!(killed.changed);
    let told = killed.entity.unwrap();
    assert_eq!((told.state(), told.current_claim.is_none()), (EntityState::Killed, true));
    for (consumer, epoch) in [("w_1", 1), ("w_2", 2)] {
        let ended = claim(&mut stage.client, consumer, epoch).await;
        assert_eq!((ended.state(), ended.end_reason.as_str()), (ClaimState::Revoked, "killed"));
    }
    authorize(&mut stage.client, &held).await.unwrap_err();
    let events = stage.db.events_of(&entity_key(ENTITY)).await;
    let ends = ["revoked:killed", "revoked:killed", "signaled:kill: fire"];
    assert_eq!(events[events.len() - 3..], ends);
    assert!(!stage.signal(ENTITY, EntitySignal::Kill, "").await.unwrap().changed);
    stage.db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_brings_an_entity_into_being_that_nobody_has_named() {
    let mut stage = Stage::new().await;
    let signals = [
        (EntitySignal::Stop, EntityState::Paused, true),
        (EntitySignal::Cont, EntityState::Idle, false),
        (EntitySignal::Term, EntityState::Stopped, true),
        (EntitySignal::Kill, EntityState::Killed, true),
    ];
    for (signal, state, changed) in signals {
        let url = format!("/new/{}", signal.as_str_name());
        let signaled = stage.signal(&url, signal, "").await.unwrap();
        assert_eq!(signaled.changed, changed, "{url}");
        let told = signaled.entity.unwrap();
        assert_eq!((told.state(), told.fence, told.current_claim.clone()), (state, 0, None));
        assert_eq!(entity(&mut stage.client, &url).await, told);
    }
    stage.db.check_invariants().await;
}
