//! A line through the history: up to here, soon, nothing new can appear. Why that is so stands in
//! [the module above](super).

use super::event::Sequence;
use super::statements::{ReadEventBounds, ReadEventWriters, ReadLastEvent};
use crate::store::batch::write::EVENT_WRITERS_LOCK;
use crate::store::connect::round_trip;
use crate::store::error::{TransactionError, read_on_standby};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::time::Duration;
use tokio::time::Instant;

/// Between two looks at writers that have not ended: at first, since most commit in a millisecond or
/// two, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const PAUSE_MAX: Duration = Duration::from_millis(20);

/// The ends of the history at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The highest sequence drawn so far.
    pub(super) drawn: Sequence,
    /// The highest sequence that pruning removed (E3).
    pub(super) pruned: Sequence,
}

/// A transaction that may have drawn sequences and has not ended.
#[derive(Debug)]
struct Writer {
    transaction: String,
    session: Option<i32>,
}

/// A line through the history behind the highest sequence drawn at a moment, and the transactions
/// that may yet fill a place before it. Once these have ended, a statement that begins later sees
/// every event up to the line that there will ever be.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) upto: Sequence,
    writers: Vec<Writer>,
    drawn_at: Instant,
    pause: Duration,
}

/// Reads the ends of the history.
pub(super) async fn read_bounds(
    mut connection: &AsyncPgConnection,
) -> Result<Bounds, TransactionError> {
    let statement = ReadEventBounds::default();
    let (drawn, pruned, is_on_standby): (i64, i64, bool) =
        round_trip(false, statement.get_result(&mut connection)).await??;
    if is_on_standby {
        return Err(read_on_standby());
    }
    Ok(Bounds { drawn: Sequence::stored(drawn), pruned: Sequence::stored(pruned) })
}

/// The last event up to a settled line, or the last one that was pruned. A position is always that
/// of an event: what was drawn and rolled back can be drawn again after a crash.
pub(super) async fn read_last(
    mut connection: &AsyncPgConnection,
    upto: Sequence,
) -> Result<Sequence, TransactionError> {
    let statement = ReadLastEvent { upto: upto.get(), ..Default::default() };
    let (last, is_on_standby): (i64, bool) =
        round_trip(false, statement.get_result(&mut connection)).await??;
    if is_on_standby {
        return Err(read_on_standby());
    }
    Ok(Sequence::stored(last))
}

impl Line {
    /// Draws a line behind what has been drawn by now.
    pub(super) async fn draw(connection: &AsyncPgConnection) -> Result<Self, TransactionError> {
        let bounds = read_bounds(connection).await?;
        Self::behind(connection, bounds).await
    }

    /// Draws a line behind `bounds`, which must have been read before this begins.
    pub(super) async fn behind(
        connection: &AsyncPgConnection,
        bounds: Bounds,
    ) -> Result<Self, TransactionError> {
        let drawn_at = Instant::now();
        let writers = read_writers(connection).await?;
        Ok(Self { upto: bounds.drawn, writers, drawn_at, pause: FIRST_PAUSE })
    }

    /// Whether all that could write before the line have ended.
    pub(super) fn is_settled(&self) -> bool {
        self.writers.is_empty()
    }

    /// How long the line has not been settled.
    pub(super) fn age(&self) -> Duration {
        self.drawn_at.elapsed()
    }

    /// The sessions of those that have not ended.
    pub(super) fn sessions(&self) -> Vec<i32> {
        self.writers.iter().filter_map(|writer| writer.session).collect()
    }

    /// Waits a moment before the next look, longer each time.
    pub(super) async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(PAUSE_MAX);
    }

    /// Looks which of them have ended. Those who came later are none of this line's.
    pub(super) async fn look_again(
        &mut self,
        connection: &AsyncPgConnection,
    ) -> Result<(), TransactionError> {
        let now = read_writers(connection).await?;
        self.writers
            .retain(|writer| now.iter().any(|other| other.transaction == writer.transaction));
        Ok(())
    }
}

async fn read_writers(mut connection: &AsyncPgConnection) -> Result<Vec<Writer>, TransactionError> {
    let statement = ReadEventWriters { advisory_key: EVENT_WRITERS_LOCK, ..Default::default() };
    let rows: Vec<(Option<String>, Option<i32>, bool)> =
        round_trip(false, statement.load(&mut connection)).await??;
    if rows.iter().any(|(_, _, is_on_standby)| *is_on_standby) {
        return Err(read_on_standby());
    }
    let writer = |(transaction, session, _): (Option<String>, _, _)| {
        transaction.map(|transaction| Writer { transaction, session })
    };
    Ok(rows.into_iter().filter_map(writer).collect())
}
