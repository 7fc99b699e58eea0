//! What the tests of this program share: quick watches, and writers whose transactions a test ends
//! when it likes.

use claims::domain::{ConsumerId, EntityUrl, TenantId};
use claims::store::{
    ClaimStore, EVENT_WRITERS_LOCK, EventCursor, EventFilter, EventQuery, EventSettings, Sequence,
    StoreSettings, Watch, WatchError, WatchFrom, WatchItem, all_statements,
};
use claims::testing::{PATIENCE, TestDatabase, consumer, entity, tenant};
use std::time::{Duration, SystemTime};
use tokio_postgres::Client;

/// Checkpoints after which a test believes that nothing comes. A reader that does not wait for a
/// writer needs one look, which takes a tenth of the time between two of them.
const QUIET_CHECKPOINTS: usize = 5;

/// Settings under which a test need not wait for watches.
pub(crate) fn quick() -> StoreSettings {
    let events = EventSettings {
        poll_interval: Duration::from_millis(2),
        checkpoint_interval: Duration::from_millis(20),
        ..EventSettings::default()
    };
    StoreSettings { events, ..StoreSettings::default() }
}

/// A store with those settings.
pub(crate) fn quick_store(db: &TestDatabase) -> ClaimStore {
    ClaimStore::start(&db.database(), &quick())
}

/// A database and such a store on it.
pub(crate) async fn scene() -> (TestDatabase, ClaimStore) {
    let db = TestDatabase::in_service().await;
    let store = quick_store(&db);
    (db, store)
}

/// All events of the default tenant.
pub(crate) fn everything() -> EventFilter {
    EventFilter { tenant: tenant(), entity: None, consumer: None }
}

/// Events of a tenant, of an entity unless empty, of a consumer unless empty.
pub(crate) fn filter(tenant: &str, url: &str, name: &str) -> EventFilter {
    EventFilter {
        tenant: TenantId::parse(tenant).expect("a tenant"),
        entity: (!url.is_empty()).then(|| -> EntityUrl { entity(url) }),
        consumer: (!name.is_empty()).then(|| -> ConsumerId { consumer(name) }),
    }
}

/// A position.
pub(crate) fn at(sequence: i64) -> Sequence {
    Sequence::parse("sequence", sequence).expect("a position")
}

/// Where to begin behind a position as a caller gives it: 0 is the oldest that is kept.
pub(crate) fn behind(sequence: i64) -> WatchFrom {
    if sequence == 0 { WatchFrom::Oldest } else { WatchFrom::After(at(sequence)) }
}

/// A watch, and what it gave.
pub(crate) struct Watcher {
    watch: Watch,
    /// The position that it would resume from.
    pub(crate) position: i64,
}

impl Watcher {
    /// A watch whose first item is the checkpoint that it should be.
    pub(crate) async fn start(
        store: &ClaimStore,
        filter: EventFilter,
        from: WatchFrom,
    ) -> Result<Self, WatchError> {
        let mut watcher = Self::of(store.events().watch(filter, from).await?);
        let first = watcher.item().await?;
        assert!(matches!(first, WatchItem::Checkpoint(_)), "a checkpoint comes first: {first:?}");
        if let WatchFrom::After(position) = from {
            assert_eq!(watcher.position, position.get(), "it has been given nothing yet");
        }
        Ok(watcher)
    }

    /// One that gave no more than a checkpoint at the beginning.
    pub(crate) const fn of(watch: Watch) -> Self {
        Self { watch, position: 0 }
    }

    /// A watch of the whole default tenant from now on.
    pub(crate) async fn now(store: &ClaimStore) -> Self {
        Self::start(store, everything(), WatchFrom::Now).await.expect("a watch")
    }

    /// The next item; positions never fall.
    pub(crate) async fn item(&mut self) -> Result<WatchItem, WatchError> {
        let next = tokio::time::timeout(PATIENCE, self.watch.next()).await;
        let item = next.expect("an item in time")?;
        let position = match &item {
            WatchItem::Event(event) => {
                assert!(event.sequence.get() > self.position, "given twice or out of order");
                event.sequence.get()
            }
            WatchItem::Checkpoint(position) => {
                assert!(position.get() >= self.position, "a checkpoint falls");
                position.get()
            }
        };
        self.position = position;
        Ok(item)
    }

    /// The next event's sequence, however many checkpoints come before it.
    pub(crate) async fn event(&mut self) -> Result<i64, WatchError> {
        loop {
            if let WatchItem::Event(event) = self.item().await? {
                return Ok(event.sequence.get());
            }
        }
    }

