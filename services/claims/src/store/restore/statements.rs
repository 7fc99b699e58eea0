//! The statements of a restore, by file.

use crate::store::statement::statement;
use diesel::sql_types::{BigInt, Bool, Text};

statement! {
    /// Sizes, servers at work, and a clock that is behind.
    RestoreLook<'a> = "restore_look.sql" {
        given_epochs: bool as Bool,
    } -> (BigInt, BigInt, BigInt, BigInt, Bool)
}

statement! {
    /// Keeps other writers of events out.
    RestoreLock<'a> = "restore_lock.sql" {
        advisory_key: i64 as BigInt,
    } -> ()
}

statement! {
    /// Raises the number floor.
    RestoreFloor<'a> = "restore_floor.sql" {
        by: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// Raises all fences.
    RestoreFences<'a> = "restore_fences.sql" {
        by: i64 as BigInt,
        to: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// Raises high-water marks of epochs.
    RestoreEpochs<'a> = "restore_epochs.sql" {
        room: i64 as BigInt,
        by: i64 as BigInt,
        to: i64 as BigInt,
        given_epochs: bool as Bool,
    } -> BigInt
}

statement! {
    /// Moves the sequence of events.
    RestoreEvents<'a> = "restore_events.sql" {
        by: i64 as BigInt,
        to: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// A page of live claims.
    RestoreLiveClaims<'a> = "restore_live_claims.sql" {
        after_tenant: &'a str as Text,
        after_consumer: &'a str as Text,
        after_epoch: i64 as BigInt,
        limit: i64 as BigInt,
    } -> (Text, Text, BigInt)
}
