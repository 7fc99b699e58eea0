//! An event as it was recorded, where it stands in the history, and which events somebody wants.

use crate::domain::{
    ConsumerId, EntityUrl, Epoch, Event, EventType, Fence, InvalidField, StreamPath, TenantId,
    Timestamp,
};
use crate::store::error::Damaged;
use crate::store::rows::{Time, entity_key};

/// A position in the history of events: that of an event, or, zero, before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(i64);

impl Sequence {
    /// Before the first event.
    pub const BEGINNING: Self = Self(0);

    /// Checks that it is at least 0; the error names `field`.
    pub fn parse(field: &'static str, value: i64) -> Result<Self, InvalidField> {
        if value < 0 {
            return Err(InvalidField::new(field, "must not be negative"));
        }
        Ok(Self(value))
    }

    /// As the database has it.
    pub(super) const fn stored(value: i64) -> Self {
        Self(value)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }
}

impl std::fmt::Display for Sequence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An accepted change as it was recorded (E1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Where it stands in the history. Numbers may be missing; those of an entity are in order.
    pub sequence: Sequence,
    /// What happened.
    pub event: Event,
    /// When, by the database clock of the transaction that decided it.
    pub occurred_at: Timestamp,
}

/// Which events somebody wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this tenant.
    pub tenant: TenantId,
    /// Of this entity only.
    pub entity: Option<EntityUrl>,
    /// Of this consumer's claims only; signals belong to none.
    pub consumer: Option<ConsumerId>,
}

impl EventFilter {
    /// Whether it wants that one.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        let consumer = event.claim.as_ref().map(|claim| &claim.1);
        event.entity.tenant == self.tenant
            && self.entity.as_ref().is_none_or(|wanted| event.entity.url == *wanted)
            && self.consumer.as_ref().is_none_or(|wanted| consumer == Some(wanted))
    }
}

/// A row of a page: whether the server is a standby, what was pruned, how many events were looked at
/// and how far, and an event, if one was found.
#[derive(Debug, diesel::Queryable)]
pub(super) struct PageRow {
    pub(super) is_on_standby: bool,
    pub(super) pruned: i64,
    pub(super) looked_at: i64,
    pub(super) last_sequence: Option<i64>,
    sequence: Option<i64>,
    tenant_id: Option<String>,
    entity_url: Option<String>,
    stream_path: Option<String>,
    consumer_id: Option<String>,
    epoch: Option<i64>,
    fence: Option<i64>,
    event_type: Option<String>,
    reason: Option<String>,
    actor: Option<String>,
    occurred_at: Option<Time>,
}

impl PageRow {
    /// The event, if the row has one.
    pub(super) fn into_event(self) -> Option<EventRow> {
        Some(EventRow {
            sequence: Sequence::stored(self.sequence?),
            tenant_id: self.tenant_id?,
            entity_url: self.entity_url?,
            stream_path: self.stream_path?,
            consumer_id: self.consumer_id?,
            epoch: self.epoch?,
            fence: self.fence?,
            event_type: self.event_type?,
            reason: self.reason?,
            actor: self.actor?,
            occurred_at: self.occurred_at?.0,
        })
    }
}

/// A row of `claim_events`.
#[derive(Debug)]
pub(super) struct EventRow {
    pub(super) sequence: Sequence,
    tenant_id: String,
    entity_url: String,
    stream_path: String,
    consumer_id: String,
    epoch: i64,
    fence: i64,
    event_type: String,
    reason: String,
    actor: String,
    occurred_at: Timestamp,
}

impl EventRow {
    /// The event; damage if no code of ours can have written it.
    pub(super) fn parse(self) -> Result<RecordedEvent, Damaged> {
        let key = format!("event {}", self.sequence);
        self.parse_columns().map_err(|damaged| damaged.of(&key))
    }

    fn parse_columns(self) -> Result<RecordedEvent, Damaged> {
        let event_type = EventType::ALL.into_iter().find(|kind| kind.as_str() == self.event_type);
        let event_type = event_type.ok_or_else(|| Damaged::new("an event's type"))?;
        // A signal concerns the entity and names no claim.
        let claim = match event_type {
            EventType::Signaled => None,
            _ => Some((
                StreamPath::parse(&self.stream_path)?,
                ConsumerId::parse(&self.consumer_id)?,
                Epoch::parse(self.epoch)?,
            )),
        };
        let event = Event {
            entity: entity_key(&self.tenant_id, &self.entity_url)?,
            claim,
            fence: Fence::parse(self.fence)?,
            event_type,
            reason: self.reason,
            actor: self.actor.into(),
        };
        Ok(RecordedEvent { sequence: self.sequence, event, occurred_at: self.occurred_at })
    }
}
