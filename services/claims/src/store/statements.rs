//! Every statement of the store, by file. What each means and which rules it keeps stands at the
//! head of its `.sql` file.

use super::rows::Time;
use super::statement::{Statement, statement};
use diesel::QueryResult;
use diesel::pg::Pg;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, BigInt, Bool, Bytea, Integer, Nullable, Text, Timestamptz};

/// Columns of a claim row, as every statement that returns claims lists them.
pub(crate) type ClaimColumns = (
    Text,
    Text,
    BigInt,
    Text,
    Text,
    Text,
    Text,
    Text,
    Text,
    Timestamptz,
    Nullable<Timestamptz>,
    Integer,
    BigInt,
    Bytea,
    Text,
    Nullable<Text>,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
    Nullable<Text>,
    Nullable<Bool>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Text>,
    Nullable<Text>,
    Nullable<Text>,
);

/// Columns of a lease row.
pub(crate) type LeaseColumns = (
    Text,
    Text,
    BigInt,
    Timestamptz,
    Timestamptz,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Integer,
    Bool,
    Bool,
    Bytea,
    Nullable<Text>,
);

/// Columns of an entity row.
pub(crate) type EntityColumns = (
    Text,
    Text,
    Text,
    BigInt,
    Nullable<Text>,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Timestamptz>,
    Nullable<Text>,
);

statement! {
    /// Locks entities, skipping those that a stranger holds; tells which are there.
    LockEntities<'a> = "lock_entities.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
    } -> (Text, Text, Bool, Nullable<EntityColumns>)
}

statement! {
    /// Finds the entities of claims and locks them, skipping those that a stranger holds.
    LockEntitiesOfClaims<'a> = "lock_entities_of_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
    } -> (Text, Text, BigInt, Text, Nullable<EntityColumns>)
}

statement! {
    /// Identities of the superseded claims of entities.
    SupersededClaims<'a> = "superseded_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
    } -> (Text, Text, BigInt)
}

statement! {
    /// Locks claims of locked entities.
    LockClaims<'a> = "lock_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
    } -> ClaimColumns
}

statement! {
    /// Locks the leases of claims.
    LockLeases<'a> = "lock_leases.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
    } -> LeaseColumns
}

statement! {
    /// Reads claims by identity.
    ReadClaims<'a> = "read_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
    } -> ClaimColumns
}

statement! {
    /// Reads the newest claims that carry request ids.
    ReadRequestedClaims<'a> = "read_requested_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        entities: Vec<&'a str> as Array<Text>,
        request_ids: Vec<&'a str> as Array<Text>,
    } -> ClaimColumns
}

statement! {
    /// Reads high-water marks.
    ReadMarks<'a> = "read_marks.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
        authorities: Vec<&'a str> as Array<Text>,
    } -> (Text, Text, Text, BigInt)
}

statement! {
    /// Reads the highest epoch of each consumer.
    ReadConsumerEpochs<'a> = "read_consumer_epochs.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
    } -> (Text, Text, BigInt)
}

statement! {
    /// Reads the database time, the liveness record and the number floor.
    ReadClock<'a> = "read_clock.sql" {
    } -> (Timestamptz, Nullable<Timestamptz>, Nullable<Timestamptz>, Nullable<BigInt>, BigInt)
}

statement! {
    /// Whether the database was ever migrated.
    ReadBookkeeping<'a> = "read_bookkeeping.sql" {
    } -> Bool
}

statement! {
    /// How many of these migrations the database has seen.
    ReadSchema<'a> = "read_schema.sql" {
        versions: Vec<String> as Array<Text>,
    } -> BigInt
}

statement! {
    /// Writes what a decision changed of live claims.
    UpdateClaims<'a> = "update_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
        fences: Vec<i64> as Array<BigInt>,
        token_digests: Vec<&'a [u8]> as Array<Bytea>,
        states: Vec<&'a str> as Array<Text>,
        superseded_by_consumers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        superseded_by_epochs: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        ended: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        end_reasons: Vec<Option<String>> as Array<Nullable<Text>>,
        entities_cleared: Vec<Option<bool>> as Array<Nullable<Bool>>,
        lease_expiries: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_heartbeats: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        acked_streams: Vec<Option<String>> as Array<Nullable<Text>>,
        error_messages: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        progresses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        count: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// Inserts minted claims.
    InsertClaims<'a> = "insert_claims.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
        entities: Vec<&'a str> as Array<Text>,
        streams: Vec<&'a str> as Array<Text>,
        authorities: Vec<&'a str> as Array<Text>,
        wake_ids: Vec<&'a str> as Array<Text>,
        runner_ids: Vec<&'a str> as Array<Text>,
        request_ids: Vec<&'a str> as Array<Text>,
        claimed: Vec<Time> as Array<Timestamptz>,
        ceilings: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        ttls_ms: Vec<i32> as Array<Integer>,
        fences: Vec<i64> as Array<BigInt>,
        token_digests: Vec<&'a [u8]> as Array<Bytea>,
        states: Vec<&'a str> as Array<Text>,
        superseded_by_consumers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        superseded_by_epochs: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        ended: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        end_reasons: Vec<Option<String>> as Array<Nullable<Text>>,
        entities_cleared: Vec<Option<bool>> as Array<Nullable<Bool>>,
        lease_expiries: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_heartbeats: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        acked_streams: Vec<Option<String>> as Array<Nullable<Text>>,
        error_messages: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        progresses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    } -> ()
}

