//! ListClaimEvents: who held an entity at any time, and why it changed hands.
//!
//! A listing sees everything that was committed before it began, and ends there: the line is drawn
//! with the first page and goes with the position from page to page. So does what had been pruned by
//! then: a listing that pruning overtakes later ends with an error, never with a hole (E3).

use super::Shared;
use super::event::{EventFilter, RecordedEvent, Sequence};
use super::page::read_page;
use crate::store::error::{StoreError, TransactionError};
use diesel_async::AsyncPgConnection;
use futures_util::FutureExt;

/// Most events that one read looks at.
const LOOK_AT_MAX: usize = 2_000;
/// How many events a page looks at until it is given as it is, short or empty: the events of a small
/// tenant can lie far apart.
const LOOKED_AT_MAX: usize = 10_000;

/// Which events to list.
#[derive(Clone, Debug)]
pub struct EventQuery {
    /// These.
    pub filter: EventFilter,
    /// How many at most.
    pub page_size: usize,
    /// From behind this position.
    pub after: Option<EventCursor>,
}

/// A position in a listing of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventCursor {
    /// Up to here all has been listed.
    pub after: Sequence,
    /// The listing ends with this one.
    pub upto: Sequence,
    /// What had been pruned when the listing began.
    pub pruned: Sequence,
}

/// A page of a listing, oldest first. It may be short, or even empty, and not the last one.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<RecordedEvent>,
    /// The listing ends with this one.
    pub upto: Sequence,
    /// What had been pruned when it began.
    pub pruned: Sequence,
    /// Where the next page begins; none at the end.
    pub next: Option<EventCursor>,
}

/// Why there is no page.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ListError {
    /// Events behind the position of the next page have been removed (E3).
    #[error("events up to {pruned} have been pruned")]
    Pruned {
        /// The highest sequence that was removed.
        pruned: Sequence,
    },
    /// The database does not answer, or a fault of ours.
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) async fn list(shared: &Shared, query: EventQuery) -> Result<EventPage, ListError> {
    let upto = match query.after {
        Some(cursor) => cursor.upto,
        None => shared.settled().await?,
    };
    shared.reads.run(move |c| async move { read(c, &query, upto).await }.boxed()).await?
}

/// Looks at as many events as are wanted, then at ever more. One more than wanted is read, to know
/// whether there is a next page.
async fn read(
    connection: &AsyncPgConnection,
    query: &EventQuery,
    upto: Sequence,
) -> Result<Result<EventPage, ListError>, TransactionError> {
    let begin = query.after.map_or(Sequence::BEGINNING, |cursor| cursor.after);
    let mut forgone = query.after.map(|cursor| cursor.pruned);
    let mut after = begin;
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut look_at = query.page_size.saturating_add(1);
    let mut looked_at = 0;
    loop {
        let page = read_page(connection, Some(&query.filter), after, upto, look_at).await?;
        let (is_last, to) = (page.is_last, page.to);
        let pruned = *forgone.get_or_insert(page.pruned);
        if page.pruned > after.max(pruned) && after > Sequence::BEGINNING {
            return Ok(Err(ListError::Pruned { pruned: page.pruned }));
        }
        after = to;
        events.append(&mut page.into_events()?);
        if is_last && events.len() <= query.page_size {
            return Ok(Ok(EventPage { events, upto, pruned, next: None }));
        }
        looked_at += look_at;
        if events.len() > query.page_size || looked_at >= LOOKED_AT_MAX {
            if events.len() > query.page_size {
                events.truncate(query.page_size);
                after = events.as_slice().last().map_or(begin, |last| last.sequence);
            }
            let next = Some(EventCursor { after, upto, pruned });
            return Ok(Ok(EventPage { events, upto, pruned, next }));
        }
        look_at = (look_at * 2).min(LOOK_AT_MAX);
    }
}
