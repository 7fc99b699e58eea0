//! What the real server counts, as Prometheus reads it.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claim_proto::v1::{
    DoneOutcome, DoneRequest, EntitySignal, HeartbeatBatchRequest, HeartbeatRequest, MintRequest,
    RevokeClaimRequest, SignalEntityRequest,
};
use claims::testing::{TestDatabase, claim_id};
use std::time::Duration;
use support::raw::{connect, framed};
use support::scrape::Scrape;
use support::streams::KeepAlive;
use support::{Client, Server, authorize, done, eventually, heartbeat, mint, mint_epoch, reason};

/// The names of the specification, with a series of each that must be there after a little work.
const SERIES: [&str; 15] = [
    r#"claim_rpc_duration_seconds_count{method="claim.v1.ClaimService/Mint",code="OK"}"#,
    r#"claim_refusals_total{method="claim.v1.ClaimService/Mint",reason="ALREADY_CLAIMED"}"#,
    "claim_minted_total",
    "claim_superseded_total",
    "claim_released_total",
    "claim_failed_total",
    "claim_expired_total",
    "claim_revoked_total",
    "claim_heartbeats_total",
    r#"claim_batch_size_count{kind="decide"}"#,
    r#"claim_queue_wait_seconds_count{kind="heartbeat"}"#,
    r#"claim_queue_depth{kind="authorize"}"#,
    r#"claim_db_connections{state="idle"}"#,
    r#"claim_db_connections{state="used"}"#,
    r#"claim_db_errors_total{kind="connect"}"#,
];