statement! {
    /// Deletes the leases of ended claims.
    DeleteLeases<'a> = "delete_leases.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
    } -> ()
}

statement! {
    /// Writes the leases of live claims.
    WriteLeases<'a> = "write_leases.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
        expiries: Vec<Time> as Array<Timestamptz>,
        heard: Vec<Time> as Array<Timestamptz>,
        last_heartbeats: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        ceilings: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        ttls_ms: Vec<i32> as Array<Integer>,
        superseded: Vec<bool> as Array<Bool>,
        stop: Vec<bool> as Array<Bool>,
        token_digests: Vec<&'a [u8]> as Array<Bytea>,
        progresses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    } -> ()
}

statement! {
    /// Writes locked entities.
    UpdateEntities<'a> = "update_entities.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
        states: Vec<&'a str> as Array<Text>,
        fences: Vec<i64> as Array<BigInt>,
        current_consumers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        current_epochs: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        last_claimed: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_ended: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_completed: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_errors: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        count: i64 as BigInt,
    } -> BigInt
}

statement! {
    /// Makes the rows of new entities.
    InsertEntities<'a> = "insert_entities.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
        states: Vec<&'a str> as Array<Text>,
        fences: Vec<i64> as Array<BigInt>,
        current_consumers: Vec<Option<&'a str>> as Array<Nullable<Text>>,
        current_epochs: Vec<Option<i64>> as Array<Nullable<BigInt>>,
        last_claimed: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_ended: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_completed: Vec<Option<Time>> as Array<Nullable<Timestamptz>>,
        last_errors: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    } -> ()
}

statement! {
    /// Raises high-water marks.
    RaiseEpochs<'a> = "raise_epochs.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
        authorities: Vec<&'a str> as Array<Text>,
        highest: Vec<i64> as Array<BigInt>,
    } -> ()
}

statement! {
    /// Records accepted changes.
    WriteEvents<'a> = "write_events.sql" {
        advisory_key: i64 as BigInt,
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
        streams: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
        fences: Vec<i64> as Array<BigInt>,
        types: Vec<&'a str> as Array<Text>,
        reasons: Vec<&'a str> as Array<Text>,
        actors: Vec<&'a str> as Array<Text>,
        occurred: Vec<Time> as Array<Timestamptz>,
    } -> ()
}

/// Columns of a renewed lease: position in what was asked for, from one; expiry, time of renewal,
/// length, stop, had lapsed, ceiling.
pub(crate) type RenewalColumns =
    (BigInt, Timestamptz, Timestamptz, Integer, Bool, Bool, Nullable<Timestamptz>);

statement! {
    /// Renews leases, lapsed ones too, skipping those that a stranger holds.
    RenewLeases<'a> = "heartbeat.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        consumers: Vec<&'a str> as Array<Text>,
        epochs: Vec<i64> as Array<BigInt>,
        token_digests: Vec<Option<&'a [u8]>> as Array<Nullable<Bytea>>,
        ttls_ms: Vec<Option<i32>> as Array<Nullable<Integer>>,
        own_ttls: Vec<bool> as Array<Bool>,
        progresses: Vec<Option<&'a str>> as Array<Nullable<Text>>,
    } -> RenewalColumns
}

/// Renews those of the same leases that run, without locking them first.
#[derive(Clone, Debug, Default)]
pub(crate) struct RenewRunning<'a>(pub(crate) RenewLeases<'a>);

impl RenewRunning<'_> {
    /// The statement's file.
    pub(crate) const FILE: &'static str = "renew_running.sql";
    const SQL: &'static str =
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/renew_running.sql"));
}

impl QueryId for RenewRunning<'_> {
    type QueryId = RenewRunning<'static>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl Query for RenewRunning<'_> {
    type SqlType = RenewalColumns;
}

impl QueryFragment<Pg> for RenewRunning<'_> {
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.0.walk(Self::SQL, out)
    }
}

statement! {
    /// Reads what an authorization depends on.
    ReadWriters<'a> = "authorize.sql" {
        tenants: Vec<&'a str> as Array<Text>,
        urls: Vec<&'a str> as Array<Text>,
    } -> (BigInt, Text, Text, BigInt, Text, BigInt, Bytea, Timestamptz, Timestamptz)
}

