//! The one reader of a process: follows the history and publishes what is settled, on a connection
//! of its own, for as long as anybody listens.
//!
//! It begins with the first listener and ends with the last. A database that is away costs it pauses;
//! when it is back, the reader goes on where it was, so nothing is missing from the feed.

use super::event::Sequence;
use super::feed::{EventBatch, Feed};
use super::line::{Bounds, Line, read_bounds, read_last};
use super::page::{Page, read_page};
use crate::chain;
use crate::store::connect::{ConnectError, Database};
use crate::store::error::TransactionError;
use crate::store::metrics::{Place, StoreMetrics};
use diesel_async::AsyncPgConnection;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// Most events of one batch, and so of one read.
const BATCH_MAX: usize = 256;
/// From a failure to the next attempt.
const RETRY_PAUSE: Duration = Duration::from_millis(100);
/// How long it is believed that nothing has happened because nothing was drawn. After a crash of the
/// database, numbers that were rolled back can be drawn again, and a pooler may hide the crash.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// For how long the database may fail until listeners are told.
pub(super) const AWAY_AFTER: Duration = Duration::from_secs(2);
/// How long a writer may hold up the others' events until the log says so, and again each time.
/// Sessions of the store end by themselves long before.
const STUCK_AFTER: Duration = Duration::from_secs(10);

/// What the reader needs.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) database: Database,
    pub(super) application_name: String,
    pub(super) feed: Arc<Feed>,
    /// Between two looks at an idle history.
    pub(super) poll_interval: Duration,
    pub(super) metrics: StoreMetrics,
}

/// Starts a reader on the current runtime.
pub(super) fn start(reader: Reader) {
    tokio::spawn(async move {
        // A panic is a bug; it must not leave the listeners without a reader.
        while let Err(error) = tokio::spawn(reader.clone().run()).await {
            tracing::error!(%error, "the reader of events failed");
            sleep(RETRY_PAUSE).await;
        }
    });
}

