//! The reaper's own statements, by file.

use crate::store::rows::Time;
use crate::store::statement::statement;
use diesel::sql_types::{BigInt, Bool, Nullable, Text, Timestamptz};

statement! {
    /// The reaper's scan.
    ScanLeases<'a> = "scan_leases.sql" {
        now: Time as Timestamptz,
        reap_grace_ms: i64 as BigInt,
    } -> (Text, Text, BigInt, Bool, Timestamptz, Timestamptz, Bool)
}

statement! {
    /// How many there are beside those that lapsed.
    CountLeases<'a> = "count_leases.sql" {
    } -> (BigInt, BigInt)
}

statement! {
    /// What the brake counts beside the scan.
    ExpiredLately<'a> = "expired_lately.sql" {
        span_ms: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// Records a reaper's pass.
    RecordPass<'a> = "record_pass.sql" {
        started_at: Time as Timestamptz,
        scanned: i64 as BigInt,
        expired: i64 as BigInt,
        expired_fresh: i64 as BigInt,
        failed: i64 as BigInt,
        held_back: i64 as BigInt,
        hold_reason: Option<&'a str> as Nullable<Text>,
        remaining_due: i64 as BigInt,
        oldest_remaining_due_at: Option<Time> as Nullable<Timestamptz>,
        oldest_due_age_ms: Option<i64> as Nullable<BigInt>,
        pruned: i64 as BigInt,
    } -> ()
}

statement! {
    /// The last pass.
    LastPass<'a> = "last_pass.sql" {} -> (
        Timestamptz,
        Timestamptz,
        BigInt,
        BigInt,
        BigInt,
        BigInt,
        Nullable<Text>,
        BigInt,
        Nullable<Timestamptz>,
        BigInt,
    )
}

statement! {
    /// Removes old terminal claims.
    PruneClaims<'a> = "prune_claims.sql" {
        retention_ms: i64 as BigInt,
    } -> ()
}

statement! {
    /// Removes old events.
    PruneEvents<'a> = "prune_events.sql" {
        retention_ms: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// Whether entities, claims and leases agree.
    CompareHolds<'a> = "compare_holds.sql" {} -> Bool
}

statement! {
    /// Sizes of the tables that the self-check walks by block.
    BlocksToCheck<'a> = "blocks_to_check.sql" {} -> (BigInt, BigInt)
}

statement! {
    /// Entities that break I2 or I3.
    CheckEntities<'a> = "check_entities.sql" {
        from_block: i64 as BigInt,
        to_block: i64 as BigInt,
    } -> (Text, Text, Text, Nullable<Text>, Nullable<BigInt>)
}

statement! {
    /// Leases without their claim.
    CheckLeases<'a> = "check_leases.sql" {
        from_block: i64 as BigInt,
        to_block: i64 as BigInt,
    } -> (Text, Text, BigInt)
}

statement! {
    /// Active claims that are not current or have no lease.
    CheckActive<'a> = "check_active.sql" {
        after_tenant: &'a str as Text,
        after_entity: &'a str as Text,
    } -> (Text, Text, Text, BigInt, Bool, Bool, Bool)
}

statement! {
    /// Superseded claims that have no lease.
    CheckSuperseded<'a> = "check_superseded.sql" {
        after_tenant: &'a str as Text,
        after_entity: &'a str as Text,
        after_consumer: &'a str as Text,
        after_epoch: i64 as BigInt,
    } -> (Text, Text, Text, BigInt, Bool, Bool)
}