statement! {
    /// Signs the liveness record.
    SignLiveness<'a> = "sign_liveness.sql" {
        outage_grace_ms: i64 as BigInt,
    } -> (Nullable<BigInt>, Bool)
}

statement! {
    /// Lists claims of an entity.
    ListClaimsOfEntity<'a> = "list_claims_of_entity.sql" {
        tenant: &'a str as Text,
        entity: &'a str as Text,
        runner: &'a str as Text,
        states: Vec<&'a str> as Array<Text>,
        lapsed_only: bool as Bool,
        after_claimed_at: Time as Timestamptz,
        after_consumer: &'a str as Text,
        after_epoch: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimColumns
}

statement! {
    /// Lists claims of a runner.
    ListClaimsOfRunner<'a> = "list_claims_of_runner.sql" {
        tenant: &'a str as Text,
        runner: &'a str as Text,
        states: Vec<&'a str> as Array<Text>,
        lapsed_only: bool as Bool,
        after_claimed_at: Time as Timestamptz,
        after_consumer: &'a str as Text,
        after_epoch: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimColumns
}

statement! {
    /// Lists claims of a tenant.
    ListClaimsOfTenant<'a> = "list_claims_of_tenant.sql" {
        tenant: &'a str as Text,
        states: Vec<&'a str> as Array<Text>,
        after_consumer: &'a str as Text,
        after_epoch: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimColumns
}

statement! {
    /// Lists lapsed claims of a tenant.
    ListLapsedClaims<'a> = "list_lapsed_claims.sql" {
        tenant: &'a str as Text,
        states: Vec<&'a str> as Array<Text>,
        after_consumer: &'a str as Text,
        after_epoch: i64 as BigInt,
        limit: i64 as BigInt,
    } -> ClaimColumns
}

statement! {
    /// Reads one entity.
    ReadEntity<'a> = "read_entity.sql" {
        tenant: &'a str as Text,
        url: &'a str as Text,
    } -> EntityColumns
}

statement! {
    /// Counts the live claims of a tenant.
    CountLiveClaims<'a> = "count_live_claims.sql" {
        tenant: &'a str as Text,
        limit: i64 as BigInt,
    } -> BigInt
}

/// What every session is told at its beginning, for the same test.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn session_settings() -> String {
    super::connect::session_settings()
}

/// Every statement with its file, for the test that plans them.
#[cfg(any(test, feature = "testing"))]
#[must_use]
pub fn all_statements() -> Vec<(&'static str, &'static str)> {
    use super::events::statements::{
        ReadEventBounds, ReadEventWriters, ReadEvents, ReadEventsOfConsumer, ReadEventsOfEntity,
        ReadLastEvent,
    };
    use super::reap::statements::{
        BlocksToCheck, CheckActive, CheckEntities, CheckLeases, CheckSuperseded, CompareHolds,
        CountLeases, ExpiredLately, LastPass, PruneClaims, PruneEvents, RecordPass, ScanLeases,
    };
    use super::restore::statements::{
        RestoreEpochs, RestoreEvents, RestoreFences, RestoreFloor, RestoreLiveClaims, RestoreLock,
        RestoreLook,
    };
    macro_rules! all {
        ($($name:ident),* $(,)?) => {
            vec![$(($name::FILE, $name::SQL)),*]
        };
    }
    all![
        LockEntities,
        LockEntitiesOfClaims,
        SupersededClaims,
        LockClaims,
        LockLeases,
        ReadClaims,
        ReadRequestedClaims,
        ReadMarks,
        ReadConsumerEpochs,
        ReadClock,
        ReadBookkeeping,
        ReadSchema,
        UpdateClaims,
        InsertClaims,
        DeleteLeases,
        WriteLeases,
        UpdateEntities,
        InsertEntities,
        RaiseEpochs,
        WriteEvents,
        RenewRunning,
        RenewLeases,
        ReadWriters,
        SignLiveness,
        ScanLeases,
        ExpiredLately,
        RecordPass,
        LastPass,
        PruneClaims,
        PruneEvents,
        CompareHolds,
        BlocksToCheck,
        CheckEntities,
        CountLeases,
        CheckLeases,
        CheckActive,
        CheckSuperseded,
        ReadEventBounds,
        ReadEventWriters,
        ReadLastEvent,
        ReadEvents,
        ReadEventsOfEntity,
        ReadEventsOfConsumer,
        ListClaimsOfEntity,
        ListClaimsOfRunner,
        ListClaimsOfTenant,
        ListLapsedClaims,
        ReadEntity,
        CountLiveClaims,
        RestoreLook,
        RestoreLock,
        RestoreFloor,
        RestoreFences,
        RestoreEpochs,
        RestoreEvents,
        RestoreLiveClaims,
    ]
}
