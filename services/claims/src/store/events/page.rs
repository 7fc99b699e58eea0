//! Pages: bounded pieces of the history, each read by one statement and so from one snapshot, with
//! what had been pruned in it.

use super::event::{EventFilter, EventRow, PageRow, RecordedEvent, Sequence};
use super::statements::{ReadEvents, ReadEventsOfConsumer, ReadEventsOfEntity};
use crate::domain::ConsumerId;
use crate::store::connect::round_trip;
use crate::store::error::{Damaged, TransactionError, read_on_standby};
use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// A piece of the history: what was found in (`after`, `to`].
#[derive(Debug)]
pub(super) struct Page {
    pub(super) rows: Vec<EventRow>,
    /// Up to here all has been looked at.
    pub(super) to: Sequence,
    /// Nothing is left up to the end that was asked for.
    pub(super) is_last: bool,
    /// The highest sequence that pruning had removed.
    pub(super) pruned: Sequence,
}

impl Page {
    /// The events, or the first row that is damaged.
    pub(super) fn into_events(self) -> Result<Vec<RecordedEvent>, Damaged> {
        self.rows.into_iter().map(EventRow::parse).collect()
    }
}

/// Reads the events in (`after`, `upto`] that a filter wants, or all of every tenant, and looks at
/// `look_at` of them at most. `upto` must lie on a settled line or before one.
pub(super) async fn read_page(
    connection: &AsyncPgConnection,
    filter: Option<&EventFilter>,
    after: Sequence,
    upto: Sequence,
    look_at: usize,
) -> Result<Page, TransactionError> {
    let look_at = i64::try_from(look_at).unwrap_or(i64::MAX);
    let load = load(connection, filter, after.get(), upto.get(), look_at);
    let rows = round_trip(false, load).await??;
    let head = rows.as_slice().first().ok_or_else(|| Damaged::new("what was pruned"))?;
    if head.is_on_standby {
        return Err(read_on_standby());
    }
    let pruned = Sequence::stored(head.pruned);
    let last = head.last_sequence.map(Sequence::stored);
    let is_last = head.looked_at < look_at;
    Ok(Page {
        to: if is_last { upto } else { last.unwrap_or(upto) },
        rows: rows.into_iter().filter_map(PageRow::into_event).collect(),
        is_last,
        pruned,
    })
}

/// The one statement whose index serves the filter. No index begins with the tenant alone: all of a
/// tenant's events are found by looking at everybody's.
async fn load(
    mut connection: &AsyncPgConnection,
    filter: Option<&EventFilter>,
    after: i64,
    upto: i64,
    look_at: i64,
) -> QueryResult<Vec<PageRow>> {
    let c = &mut connection;
    let tenant = filter.map_or("", |filter| filter.tenant.as_str());
    let consumer = filter.and_then(|filter| filter.consumer.as_ref()).map(ConsumerId::as_str);
    if let Some(entity) = filter.and_then(|filter| filter.entity.as_ref()) {
        let (entity, consumer) = (entity.as_str(), consumer.unwrap_or(""));
        let page = ReadEventsOfEntity {
            tenant,
            entity,
            after,
            upto,
            look_at,
            consumer,
            ..Default::default()
        };
        return page.load(c).await;
    }
    if let Some(consumer) = consumer {
        let page =
            ReadEventsOfConsumer { tenant, consumer, after, upto, look_at, ..Default::default() };
        return page.load(c).await;
    }
    ReadEvents { after, upto, look_at, tenant, ..Default::default() }.load(c).await
}