    /// The sequences of the next events.
    pub(crate) async fn events(&mut self, count: usize) -> Vec<i64> {
        let mut sequences = Vec::new();
        while sequences.len() < count {
            sequences.push(self.event().await.expect("an event"));
        }
        sequences
    }

    /// Panics if an event comes.
    pub(crate) async fn hears_nothing(&mut self) {
        for _ in 0..QUIET_CHECKPOINTS {
            match self.item().await.expect("an item") {
                WatchItem::Checkpoint(_) => {}
                WatchItem::Event(event) => panic!("event {} comes too early", event.sequence),
            }
        }
    }

    /// The sequences of all events until a checkpoint says that all was given up to `sequence`.
    pub(crate) async fn all_up_to(&mut self, sequence: i64) -> Vec<i64> {
        let mut sequences = Vec::new();
        loop {
            match self.item().await.expect("an item") {
                WatchItem::Event(event) => sequences.push(event.sequence.get()),
                WatchItem::Checkpoint(position) if position.get() >= sequence => return sequences,
                WatchItem::Checkpoint(_) => {}
            }
        }
    }

    /// Why it ends, and what it still gave.
    pub(crate) async fn end(&mut self) -> (Vec<i64>, WatchError) {
        let mut sequences = Vec::new();
        let end = async {
            loop {
                match self.event().await {
                    Ok(sequence) => sequences.push(sequence),
                    Err(error) => return error,
                }
            }
        };
        let error = tokio::time::timeout(PATIENCE, end).await.expect("an end in time");
        (sequences, error)
    }
}

/// A transaction that writes events as the store does, and ends when the test says so. Its events
/// are signals, which belong to no claim.
pub(crate) struct Writer {
    pub(crate) session: Client,
}

impl Writer {
    /// Begins.
    pub(crate) async fn begin(db: &TestDatabase) -> Self {
        let session = db.stranger().await;
        session.batch_execute("BEGIN").await.expect("a transaction");
        Self { session }
    }

    /// Writes an event of an entity by the store's own statement; its sequence.
    pub(crate) async fn writes(&self, url: &str) -> i64 {
        let statements = all_statements();
        let write = statements.iter().find(|(file, _)| *file == "write_events.sql");
        let (_, write) = write.expect("the statement that writes events");
        let tenant = tenant();
        let (none, zero, now) = (vec![""], vec![0_i64], vec![SystemTime::now()]);
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 11] = [
            &EVENT_WRITERS_LOCK,
            &vec![tenant.as_str()],
            &vec![url],
            &none,
            &none,
            &zero,
            &zero,
            &vec!["signaled"],
            &vec!["stop"],
            &vec!["operator"],
            &now,
        ];
        self.session.execute(*write, &parameters).await.expect("an event");
        let drawn = "SELECT currval('claim_event_sequence')";
        self.session.query_one(drawn, &[]).await.expect("a sequence").get(0)
    }

    /// Its events appear.
    pub(crate) async fn commits(self) {
        self.session.batch_execute("COMMIT").await.expect("a commit");
    }

    /// Its events will never be.
    pub(crate) async fn rolls_back(self) {
        self.session.batch_execute("ROLLBACK").await.expect("an end");
    }
}

/// Writes and commits one event; its sequence.
pub(crate) async fn write(db: &TestDatabase, url: &str) -> i64 {
    let writer = Writer::begin(db).await;
    let sequence = writer.writes(url).await;
    writer.commits().await;
    sequence
}

/// Writes many events in one transaction, `url`s numbered.
pub(crate) async fn write_many(db: &TestDatabase, count: i64) {
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

/// The sequences of the events in the table that a condition holds for, in order.
pub(crate) async fn recorded(db: &TestDatabase, condition: &str) -> Vec<i64> {
    let query = format!("SELECT sequence FROM claim_events WHERE {condition} ORDER BY sequence");
    let rows = db.sql.query(&query, &[]).await.expect("a query");
    rows.iter().map(|row| row.get(0)).collect()
}

/// The sequences of a whole listing, page by page.
pub(crate) async fn listed(store: &ClaimStore, filter: EventFilter, page_size: usize) -> Vec<i64> {
    let mut sequences = Vec::new();
    let mut after: Option<EventCursor> = None;
    loop {
        let query = EventQuery { filter: filter.clone(), page_size, after };
        let page = store.events().list(query).await.expect("a page");
        assert!(page.events.len() <= page_size);
        sequences.extend(page.events.iter().map(|event| event.sequence.get()));
        after = page.next;
        if after.is_none() {
            return sequences;
        }
    }
}
