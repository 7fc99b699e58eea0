//! ListClaimEvents: who held an entity at any time, and why it changed hands.
//!
//! A listing sees everything that was committed before it began, and ends there: the line is drawn
//! with the first page and goes with the position from page to page.

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
}

/// A page of a listing, oldest first. It may be short, or even empty, and not the last one.
#[derive(Clone, Debug)]
pub struct EventPage {
    /// The events.
    pub events: Vec<RecordedEvent>,
    /// The listing ends with this one.
    pub upto: Sequence,
    /// Where the next page begins; none at the end.
    pub next: Option<EventCursor>,
}

pub(super) async fn list(shared: &Shared, query: EventQuery) -> Result<EventPage, StoreError> {
    let cursor = match query.after {
        Some(cursor) => cursor,
        None => EventCursor { after: Sequence::BEGINNING, upto: shared.settled().await? },
    };
    shared.reads.run(move |c| async move { read(c, &query, cursor).await }.boxed()).await
}

/// Looks at as many events as are wanted, then at ever more. One more than wanted is read, to know
/// whether there is a next page.
async fn read(
    connection: &AsyncPgConnection,
    query: &EventQuery,
    cursor: EventCursor,
) -> Result<EventPage, TransactionError> {
    let EventCursor { mut after, upto } = cursor;
    let mut events: Vec<RecordedEvent> = Vec::new();
    let mut look_at = query.page_size.saturating_add(1);
    let mut looked_at = 0;
    while events.len() <= query.page_size {
        let page = read_page(connection, Some(&query.filter), after, upto, look_at).await?;
        let is_last = page.is_last;
        after = page.to;
        events.append(&mut page.into_events()?);
        if is_last && events.len() <= query.page_size {
            return Ok(EventPage { events, upto, next: None });
        }
        looked_at += look_at;
        if looked_at >= LOOKED_AT_MAX {
            break;
        }
        look_at = (look_at * 2).min(LOOK_AT_MAX);
    }
    if events.len() > query.page_size {
        events.truncate(query.page_size);
        after = events.as_slice().last().map_or(cursor.after, |last| last.sequence);
    }
    Ok(EventPage { events, upto, next: Some(EventCursor { after, upto }) })
}
