//! Events between the messages and the store: which ones somebody asks for, and how they are told.

use super::answer::PAGE_BYTES_MAX;
use super::request::{given, page_size};
use super::time::told_time;
use super::violations::{InvalidFields, Violations};
use crate::page_token;
use claim_proto::v1;
use claim_proto::v1::watch_claim_events_response::Item;
use claims::domain::{ConsumerId, EntityUrl, EventType, TenantId};
use claims::store::{
    EventCursor, EventFilter, EventPage, EventQuery, RecordedEvent, Sequence, WatchFrom, WatchItem,
};
use prost::Message;

/// Asks to follow events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EventWatch {
    pub(crate) filter: EventFilter,
    pub(crate) from: WatchFrom,
}

/// Chooses the events to list.
pub(crate) fn list(asked: &v1::ListClaimEventsRequest) -> Result<EventQuery, InvalidFields> {
    let mut fields = Violations::default();
    let filter = filter(&mut fields, &asked.tenant_id, &asked.entity_url, &asked.consumer_id);
    let page_size = fields.check(page_size(asked.page_size));
    let query =
        fields.or(|| Some(EventQuery { filter: filter?, page_size: page_size?, after: None }))?;
    // A token belongs to one set of conditions, so they are checked first.
    let token = given(&asked.page_token).map(|token| page_token::events::read(token, &query));
    Ok(EventQuery { after: token.transpose()?, ..query })
}

/// Chooses the events to follow.
pub(crate) fn watch(asked: &v1::WatchClaimEventsRequest) -> Result<EventWatch, InvalidFields> {
    let mut fields = Violations::default();
    let filter = filter(&mut fields, &asked.tenant_id, &asked.entity_url, &asked.consumer_id);
    let from = asked.after_sequence.map(|after| Sequence::parse("after_sequence", after));
    let from = fields.check(from.transpose()).map(|after| match after {
        None => WatchFrom::Now,
        Some(Sequence::BEGINNING) => WatchFrom::Oldest,
        Some(after) => WatchFrom::After(after),
    });
    fields.or(|| Some(EventWatch { filter: filter?, from: from? }))
}

fn filter(
    fields: &mut Violations,
    tenant: &str,
    entity: &str,
    consumer: &str,
) -> Option<EventFilter> {
    let tenant = fields.check(TenantId::parse_or_default(tenant));
    let entity = fields.check(given(entity).map(EntityUrl::parse).transpose());
    let consumer = fields.check(given(consumer).map(ConsumerId::parse).transpose());
    Some(EventFilter { tenant: tenant?, entity: entity?, consumer: consumer? })
}

/// A page of the events that `query` chose. One that would be too large ends earlier.
pub(crate) fn listed(query: &EventQuery, page: &EventPage) -> v1::ListClaimEventsResponse {
    let mut events: Vec<v1::ClaimEvent> = Vec::with_capacity(page.events.len());
    let mut bytes = 0_usize;
    let mut next = page.next;
    for listed in &page.events {
        let told = event(listed);
        bytes = bytes.saturating_add(told.encoded_len());
        if bytes > PAGE_BYTES_MAX
            && let Some(last) = page.events[..events.len()].last()
        {
            let EventPage { upto, pruned, .. } = *page;
            next = Some(EventCursor { after: last.sequence, upto, pruned });
            break;
        }
        events.push(told);
    }
    let next_page_token =
        next.map(|cursor| page_token::events::write(cursor, query)).unwrap_or_default();
    v1::ListClaimEventsResponse { events, next_page_token }
}

/// An item of a watch.
pub(crate) fn item(item: &WatchItem) -> v1::WatchClaimEventsResponse {
    let item = match item {
        WatchItem::Event(happened) => Item::Event(event(happened)),
        WatchItem::Checkpoint(sequence) => {
            Item::Checkpoint(v1::WatchCheckpoint { sequence: sequence.get() })
        }
    };
    v1::WatchClaimEventsResponse { item: Some(item) }
}

/// A signal names no claim: its stream and consumer are empty and its epoch is zero.
fn event(recorded: &RecordedEvent) -> v1::ClaimEvent {
    let event = &recorded.event;
    let (stream_path, consumer_id, epoch) = event
        .claim
        .as_ref()
        .map(|(stream, consumer, epoch)| (stream.to_string(), consumer.to_string(), epoch.get()))
        .unwrap_or_default();
    v1::ClaimEvent {
        sequence: recorded.sequence.get(),
        tenant_id: event.entity.tenant.to_string(),
        entity_url: event.entity.url.to_string(),
        stream_path,
        consumer_id,
        epoch,
        fence: event.fence.get(),
        r#type: event_type(event.event_type).into(),
        reason: event.reason.clone(),
        actor: event.actor.to_string(),
        event_time: Some(told_time(recorded.occurred_at)),
    }
}

fn event_type(event_type: EventType) -> v1::ClaimEventType {
    match event_type {
        EventType::Minted => v1::ClaimEventType::Minted,
        EventType::Reminted => v1::ClaimEventType::Reminted,
        EventType::Superseded => v1::ClaimEventType::Superseded,
        EventType::Released => v1::ClaimEventType::Released,
        EventType::Failed => v1::ClaimEventType::Failed,
        EventType::Expired => v1::ClaimEventType::Expired,
        EventType::Revoked => v1::ClaimEventType::Revoked,
        EventType::Signaled => v1::ClaimEventType::Signaled,
    }
}

#[cfg(test)]
mod tests;
