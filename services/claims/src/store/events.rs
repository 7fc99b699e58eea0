//! Events, read: the history of claims as a listing, and as it goes on (E1 … E3).
//!
//! Transactions commit in another order than they drew their sequences, and one that was rolled back
//! leaves its number missing for ever. Whoever reads up to the highest event that is visible, and
//! goes on behind it, loses those that commit later with lower numbers. So nothing here reads beyond
//! a *settled* line:
//!
//! 1. Every writer takes the shared advisory lock of the writers of events **before** it draws its
//!    first sequence, and holds it until its transaction has ended (`write_events.sql`).
//! 2. A reader reads the highest sequence drawn. The sequence is not transactional: this counts
//!    draws that nobody can see yet.
//! 3. **After that**, by another statement, it looks which transactions hold the lock, and waits
//!    until each of them has ended. Who draws a number up to the line drew it before 2, so it held
//!    the lock before 2; by 3 it has ended, or it is in the list.
//! 4. **After that**, by another statement, it reads the events up to the line. Postgres makes a
//!    commit visible before it gives up the locks, so a statement that begins now sees every event up
//!    to the line that there will ever be. What is missing was rolled back or pruned.
//!
//! Each of these is a statement and a transaction of its own, under READ COMMITTED. In one
//! transaction with a single snapshot, step 4 would see the events as they were before the wait. No
//! reader takes the lock, so no writer ever waits for one. The sequence must hand out its numbers one
//! by one (CACHE 1): a session that keeps a supply would draw below a line that has been settled.
//!
//! The transaction-id horizon would settle a line as well, but any long transaction in the cluster
//! would hold it up. A writer that is frozen holds up this one, for the second after which Postgres
//! ends such sessions of ours.
//!
//! # One reader, many watchers
//!
//! While anybody listens, one reader of the process (`reader`) looks every 50 ms whether the sequence
//! has moved, settles a line, reads what is new, and publishes it to a feed (`feed`) from which all
//! watchers and subscribers take what is theirs. What lies before they began, and whatever hole the
//! feed may have, watchers read from the database in pages (`page`, `watch`), a few of them at a time
//! and in turn. While nobody listens, there is no reader and no connection.
//!
//! There is no NOTIFY. Postgres has all transactions that send one commit one after the other, in the
//! whole cluster, while what writers share here is worth nothing if they cannot commit together. All
//! that a hint could save is the pause between two looks, each of which reads one row.

mod event;
mod feed;
mod line;
mod list;
mod page;
mod reader;
pub(crate) mod statements;
mod subscription;
mod watch;

use super::connect::Database;
use super::error::StoreError;
use super::metrics::StoreMetrics;
use super::reads::Reads;
use feed::{Feed, Listener};
use futures_util::FutureExt;
use line::{Bounds, Line, read_bounds, read_last};
use page::{Page, read_page};
use reader::Reader;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

pub use event::{EventFilter, RecordedEvent, Sequence};
pub use feed::EventBatch;
pub use list::{EventCursor, EventPage, EventQuery, ListError};
pub use subscription::{News, Subscription};
pub use watch::{Watch, WatchError, WatchFrom, WatchItem};

/// The key of the lock of step 1, for tests that write events by hand.
#[cfg(any(test, feature = "testing"))]
pub const EVENT_WRITERS_LOCK: i64 = super::batch::write::EVENT_WRITERS_LOCK;

/// Pages that watchers read at the same time: half of the connections for reads, so that a thousand
/// watchers that come back at once leave the other half to everybody else. They take turns page by
/// page.
const CATCH_UPS: usize = 2;
/// Most events that one such page looks at, and so how many a watcher that does not read on keeps in
/// memory, times the watches that there may be: some 100 KiB, or half a MiB with the longest names.
const CATCH_UP_LOOK_AT: usize = 128;
/// How long a call waits for the writers before it. Above the second after which Postgres ends a
/// session of a frozen server.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);

/// How watches are served.
#[derive(Clone, Debug)]
pub struct EventSettings {
    /// From one look at an idle history to the next: by so much an event may come late.
    pub poll_interval: Duration,
    /// How many batches are kept for a slow watcher. At least as many looks long it may sleep, and
    /// in a storm be behind by as many times 256 events.
    pub window: usize,
    /// From one checkpoint to the next, which the contract wants at least every 15 s.
    pub checkpoint_interval: Duration,
    /// Most watches of one process; more are refused. With more than some thousands, waking them
    /// takes longer than the pause between two looks at the history.
    pub watches_max: usize,
}