struct Stage {
    db: TestDatabase,
    server: Server,
    client: Client,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::in_service().await;
        let server = Server::start(db.url()).await;
        let client = server.client().await;
        Self { db, server, client }
    }

    async fn mint(&mut self, request: MintRequest) -> Result<String, String> {
        let minted = self.client.mint(request).await;
        minted.map(|minted| minted.into_inner().write_token).map_err(|no| reason(&no))
    }

    async fn scrape(&self) -> Scrape {
        Scrape::of(&self.server).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_name_of_the_specification_is_missing() {
    let mut stage = Stage::new().await;
    let minted = stage.client.mint(mint("/chat/a", "w_1")).await.expect("a claim").into_inner();
    assert_eq!(stage.mint(mint("/chat/a", "w_2")).await, Err("ALREADY_CLAIMED".to_owned()));
    authorize(&mut stage.client, &minted).await.expect("an authorization");
    stage.client.heartbeat(heartbeat("w_1", 1)).await.expect("a renewal");
    let found = stage.scrape().await;
    for series in SERIES {
        assert!(found.0.contains_key(series), "no {series} in {:#?}", found.0.keys());
    }
    let connections = found.value(SERIES[12]) + found.value(SERIES[13]);
    assert!((4.0..=16.0).contains(&connections), "three lanes and the probe: {connections}");
    assert_eq!(found.value(r#"claim_queue_depth{kind="decide"}"#), 0.0, "nobody waits");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_was_refused_or_rolled_back_is_not_counted_and_one_that_is_repeated_only_once()
{
    let mut stage = Stage::new().await;
    let request = MintRequest { request_id: "q".into(), ..mint("/chat/a", "w_1") };
    for _ in 0..3 {
        stage.mint(request.clone()).await.expect("a claim");
    }
    assert_eq!(stage.mint(mint("/chat/a", "w_2")).await, Err("ALREADY_CLAIMED".to_owned()));
    // The database refuses the row of this one: its transaction is rolled back, however often.
    stage.db.poison("w_3").await;
    assert_eq!(stage.mint(mint("/chat/b", "w_3")).await, Err("DATABASE_UNAVAILABLE".to_owned()));

    let found = stage.scrape().await;
    assert_eq!(found.fates(), [1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    assert_eq!(found.calls("Mint", "OK"), 3.0);
    assert_eq!(found.refusals("Mint", "ALREADY_CLAIMED"), 1.0);
    assert_eq!(found.refusals("Mint", "DATABASE_UNAVAILABLE"), 1.0);
    assert!(found.value(r#"claim_db_errors_total{kind="rolled_back"}"#) >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_of_a_claim_counts_as_what_it_was_and_no_end_counts_twice() {
    let mut stage = Stage::new().await;
    for entity in ["/e/1", "/e/2", "/e/3", "/e/4", "/e/5"] {
        stage.mint(mint_epoch(entity, &entity[1..].replace('/', ""), "sub", 1)).await.expect("one");
    }
    for _ in 0..2 {
        stage.client.done(done("e1", 1)).await.expect("released, and told so again");
    }
    let failed = DoneRequest { outcome: DoneOutcome::Failed.into(), ..done("e2", 1) };
    stage.client.done(failed).await.expect("failed");
    stage.mint(mint_epoch("/e/3", "newer", "sub", 2)).await.expect("one that supersedes");
    stage.db.lapse(&claim_id("e4", 1), Duration::from_secs(60)).await;
    stage.mint(mint("/e/4", "later")).await.expect("one that expires the lapsed one");
    let mut admin = support::admin(stage.server.address).await;
    let revoke = RevokeClaimRequest { consumer_id: "e5".into(), epoch: 1, ..Default::default() };
    admin.revoke_claim(revoke).await.expect("revoked");
    // Both the newer claim and the one that it superseded are revoked.
    let signal = EntitySignal::Kill.into();
    let kill = SignalEntityRequest { entity_url: "/e/3".into(), signal, ..Default::default() };
    admin.signal_entity(kill).await.expect("killed");
    assert_eq!(stage.scrape().await.fates(), [7.0, 1.0, 1.0, 1.0, 1.0, 3.0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_heartbeat_counts_whatever_it_came_by_unless_it_is_refused() {
    let mut stage = Stage::new().await;
    stage.mint(mint("/chat/a", "w_1")).await.expect("a claim");
    stage.client.heartbeat(heartbeat("w_1", 1)).await.expect("a renewal");
    stage.client.heartbeat(heartbeat("nobody", 1)).await.expect_err("no such claim");
    let beats = ["w_1", "w_1", "nobody"].map(|consumer| heartbeat(consumer, 1));
    let bad = HeartbeatRequest::default();
    let heartbeats = beats.into_iter().chain([bad]).collect();
    let batch = HeartbeatBatchRequest { heartbeats };
    stage.client.heartbeat_batch(batch).await.expect("four answers");
    let mut stream = KeepAlive::open(&mut stage.client).await;
    for tag in 1..=3 {
        stream.beat(tag, heartbeat("w_1", 1)).await.expect("a renewal");
    }
    stream.beat(4, heartbeat("nobody", 1)).await.expect_err("no such claim");

    let found = stage.scrape().await;
    assert_eq!(found.value("claim_heartbeats_total"), 6.0);
    assert_eq!(found.refusals("Heartbeat", "CLAIM_NOT_FOUND"), 1.0);
    assert_eq!(found.refusals("HeartbeatBatch", "CLAIM_NOT_FOUND"), 1.0);
    assert_eq!(found.refusals("HeartbeatBatch", "INVALID_FIELD"), 1.0);
    assert_eq!(found.refusals("KeepAlive", "CLAIM_NOT_FOUND"), 1.0);
    assert_eq!(found.calls("HeartbeatBatch", "OK"), 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_no_long_call_however_long_it_lasts() {
    let mut stage = Stage::new().await;
    let mut stream = KeepAlive::open(&mut stage.client).await;
    stage.mint(mint("/chat/a", "w_1")).await.expect("a claim");
    stream.beat(1, heartbeat("w_1", 1)).await.expect("a renewal");
    let labels = r#"method="claim.v1.ClaimService/KeepAlive",code="OK""#;
    let (count, sum) = ("claim_rpc_duration_seconds_count", "claim_rpc_duration_seconds_sum");
    let before = stage.scrape().await;
    let took = before.value(&format!("{sum}{{{labels}}}"));
    assert_eq!(before.value(&format!("{count}{{{labels}}}")), 1.0, "it has begun");
    stage.server.signal("TERM");
    assert_eq!(stream.end().await.reason, "DRAINING");
    // The end of the stream is a refusal, and not another call.
    let ended = || async {
        let found = stage.scrape().await;
        assert_eq!(found.value(&format!("{count}{{{labels}}}")), 1.0);
        assert!((found.value(&format!("{sum}{{{labels}}}")) - took).abs() < f64::EPSILON);
        found.refusals("KeepAlive", "DRAINING") == 1.0
    };
    eventually("the end of the stream is counted", ended).await;
}

/// What strangers could send to make series of their own.
async fn garbage(stage: &mut Stage, salt: &str) {
    let raw = connect(stage.server.address).await;
    for number in 0..40 {
        let name = format!("{salt}_{number}");
        for path in [
            format!("/{name}"),
            format!("/claim.v1.ClaimService/{name}"),
            format!("/{name}/Mint"),
            format!("/claim.v1.ClaimService/Mint?{name}"),
            format!("/claim.v1.ClaimService/Mint/{name}"),
        ] {
            raw.send(&path, framed(name.as_bytes())).await;
        }
        for path in ["Mint", "Heartbeat", "Done", "AuthorizeWrite", "ListClaims", "KeepAlive"] {
            raw.send(&format!("/claim.v1.ClaimService/{path}"), framed(name.as_bytes())).await;
        }
        let beat = HeartbeatRequest { tenant_id: name.clone(), ..heartbeat(&name, 1) };
        stage.client.heartbeat(beat).await.expect_err("no such claim");
        let request = MintRequest { tenant_id: name.clone(), ..mint(&format!("/{name}"), &name) };
        stage.mint(request.clone()).await.expect("a claim");
        let other = MintRequest { consumer_id: format!("other_{name}"), ..request };
        stage.mint(other).await.expect_err("it is claimed");
        let mut over = DoneRequest { tenant_id: name.clone(), ..done(&name, 1) };
        over.error_message = name.clone();
        stage.client.done(over).await.expect("an end");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_strangers_send_makes_no_series_of_its_own() {
    let mut stage = Stage::new().await;
    garbage(&mut stage, "first").await;
    // Also what concerns the server's own work is there now.
    let settled = async || {
        let (one, other) = (stage.scrape().await, stage.scrape().await);
        one.0.len() == other.0.len() && one.value("claim_minted_total") == 40.0
    };
    eventually("all is counted", settled).await;
    let first = stage.scrape().await;
    let names: Vec<&String> = first.0.keys().filter(|series| series.contains("first")).collect();
    assert!(names.is_empty(), "named by strangers: {names:?}");
    let unknown = r#"claim_rpc_duration_seconds_count{method="unknown",code="UNIMPLEMENTED"}"#;
    assert!(first.value(unknown) >= 80.0, "{:#?}", first.0);

    garbage(&mut stage, "second").await;
    let second = stage.scrape().await;
    let new: Vec<&String> = second.0.keys().filter(|key| !first.0.contains_key(*key)).collect();
    assert!(new.is_empty(), "more of the same makes more series: {new:?}");
    assert!(second.0.len() < 1_000, "{} series", second.0.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_away_is_seen_in_the_metrics() {
    // Nobody listens on port 1.
    let server = Server::start("postgres://nobody@127.0.0.1:1/none").await;
    let failing = async || {
        let found = Scrape::of(&server).await;
        let connections = found.value(r#"claim_db_connections{state="idle"}"#)
            + found.value(r#"claim_db_connections{state="used"}"#);
        assert_eq!(connections, 0.0);
        found.value(r#"claim_db_errors_total{kind="connect"}"#) >= 2.0
    };
    eventually("failures to connect are counted", failing).await;
}
