//! The statements that read events, by file.

use crate::store::statement::statement;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, Text, Timestamptz};

/// Columns of a page of events: whether the server is a standby, what was pruned, how many were looked
/// at and how far, and the event, if there is one.
pub(crate) type PageColumns = (
    Bool,
    BigInt,
    BigInt,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Timestamptz>,
);

statement! {
    /// The highest sequence drawn, the highest one pruned, and whether the server is a standby.
    ReadEventBounds<'a> = "read_event_bounds.sql" {} -> (BigInt, BigInt, Bool)
}

statement! {
    /// The transactions that may have drawn sequences and have not ended, and their sessions; and
    /// whether the server is a standby. One row at least.
    ReadEventWriters<'a> = "read_event_writers.sql" {
        advisory_key: i64 as BigInt,
    } -> (Nullable<Text>, Nullable<Integer>, Bool)
}

statement! {
    /// The last event up to a sequence, and whether the server is a standby.
    ReadLastEvent<'a> = "read_last_event.sql" {
        upto: i64 as BigInt,
    } -> (BigInt, Bool)
}

statement! {
    /// Events of a tenant, or of all.
    ReadEvents<'a> = "read_events.sql" {
        after: i64 as BigInt,
        upto: i64 as BigInt,
        look_at: i64 as BigInt,
        tenant: &'a str as Text,
    } -> PageColumns
}

statement! {
    /// Events of an entity.
    ReadEventsOfEntity<'a> = "read_events_of_entity.sql" {
        tenant: &'a str as Text,
        entity: &'a str as Text,
        after: i64 as BigInt,
        upto: i64 as BigInt,
        look_at: i64 as BigInt,
        consumer: &'a str as Text,
    } -> PageColumns
}

statement! {
    /// Events of a consumer's claims.
    ReadEventsOfConsumer<'a> = "read_events_of_consumer.sql" {
        tenant: &'a str as Text,
        consumer: &'a str as Text,
        after: i64 as BigInt,
        upto: i64 as BigInt,
        look_at: i64 as BigInt,
    } -> PageColumns
}
