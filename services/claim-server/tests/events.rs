//! The history of claims over the wire: as a listing, and as it goes on.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use claim_proto::v1::watch_claim_events_response::Item;
use claim_proto::v1::{
    ClaimEvent, ClaimEventType, ListClaimEventsRequest, MintRequest, WatchClaimEventsRequest,
    WatchClaimEventsResponse,
};
use claims::store::{EVENT_WRITERS_LOCK, Reaper};
use claims::testing::TestDatabase;
use prost::Message;
use std::time::{Duration, Instant};
use support::own_database::OwnDatabase;
use support::raw;
use support::refusal::Refusal;
use support::request::path;
use support::{Client, PATIENCE, Server, done, heartbeat, mint, mint_epoch};
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};

const ENTITY: &str = "/chat/a";
const CHECKPOINT_INTERVAL_MAX: Duration = Duration::from_secs(15);

async fn start() -> (TestDatabase, Server, Client) {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = server.client().await;
    (db, server, client)
}

/// All events of the default tenant, behind a position.
fn behind(after_sequence: Option<i64>) -> WatchClaimEventsRequest {
    WatchClaimEventsRequest { after_sequence, ..Default::default() }
}

/// A watch, and where it stands.
struct Watch {
    items: Streaming<WatchClaimEventsResponse>,
    position: i64,
}

impl Watch {
    /// Opens one and takes the checkpoint that comes first.
    async fn open(client: &mut Client, asked: WatchClaimEventsRequest) -> Self {
        let items = client.watch_claim_events(asked).await.expect("a watch").into_inner();
        let mut watch = Self { items, position: 0 };
        let first = watch.item().await.expect("an item");
        assert!(matches!(first, Item::Checkpoint(_)), "{first:?}");
        watch
    }

    async fn item(&mut self) -> Result<Item, Status> {
        let next = timeout(PATIENCE, self.items.message()).await.expect("an item in time")?;
        let item = next.expect("a watch has no good end").item.expect("one of both");
        self.position = match &item {
            Item::Event(event) => event.sequence,
            Item::Checkpoint(checkpoint) => checkpoint.sequence,
        };
        Ok(item)
    }

    async fn event(&mut self) -> Result<ClaimEvent, Status> {
        loop {
            if let Item::Event(event) = self.item().await? {
                return Ok(event);
            }
        }
    }

    async fn events(&mut self, count: usize) -> Vec<ClaimEvent> {
        let mut events = Vec::new();
        while events.len() < count {
            events.push(self.event().await.expect("an event"));
        }
        events
    }

    /// How it ends, and how many events come before that.
    async fn end(&mut self) -> (Vec<i64>, Refusal) {
        let mut given = Vec::new();
        loop {
            match self.event().await {
                Ok(event) => given.push(event.sequence),
                Err(status) => return (given, Refusal::of(&status)),
            }
        }
    }
}

/// The refusal of a watch that does not begin.
async fn refused(client: &mut Client, asked: WatchClaimEventsRequest) -> Refusal {
    Refusal::of(&client.watch_claim_events(asked).await.expect_err("a refusal"))
}

/// Every event of a listing, and how many pages it had.
async fn listed(client: &mut Client, asked: ListClaimEventsRequest) -> (Vec<ClaimEvent>, usize) {
    let (mut events, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let asked = ListClaimEventsRequest { page_token, ..asked.clone() };
        let page = client.list_claim_events(asked).await.expect("a page").into_inner();
        events.extend(page.events);
        pages += 1;
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return (events, pages);
        }
    }
}

/// What an event tells, in short: type, who, fence, why, by whom.
fn story(events: &[ClaimEvent]) -> Vec<String> {
    let short = |event: &ClaimEvent| {
        let kind = event.r#type().as_str_name().trim_start_matches("CLAIM_EVENT_TYPE_");
        let ClaimEvent { consumer_id, fence, reason, actor, .. } = event;
        format!("{kind} {consumer_id} {fence} {reason} {actor}")
    };
    events.iter().map(short).collect()
}