/// Why a turn of the reader came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the reader of events cannot connect")]
    Connect(#[from] ConnectError),
    #[error("the events cannot be read")]
    Read(#[from] TransactionError),
}

/// A connection, and up to where the history was looked at on it, when.
struct Session {
    connection: AsyncPgConnection,
    place: Place,
    looked_at: Option<(Sequence, Instant)>,
}

impl Session {
    /// Nothing was drawn since the last look.
    fn has_seen(&self, drawn: Sequence) -> bool {
        self.looked_at.is_some_and(|(to, at)| to == drawn && at.elapsed() < LOOK_AGAIN_AFTER)
    }
}

impl Reader {
    async fn run(self) {
        let mut session = None;
        let mut pulse = Pulse::new(&self.feed);
        while !self.feed.end_if_unheard() {
            match self.turn(&mut session, &mut pulse).await {
                Ok(()) => {
                    if let Some(Session { place, .. }) = &mut session {
                        place.is_used(false);
                    }
                    sleep(self.poll_interval).await;
                }
                Err(error) => {
                    match &error {
                        Failure::Connect(_) => self.metrics.not_connected(),
                        Failure::Read(error) => self.metrics.failed(error),
                    }
                    session = None;
                    pulse.failed(&error);
                    sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    /// Publishes what has been settled since the last turn.
    async fn turn(&self, held: &mut Option<Session>, pulse: &mut Pulse<'_>) -> Result<(), Failure> {
        let session = match held {
            Some(session) => session,
            None => {
                let connect = self.database.connect(&self.application_name);
                // No sign of life yet: a database may take connections and read nothing.
                let connection = pulse.during(connect).await?;
                held.insert(Session { connection, place: self.metrics.place(), looked_at: None })
            }
        };
        session.place.is_used(true);
        let bounds = pulse.of(read_bounds(&session.connection)).await?;
        if session.has_seen(bounds.drawn) {
            return Ok(());
        }
        let (connection, looked_at) = (&session.connection, Instant::now());
        if self.feed.published().is_some_and(|published| published > bounds.drawn) {
            tracing::error!(
                drawn = bounds.drawn.get(),
                "the history of events ends before what was read of it; has the database been set back?"
            );
            self.feed.set_back(bounds.drawn);
        }
        if !self.settle(connection, bounds, pulse).await? {
            return Ok(());
        }
        self.publish(connection, bounds.drawn, pulse).await?;
        session.looked_at = Some((bounds.drawn, looked_at));
        Ok(())
    }

    /// Waits until all that could write up to what has been drawn have ended; false if nobody
    /// listens any more.
    async fn settle(
        &self,
        connection: &AsyncPgConnection,
        bounds: Bounds,
        pulse: &mut Pulse<'_>,
    ) -> Result<bool, Failure> {
        let mut line = pulse.of(Line::behind(connection, bounds)).await?;
        let mut told = Duration::ZERO;
        while !line.is_settled() {
            if self.feed.is_unheard() {
                return Ok(false);
            }
            if line.age() >= told + STUCK_AFTER {
                told = line.age();
                let (sessions, seconds) = (line.sessions(), told.as_secs());
                tracing::warn!(
                    ?sessions,
                    seconds,
                    "sessions {sessions:?} have been writing events for {seconds} s; watchers wait for them"
                );
            }
            line.pause().await;
            pulse.of(line.look_again(connection)).await?;
        }
        Ok(true)
    }

    /// Publishes the events up to a settled line.
    async fn publish(
        &self,
        connection: &AsyncPgConnection,
        upto: Sequence,
        pulse: &mut Pulse<'_>,
    ) -> Result<(), Failure> {
        let Some(mut published) = self.feed.published() else {
            let last = pulse.of(read_last(connection, upto)).await?;
            // Listeners wait for this: from here on they hear everything.
            self.feed.publish(EventBatch { after: last, to: last, events: Arc::from([]) });
            return Ok(());
        };
        loop {
            let page = read_page(connection, None, published, upto, BATCH_MAX);
            let page = pulse.of(page).await?;
            let is_last = page.is_last;
            for batch in batches(published, page) {
                published = batch.to;
                self.feed.publish(batch);
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

/// The batches of a page. They end with an event, never with a number that was drawn and rolled
/// back. A hole is left where something was pruned before it was read, and where a row is damaged:
/// a listener that fills it from the database meets there what concerns it.
fn batches(published: Sequence, page: Page) -> Vec<EventBatch> {
    let mut batches = Vec::new();
    let mut events = Vec::new();
    let mut after = published.max(page.pruned);
    let mut to = after;
    for row in page.rows {
        let sequence = row.sequence;
        if sequence <= after {
            // It was kept beside what was pruned, in the midst of the hole.
            continue;
        }
        match row.parse() {
            Ok(event) => {
                events.push(Arc::new(event));
                to = sequence;
            }
            Err(error) => {
                tracing::error!(error = %chain(&error), "event {sequence} cannot be read");
                if !events.is_empty() {
                    batches.push(EventBatch {
                        after,
                        to,
                        events: std::mem::take(&mut events).into(),
                    });
                }
                (after, to) = (sequence, sequence);
                batches.push(EventBatch { after, to, events: Arc::from([]) });
            }
        }
    }
    if to > published && (!events.is_empty() || batches.is_empty()) {
        batches.push(EventBatch { after, to, events: events.into() });
    }
    batches
}

/// Whether the database answers.
struct Pulse<'f> {
    feed: &'f Feed,
    unanswered_since: Option<Instant>,
    is_failing: bool,
}

impl<'f> Pulse<'f> {
    fn new(feed: &'f Feed) -> Self {
        Self { feed, unanswered_since: None, is_failing: false }
    }

    /// Waits for a read; one that succeeds ends an outage.
    async fn of<T, E>(&mut self, trip: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let answer = self.during(trip).await;
        if answer.is_ok() {
            self.unanswered_since = None;
            self.feed.tell_away(false);
            if std::mem::take(&mut self.is_failing) {
                tracing::info!("events are read again");
            }
        }
        answer
    }

    /// Waits for something of the database; if nothing was read for too long, listeners are told.
    async fn during<T, E>(&mut self, trip: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let since = *self.unanswered_since.get_or_insert_with(Instant::now);
        let mut trip = std::pin::pin!(trip);
        let overdue = since + AWAY_AFTER;
        let answer = tokio::select! {
            biased;
            answer = &mut trip => answer,
            () = sleep_until(overdue) => {
                self.feed.tell_away(true);
                trip.await
            }
        };
        if answer.is_err() && Instant::now() >= overdue {
            self.feed.tell_away(true);
        }
        answer
    }

    /// Says so, once.
    fn failed(&mut self, error: &Failure) {
        if !std::mem::replace(&mut self.is_failing, true) {
            tracing::error!(error = %chain(error), "events are not read until the database answers");
        }
    }
}