impl Default for EventSettings {
    fn default() -> Self {
        Self {
            poll_interval: Duration::from_millis(50),
            window: 256,
            checkpoint_interval: Duration::from_secs(5),
            watches_max: 10_000,
        }
    }
}

/// The events of a store. Cheap to clone.
#[derive(Clone)]
pub struct Events {
    shared: Arc<Shared>,
}

/// What listings, watches and subscriptions share.
struct Shared {
    reads: Reads,
    catch_ups: Arc<Semaphore>,
    feed: Arc<Feed>,
    reader: Reader,
    settings: EventSettings,
}

impl Events {
    pub(super) fn new(
        database: &Database,
        program: &str,
        reads: Reads,
        settings: EventSettings,
        metrics: &StoreMetrics,
    ) -> Self {
        let feed = Arc::new(Feed::new(settings.window, settings.watches_max));
        let reader = Reader {
            database: database.clone(),
            application_name: format!("{program}/events"),
            feed: Arc::clone(&feed),
            poll_interval: settings.poll_interval,
            metrics: metrics.clone(),
        };
        let catch_ups = Arc::new(Semaphore::new(CATCH_UPS));
        Self { shared: Arc::new(Shared { reads, catch_ups, feed, reader, settings }) }
    }

    /// A page of the history. The first one sees everything that was committed before the call; a
    /// later one is refused if pruning has overtaken the listing (E3).
    pub async fn list(&self, query: EventQuery) -> Result<EventPage, ListError> {
        list::list(&self.shared, query).await
    }

    /// Follows the history from a position on. A position that a watch or a listing has given, and
    /// behind which nothing was pruned, misses nothing and repeats nothing (E2).
    pub async fn watch(&self, filter: EventFilter, from: WatchFrom) -> Result<Watch, WatchError> {
        Watch::begin(Arc::clone(&self.shared), filter, from).await
    }

    /// Hears everything that is committed after this returns, of all tenants, in settled order.
    pub async fn subscribe(&self) -> Result<Subscription, StoreError> {
        Subscription::begin(&self.shared).await
    }
}

impl Shared {
    /// A listener, and behind which position it hears everything, if somebody reads already.
    fn listen(&self) -> (Listener, Option<Sequence>) {
        let (listener, published, start) = self.feed.listen();
        if start {
            reader::start(self.reader.clone());
        }
        (listener, published)
    }

    async fn bounds(&self) -> Result<Bounds, StoreError> {
        self.reads.run(|c| read_bounds(c).boxed()).await
    }

    /// A settled line behind everything that was committed before. No connection is held while it
    /// waits.
    async fn settled(&self) -> Result<Sequence, StoreError> {
        let mut line = self.reads.run(|c| Line::draw(c).boxed()).await?;
        while !line.is_settled() {
            if line.age() >= SETTLE_PATIENCE {
                let sessions = line.sessions();
                tracing::error!(?sessions, "sessions {sessions:?} do not finish writing events");
                return Err(StoreError::Unavailable);
            }
            line.pause().await;
            let look = async move |c: &diesel_async::AsyncPgConnection| {
                line.look_again(c).await?;
                Ok(line)
            };
            line = self.reads.run(|c| async move { look(c).await }.boxed()).await?;
        }
        Ok(line.upto)
    }

    /// The last event that was committed before.
    async fn settled_last(&self) -> Result<Sequence, StoreError> {
        let upto = self.settled().await?;
        self.reads.run(move |c| read_last(c, upto).boxed()).await
    }

    /// A page for a watcher, when its turn comes. `upto` has been published. A turn goes to whoever
    /// has waited for the longest, whether or not it moves on, so this must run in a task.
    async fn catch_up(
        &self,
        filter: EventFilter,
        after: Sequence,
        upto: Sequence,
    ) -> Result<Page, StoreError> {
        if self.feed.is_away() {
            return Err(StoreError::Unavailable);
        }
        let turn = Arc::clone(&self.catch_ups).acquire_owned().await;
        let turn = turn.map_err(|_| StoreError::Internal)?;
        let read = async move |c: &diesel_async::AsyncPgConnection| {
            let page = read_page(c, Some(&filter), after, upto, CATCH_UP_LOOK_AT).await;
            drop(turn);
            page
        };
        self.reads.run(move |c| async move { read(c).await }.boxed()).await
    }
}