/// Writes that many events of the default tenant at once.
async fn write_many(db: &TestDatabase, count: i64) {
    let write = format!(
        "BEGIN;
         SELECT pg_advisory_xact_lock_shared({EVENT_WRITERS_LOCK});
         INSERT INTO claim_events (tenant_id, entity_url, stream_path, consumer_id, epoch, fence,
             type, reason, actor, occurred_at)
         SELECT 'default', '/many/' || n, '', '', 0, 0, 'signaled', 'stop', 'operator', now()
         FROM generate_series(1, {count}) AS n;
         COMMIT"
    );
    db.stranger().await.batch_execute(&write).await.expect("events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_tells_who_held_an_entity_at_any_time_and_why_it_changed_hands() {
    let (db, server, mut client) = start().await;
    let other = Server::start(db.url()).await;
    client.mint(mint_epoch(ENTITY, "w_1", "sub", 1)).await.unwrap();
    client.mint(mint(&format!("{ENTITY}/b"), "w_1")).await.unwrap();
    client.mint(mint_epoch(ENTITY, "w_2", "sub", 2)).await.unwrap();
    client.heartbeat(heartbeat("w_2", 2)).await.unwrap();
    client.done(done("w_1", 1)).await.unwrap();
    client.done(done("w_2", 2)).await.unwrap();
    let of_entity = ListClaimEventsRequest { entity_url: ENTITY.into(), ..Default::default() };
    // Another server sees at once what this one has answered.
    let (events, _) = listed(&mut other.client().await, of_entity.clone()).await;
    assert_eq!(
        story(&events),
        [
            "MINTED w_1 1  holder",
            "SUPERSEDED w_1 1 newer_epoch mint",
            "MINTED w_2 2  holder",
            "RELEASED w_1 1 done holder",
            "RELEASED w_2 2 done holder",
        ]
    );
    for event in &events {
        assert_eq!((event.tenant_id.as_str(), event.entity_url.as_str()), ("default", ENTITY));
        assert_eq!(event.stream_path, format!("{ENTITY}/main"));
    }
    let nanos = |event: &ClaimEvent| event.event_time.map(|time| (time.seconds, time.nanos));
    assert!(events.is_sorted_by_key(nanos) && nanos(&events[0]).is_some());
    let of_consumer =
        ListClaimEventsRequest { consumer_id: "w_2".into(), page_size: 1, ..Default::default() };
    let (events, pages) = listed(&mut client, of_consumer).await;
    assert_eq!(story(&events), ["MINTED w_2 2  holder", "RELEASED w_2 2 done holder"]);
    assert_eq!(pages, 2);
    let both = ListClaimEventsRequest { consumer_id: "w_1".into(), ..of_entity };
    assert_eq!(listed(&mut client, both).await.0.len(), 3);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_of_a_tenant_comes_in_pages_that_miss_and_repeat_nothing() {
    let (db, _server, mut client) = start().await;
    for number in 0..5 {
        client.mint(mint(&format!("/e{number}"), &format!("w_{number}"))).await.unwrap();
        let elsewhere = MintRequest { tenant_id: "other".into(), ..mint("/e", "w") };
        client.mint(elsewhere).await.ok();
    }
    write_many(&db, 3_000).await;
    client.mint(mint("/last", "w_last")).await.unwrap();
    let rows = "SELECT count(*) FROM claim_events WHERE tenant_id = 'default'";
    let count = usize::try_from(db.number(rows).await).unwrap();
    for page_size in [0, 7, 1_000] {
        let asked = ListClaimEventsRequest { page_size, ..Default::default() };
        let (events, pages) = listed(&mut client, asked).await;
        assert_eq!(events.len(), count);
        assert!(events.is_sorted_by(|one, next| one.sequence < next.sequence));
        let size = usize::try_from(page_size).unwrap();
        assert_eq!(pages, count.div_ceil(if size == 0 { 100 } else { size }));
    }
    let other = ListClaimEventsRequest { tenant_id: "other".into(), ..Default::default() };
    assert_eq!(listed(&mut client, other).await.0.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_do_not_fit_are_refused_by_name() {
    let (db, _server, mut client) = start().await;
    write_many(&db, 10).await;
    let text = |value: &str| value.to_owned();
    let good = ListClaimEventsRequest { page_size: 3, ..Default::default() };
    let page = client.list_claim_events(good.clone()).await.unwrap().into_inner();
    let token = page.next_page_token;
    let content = URL_SAFE_NO_PAD.decode(&token).unwrap();
    let forged = |change: &str| {
        let mut content: serde_json::Value = serde_json::from_slice(&content).unwrap();
        content["a"] = serde_json::from_str(change).unwrap();
        URL_SAFE_NO_PAD.encode(content.to_string())
    };
    let with_token = |page_token: String| ListClaimEventsRequest { page_token, ..good.clone() };
    let listings = [
        (ListClaimEventsRequest { tenant_id: text("\0"), ..good.clone() }, "tenant_id"),
        (ListClaimEventsRequest { entity_url: text("no path"), ..good.clone() }, "entity_url"),
        (ListClaimEventsRequest { consumer_id: "x".repeat(257), ..good.clone() }, "consumer_id"),
        (ListClaimEventsRequest { page_size: 1_001, ..good.clone() }, "page_size"),
        (ListClaimEventsRequest { page_size: -1, ..good.clone() }, "page_size"),
        (
            ListClaimEventsRequest { entity_url: text("/a"), ..with_token(token.clone()) },
            "page_token",
        ),
        (
            ListClaimEventsRequest { tenant_id: text("b"), ..with_token(token.clone()) },
            "page_token",
        ),
        (with_token(text("garbage")), "page_token"),
        (with_token(format!("{token}=")), "page_token"),
        (with_token(forged("-1")), "page_token"),
        (with_token(forged("1e300")), "page_token"),
        (with_token(forged("null")), "page_token"),
        (with_token(forged("9223372036854775808")), "page_token"),
    ];
    for (asked, field) in listings {
        let status = client.list_claim_events(asked.clone()).await.expect_err("a refusal");
        let refusal = Refusal::of(&status);
        assert_eq!(refusal.kind(), (Code::InvalidArgument, "INVALID_FIELD"), "{asked:?}");
        assert_eq!(refusal.fields, [field], "{asked:?}");
    }
    // A forged token shows no more than the listing does.
    for forged in [forged("0"), forged("9223372036854775807")] {
        client.list_claim_events(with_token(forged)).await.unwrap();
    }
    let watch = behind(None);
    let watches = [
        (WatchClaimEventsRequest { tenant_id: text("\n"), ..watch.clone() }, "tenant_id"),
        (WatchClaimEventsRequest { entity_url: text("/a//b"), ..watch.clone() }, "entity_url"),
        (WatchClaimEventsRequest { consumer_id: text("\u{85}"), ..watch.clone() }, "consumer_id"),
        (behind(Some(-1)), "after_sequence"),
        (behind(Some(i64::MIN)), "after_sequence"),
        // Nothing that was said has come so far.
        (behind(Some(11)), "after_sequence"),
        (behind(Some(i64::MAX)), "after_sequence"),
    ];
    for (asked, field) in watches {
        let refusal = refused(&mut client, asked.clone()).await;
        assert_eq!(refusal.kind(), (Code::InvalidArgument, "INVALID_FIELD"), "{asked:?}");
        assert_eq!(refusal.fields, [field], "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_followed_by_a_watch_and_a_listing_after_its_first_checkpoint() {
    let (_db, _server, mut client) = start().await;
    client.mint(mint("/before", "w_0")).await.unwrap();
    let mut watch = Watch::open(&mut client, behind(None)).await;
    let list = ListClaimEventsRequest::default();
    let (past, _) = listed(&mut client, list).await;
    assert_eq!(watch.position, past.last().unwrap().sequence);
    let minted = client.mint(mint(ENTITY, "w_1")).await.unwrap().into_inner();
    client.heartbeat(heartbeat("w_1", 1)).await.unwrap();
    client.done(done("w_1", 1)).await.unwrap();
    let events = watch.events(2).await;
    assert_eq!(story(&events), ["MINTED w_1 1  holder", "RELEASED w_1 1 done holder"]);
    assert_eq!(events[0].event_time, minted.claim.unwrap().claim_time);
    assert!(events[0].sequence > past[0].sequence);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_gives_what_its_conditions_say() {
    let (_db, _server, mut client) = start().await;
    let of = |tenant: &str, entity: &str, consumer: &str| WatchClaimEventsRequest {
        tenant_id: tenant.into(),
        entity_url: entity.into(),
        consumer_id: consumer.into(),
        after_sequence: Some(0),
    };
    let conditions = [
        (of("", "", ""), 4),
        (of("default", ENTITY, ""), 2),
        (of("", "", "w_2"), 2),
        (of("", "/chat/b", "w_2"), 1),
        (of("other", "", ""), 1),
    ];
    // Some have happened when the watches begin, some happen then.
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    client.mint(mint("/chat/b", "w_2")).await.unwrap();
    let mut watches = Vec::new();
    for (asked, count) in conditions {
        watches.push((Watch::open(&mut client, asked.clone()).await, asked, count));
    }
    client.mint(MintRequest { tenant_id: "other".into(), ..mint(ENTITY, "w_1") }).await.unwrap();
    client.done(done("w_1", 1)).await.unwrap();
    client.mint(mint("/chat/c", "w_2")).await.unwrap();
    let tenant_of = |asked: &WatchClaimEventsRequest| match asked.tenant_id.as_str() {
        "" => "default".to_owned(),
        tenant => tenant.to_owned(),
    };
    for (watch, asked, count) in &mut watches {
        let events = watch.events(*count).await;
        for event in &events {
            assert_eq!(event.tenant_id, tenant_of(asked), "{event:?}");
            let wanted =
                [(&asked.entity_url, &event.entity_url), (&asked.consumer_id, &event.consumer_id)];
            for (wanted, found) in wanted {
                assert!(wanted.is_empty() || wanted == found, "{asked:?}: {event:?}");
            }
        }
        // Whoever wants all knows by now that there is no more.
        assert!(events.is_sorted_by(|one, next| one.sequence < next.sequence));
    }
    let last = watches[0].0.position;
    for (watch, ..) in &mut watches {
        while watch.position < last {
            let item = watch.item().await.unwrap();
            assert!(matches!(item, Item::Checkpoint(_)), "{item:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_a_killed_server_is_resumed_at_another() {
    let (db, server, mut client) = start().await;
    let other = Server::start(db.url()).await;
    let mut elsewhere = other.client().await;
    let mut watch = Watch::open(&mut client, behind(Some(0))).await;
    client.mint(mint("/e0", "w_0")).await.unwrap();
    let first = watch.events(1).await;
    elsewhere.mint(mint("/e1", "w_1")).await.unwrap();
    let second = watch.events(1).await;
    server.kill().await;
    watch.event().await.unwrap_err();
    for number in 2..6 {
        elsewhere.mint(mint(&format!("/e{number}"), &format!("w_{number}"))).await.unwrap();
    }
    let mut resumed = Watch::open(&mut elsewhere, behind(Some(watch.position))).await;
    let rest = resumed.events(4).await;
    let all: Vec<ClaimEvent> = [first, second, rest].concat();
    assert_eq!(all, listed(&mut elsewhere, ListClaimEventsRequest::default()).await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_was_pruned_is_refused_with_how_far_pruning_went() {
    let (db, _server, mut client) = start().await;
    write_many(&db, 10).await;
    let age = "UPDATE claim_events SET occurred_at = now() - interval '8 days' WHERE sequence <= 6";
    db.sql.batch_execute(age).await.unwrap();
    let asked = ListClaimEventsRequest { page_size: 3, ..Default::default() };
    let page = client.list_claim_events(asked.clone()).await.unwrap().into_inner();
    prune(&db).await;
    // A listing that pruning has overtaken is told the same as a watch.
    let next = ListClaimEventsRequest { page_token: page.next_page_token, ..asked };
    let listing = Refusal::of(&client.list_claim_events(next).await.expect_err("a hole"));
    for refusal in [refused(&mut client, behind(Some(5))).await, listing] {
        assert_eq!(refusal.kind(), (Code::OutOfRange, "EVENTS_PRUNED"));
        assert_eq!(refusal.metadata, [("pruned_sequence".into(), "6".into())].into());
        assert_eq!((refusal.retry, refusal.fields.len()), (None, 0));
    }
    for from in [0, 6] {
        let mut watch = Watch::open(&mut client, behind(Some(from))).await;
        let kept: Vec<i64> = watch.events(4).await.iter().map(|event| event.sequence).collect();
        assert_eq!(kept, [7, 8, 9, 10]);
    }
    let (kept, _) = listed(&mut client, ListClaimEventsRequest::default()).await;
    assert_eq!(kept.len(), 4);
}

/// Removes the events that are older than a week.
async fn prune(db: &TestDatabase) {
    let week = Duration::from_secs(7 * 86_400);
    Reaper::new(db.database(), "reaper").prune_step(week).await.expect("a step");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_watch_ends_when_events_that_it_was_not_given_are_pruned_or_lost() {
    let (db, _server, mut client) = start().await;
    write_many(&db, 5).await;
    let mut watch = Watch::open(&mut client, behind(Some(0))).await;
    assert_eq!(watch.events(5).await.len(), 5);
    // A writer that is not done holds the events of others back until they are pruned.
    let slow = db.stranger().await;
    let draw = format!(
        "BEGIN; SELECT pg_advisory_xact_lock_shared({EVENT_WRITERS_LOCK});
         SELECT nextval('claim_event_sequence')"
    );
    slow.batch_execute(&draw).await.unwrap();
    write_many(&db, 3).await;
    let age = "UPDATE claim_events SET occurred_at = now() - interval '8 days' WHERE sequence <= 8";
    db.sql.batch_execute(age).await.unwrap();
    prune(&db).await;
    slow.batch_execute("ROLLBACK").await.unwrap();
    let (given, refusal) = watch.end().await;
    assert_eq!((given.len(), refusal.kind()), (0, (Code::OutOfRange, "EVENTS_PRUNED")));
    assert_eq!(refusal.metadata, [("pruned_sequence".into(), "8".into())].into());

    // As if an older copy of the database had been restored: its caller can do the same.
    let mut watch = Watch::open(&mut client, behind(Some(9))).await;
    write_many(&db, 5).await;
    watch.events(5).await;
    let restore = "DELETE FROM claim_events WHERE sequence > 9;
         SELECT setval('claim_event_sequence', 9)";
    db.sql.batch_execute(restore).await.unwrap();
    let (given, refusal) = watch.end().await;
    assert_eq!((given.len(), refusal.kind()), (0, (Code::OutOfRange, "EVENTS_PRUNED")));
    assert_eq!(refusal.metadata, [("pruned_sequence".into(), "9".into())].into());
    let mut resumed = Watch::open(&mut client, behind(Some(9))).await;
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    assert_eq!(resumed.events(1).await[0].sequence, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_watch_has_a_checkpoint_in_time() {
    let (_db, _server, mut client) = start().await;
    let mut watch = Watch::open(&mut client, behind(None)).await;
    let begin = Instant::now();
    let item = watch.item().await.unwrap();
    assert!(matches!(item, Item::Checkpoint(_)), "{item:?}");
    assert!(begin.elapsed() < CHECKPOINT_INTERVAL_MAX, "after {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_the_server_drains_and_says_so() {
    let (db, mut server, mut client) = start().await;
    let other = Server::start(db.url()).await;
    let mut watch = Watch::open(&mut client, behind(None)).await;
    // One that never reads on keeps nobody.
    let _mute = client.watch_claim_events(behind(Some(0))).await.unwrap();
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    watch.events(1).await;
    let asked = Instant::now();
    server.signal("TERM");
    let (given, refusal) = watch.end().await;
    assert_eq!((given.len(), refusal.kind()), (0, (Code::Unavailable, "DRAINING")));
    assert!(refusal.retry.expect("a RetryInfo") > Duration::ZERO);
    let ended = timeout(PATIENCE, server.child.wait()).await.expect("it ends in time");
    assert_eq!(ended.unwrap().code(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    let mut elsewhere = other.client().await;
    elsewhere.done(done("w_1", 1)).await.unwrap();
    let mut resumed = Watch::open(&mut elsewhere, behind(Some(watch.position))).await;
    assert_eq!(story(&resumed.events(1).await), ["RELEASED w_1 1 done holder"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_with_its_callers_deadline() {
    let (_db, server, mut client) = start().await;
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    // Clients end a call by themselves when its time is up; this is the server's own answer.
    let connection = raw::connect(server.address).await;
    for (time, least) in [("1S", Duration::from_millis(990)), ("1n", Duration::ZERO)] {
        let begin = Instant::now();
        let body = raw::framed(&behind(Some(0)).encode_to_vec());
        let headers = [("grpc-timeout", time)];
        let answer = connection.send_with(&path("WatchClaimEvents"), &headers, body).await;
        let refusal = Refusal::of(&answer.status());
        assert_eq!(refusal.kind(), (Code::DeadlineExceeded, "TIMED_OUT"), "{time}");
        let took = begin.elapsed();
        assert!(took >= least && took < Duration::from_secs(10), "{time}: {took:?}");
        assert_eq!(answer.body.is_empty(), least.is_zero(), "{time}: until then it was served");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_ends_when_the_database_is_away_and_resumes_when_it_is_back() {
    let mut database = OwnDatabase::new().await;
    let server = Server::start(&database.url).await;
    let mut client = server.client().await;
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    let mut watch = Watch::open(&mut client, behind(Some(0))).await;
    watch.events(1).await;
    let away = Instant::now();
    database.stop().await;
    let (_, refusal) = watch.end().await;
    assert_eq!(refusal.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    assert!(refusal.retry.expect("a RetryInfo") > Duration::ZERO);
    assert!(away.elapsed() >= Duration::from_secs(2), "a short outage ends no watch");
    let refusal = refused(&mut client, behind(Some(watch.position))).await;
    assert_eq!(refusal.kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));
    let status = client.list_claim_events(ListClaimEventsRequest::default()).await.unwrap_err();
    assert_eq!(Refusal::of(&status).kind(), (Code::Unavailable, "DATABASE_UNAVAILABLE"));

    database.start().await;
    support::eventually("a done is served", async || {
        client.clone().done(done("w_1", 1)).await.is_ok()
    })
    .await;
    // The reader of events comes back by itself, a moment later perhaps.
    support::eventually("watches are served", async || {
        client.clone().watch_claim_events(behind(Some(watch.position))).await.is_ok()
    })
    .await;
    let mut resumed = Watch::open(&mut client, behind(Some(watch.position))).await;
    assert_eq!(resumed.events(1).await[0].r#type(), ClaimEventType::Released);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_told_that_it_was_too_slow_and_resumes() {
    let (db, _server, mut client) = start().await;
    let mut watch = Watch::open(&mut client, behind(None)).await;
    client.mint(mint(ENTITY, "w_1")).await.unwrap();
    watch.events(1).await;
    let mut quick = Watch::open(&mut client, behind(Some(watch.position))).await;
    // More than the server keeps for anybody, and far more than fits into the windows.
    const STORM: usize = 100_000;
    write_many(&db, STORM.try_into().unwrap()).await;
    assert_eq!(quick.events(STORM).await.len(), STORM);
    let before = watch.position;
    let (given, refusal) = watch.end().await;
    assert_eq!(refusal.kind(), (Code::ResourceExhausted, "WATCHER_TOO_SLOW"));
    let last = given.last().copied().unwrap_or(before);
    assert_eq!(refusal.metadata, [("last_sequence".into(), last.to_string())].into());
    assert!(given.len() < STORM, "it has not been given all");
    let mut resumed = Watch::open(&mut client, behind(Some(last))).await;
    let rest = resumed.events(STORM - given.len()).await;
    let rest: Vec<i64> = rest.iter().map(|event| event.sequence).collect();
    let all: Vec<i64> = ((before + 1)..).take(STORM).collect();
    assert_eq!([given, rest].concat(), all);
}
