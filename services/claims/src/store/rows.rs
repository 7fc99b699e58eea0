//! Rows as the database has them, and their way into the domain. Rows stop here: a row that does
//! not parse is damage, reported with its key, never guessed at.

use super::error::Damaged;
use crate::domain::{
    AckedStream, Authority, Claim, ClaimId, ClaimState, ConsumerId, EndReason, Ending, Entity,
    EntityKey, EntityState, EntityUrl, Epoch, Fence, Lease, LeaseTtl, RequestId, RunnerId,
    StreamPath, TenantId, Timestamp, TokenDigest, WakeId,
};
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::pg::data_types::PgTimestamp;
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Timestamptz;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Postgres counts microseconds from 2000-01-01; this is that moment since 1970-01-01.
const POSTGRES_EPOCH_UNIX_MICROS: i64 = 946_684_800_000_000;

/// A [`Timestamp`] as a column.
#[derive(Clone, Copy, Debug, AsExpression, FromSqlRow)]
#[diesel(sql_type = Timestamptz)]
pub(crate) struct Time(pub(crate) Timestamp);

impl Default for Time {
    fn default() -> Self {
        Self(Timestamp::from_unix_micros(POSTGRES_EPOCH_UNIX_MICROS))
    }
}

impl ToSql<Timestamptz, Pg> for Time {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        let since_2000 = self.0.unix_micros().saturating_sub(POSTGRES_EPOCH_UNIX_MICROS);
        ToSql::<Timestamptz, Pg>::to_sql(&PgTimestamp(since_2000), &mut out.reborrow())
    }
}

impl FromSql<Timestamptz, Pg> for Time {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        let PgTimestamp(since_2000) = FromSql::<Timestamptz, Pg>::from_sql(bytes)?;
        let unix_micros = since_2000.saturating_add(POSTGRES_EPOCH_UNIX_MICROS);
        Ok(Self(Timestamp::from_unix_micros(unix_micros)))
    }
}

/// Whole milliseconds of a length that validation has bounded.
pub(crate) fn millis(length: Duration) -> i64 {
    i64::try_from(length.as_millis()).unwrap_or(i64::MAX)
}

/// Whole milliseconds of a lease's length, at most 600 000.
pub(crate) fn ttl_millis(ttl: LeaseTtl) -> i32 {
    i32::try_from(ttl.get().as_millis()).unwrap_or(i32::MAX)
}

/// A length from a column that a CHECK keeps from being negative.
pub(crate) fn from_millis(length: i64) -> Duration {
    Duration::from_millis(u64::try_from(length).unwrap_or(0))
}

pub(crate) fn claim_id(tenant: &str, consumer: &str, epoch: i64) -> Result<ClaimId, Damaged> {
    Ok(ClaimId {
        tenant: TenantId::parse(tenant)?,
        consumer: ConsumerId::parse(consumer)?,
        epoch: Epoch::parse(epoch)?,
    })
}

pub(crate) fn entity_key(tenant: &str, url: &str) -> Result<EntityKey, Damaged> {
    Ok(EntityKey { tenant: TenantId::parse(tenant)?, url: EntityUrl::parse(url)? })
}

pub(crate) fn token_digest(bytes: &[u8]) -> Result<TokenDigest, Damaged> {
    let bytes: [u8; 32] = bytes.try_into().map_err(|_| Damaged::new("a token digest"))?;
    Ok(TokenDigest::from_bytes(bytes))
}

fn ttl(millis: i32) -> Result<LeaseTtl, Damaged> {
    Ok(LeaseTtl::parse(from_millis(i64::from(millis)))?)
}

/// Someone and their epoch: both or neither.
fn consumer_and_epoch(
    consumer: Option<&str>,
    epoch: Option<i64>,
) -> Result<Option<(ConsumerId, Epoch)>, Damaged> {
    match (consumer, epoch) {
        (Some(consumer), Some(epoch)) => {
            Ok(Some((ConsumerId::parse(consumer)?, Epoch::parse(epoch)?)))
        }
        _ => Ok(None),
    }
}

/// A row of `entity_dispatch_state`.
#[derive(Debug, diesel::Queryable)]
pub(crate) struct EntityRow {
    pub(crate) tenant_id: String,
    pub(crate) entity_url: String,
    pub(crate) state: String,
    pub(crate) fence: i64,
    pub(crate) current_consumer_id: Option<String>,
    pub(crate) current_epoch: Option<i64>,
    pub(crate) last_claimed_at: Option<Time>,
    pub(crate) last_ended_at: Option<Time>,
    pub(crate) last_completed_at: Option<Time>,
    pub(crate) last_error: Option<String>,
}

impl EntityRow {
    pub(crate) fn into_domain(self) -> Result<(EntityKey, Entity), Damaged> {
        let key = format!("entity {} {}", self.tenant_id, self.entity_url);
        self.parse().map_err(|damaged| damaged.of(&key))
    }

    fn parse(self) -> Result<(EntityKey, Entity), Damaged> {
        let key = entity_key(&self.tenant_id, &self.entity_url)?;
        let entity = Entity {
            state: entity_state(&self.state)?,
            fence: Fence::parse(self.fence)?,
            current: consumer_and_epoch(self.current_consumer_id.as_deref(), self.current_epoch)?,
            last_claimed_at: self.last_claimed_at.map(|time| time.0),
            last_ended_at: self.last_ended_at.map(|time| time.0),
            last_completed_at: self.last_completed_at.map(|time| time.0),
            last_error: self.last_error,
        };
        Ok((key, entity))
    }
}

pub(crate) fn entity_state(name: &str) -> Result<EntityState, Damaged> {
    EntityState::from_name(name).ok_or_else(|| Damaged::new("an entity's state"))
}

/// A row of `claim_leases`.
#[derive(Debug, diesel::Queryable)]
pub(crate) struct LeaseRow {
    pub(crate) tenant_id: String,
    pub(crate) consumer_id: String,
    pub(crate) epoch: i64,
    pub(crate) lease_expires_at: Time,
    pub(crate) heard_at: Time,
    pub(crate) last_heartbeat_at: Option<Time>,
    pub(crate) ceiling_at: Option<Time>,
    pub(crate) lease_ttl_ms: i32,
    // The claim's own state tells the same; heartbeats read it here.
    #[expect(dead_code, reason = "a column of the row that decisions read from the claim")]
    pub(crate) superseded: bool,
    pub(crate) stop: bool,
    #[expect(dead_code, reason = "a column of the row that decisions read from the claim")]
    pub(crate) token_digest: Vec<u8>,
    pub(crate) progress: Option<String>,
}

impl LeaseRow {
    pub(crate) fn id(&self) -> Result<ClaimId, Damaged> {
        claim_id(&self.tenant_id, &self.consumer_id, self.epoch)
    }

    fn into_domain(self) -> Result<(Lease, Option<String>), Damaged> {
        let lease = Lease {
            expires_at: self.lease_expires_at.0,
            ttl: ttl(self.lease_ttl_ms)?,
            ceiling_at: self.ceiling_at.map(|time| time.0),
            last_heartbeat_at: self.last_heartbeat_at.map(|time| time.0),
            heard_at: self.heard_at.0,
            stop: self.stop,
        };
        Ok((lease, self.progress))
    }
}

/// A row of `consumer_claims`.
#[derive(Debug, diesel::Queryable)]
pub(crate) struct ClaimRow {
    pub(crate) tenant_id: String,
    pub(crate) consumer_id: String,
    pub(crate) epoch: i64,
    pub(crate) entity_url: String,
    pub(crate) stream_path: String,
    pub(crate) authority: String,
    pub(crate) wake_id: String,
    pub(crate) runner_id: String,
    pub(crate) request_id: String,
    pub(crate) claimed_at: Time,
    pub(crate) ceiling_at: Option<Time>,
    pub(crate) lease_ttl_ms: i32,
    pub(crate) fence: i64,
    pub(crate) token_digest: Vec<u8>,
    pub(crate) state: String,
    pub(crate) superseded_by_consumer_id: Option<String>,
    pub(crate) superseded_by_epoch: Option<i64>,
    pub(crate) ended_at: Option<Time>,
    pub(crate) end_reason: Option<String>,
    pub(crate) entity_cleared: Option<bool>,
    pub(crate) lease_expires_at: Option<Time>,
    pub(crate) last_heartbeat_at: Option<Time>,
    pub(crate) acked_streams: Option<String>,
    pub(crate) error_message: Option<String>,
    pub(crate) progress: Option<String>,
}

impl ClaimRow {
    pub(crate) fn id(&self) -> Result<ClaimId, Damaged> {
        claim_id(&self.tenant_id, &self.consumer_id, self.epoch)
    }

    /// Whether a lease row belongs to the claim.
    pub(crate) fn is_live(&self) -> bool {
        self.ended_at.is_none()
    }

    /// The claim with its lease; a terminal claim has none beside it. A live claim without one
    /// counts as lapsed since it was minted.
    pub(crate) fn into_domain(self, lease: Option<LeaseRow>) -> Result<Claim, Damaged> {
        let key = format!("claim {}/{}/{}", self.tenant_id, self.consumer_id, self.epoch);
        self.parse(lease).map_err(|damaged| damaged.of(&key))
    }

    fn parse(self, lease: Option<LeaseRow>) -> Result<Claim, Damaged> {
        let id = self.id()?;
        let state =
            ClaimState::from_name(&self.state).ok_or_else(|| Damaged::new("a claim's state"))?;
        let superseded_by = consumer_and_epoch(
            self.superseded_by_consumer_id.as_deref(),
            self.superseded_by_epoch,
        )?;
        let (lease, progress) = match lease {
            Some(row) if state.is_live() => row.into_domain()?,
            _ => (self.stored_lease()?, self.progress.clone()),
        };
        let ending = self.ending(state)?;
        Ok(Claim {
            entity: EntityUrl::parse(&self.entity_url)?,
            stream: StreamPath::parse(&self.stream_path)?,
            authority: Authority::parse(&self.authority)?,
            wake_id: WakeId::parse(&self.wake_id)?,
            runner_id: RunnerId::parse(&self.runner_id)?,
            request_id: RequestId::parse(&self.request_id)?,
            claimed_at: self.claimed_at.0,
            fence: Fence::parse(self.fence)?,
            token_digest: token_digest(&self.token_digest)?,
            id,
            state,
            superseded_by,
            lease,
            progress,
            ending,
        })
    }

    /// The final lease of an ended claim, or one that lapsed at once.
    fn stored_lease(&self) -> Result<Lease, Damaged> {
        Ok(Lease {
            expires_at: self.lease_expires_at.unwrap_or(self.claimed_at).0,
            ttl: ttl(self.lease_ttl_ms)?,
            ceiling_at: self.ceiling_at.map(|time| time.0),
            last_heartbeat_at: self.last_heartbeat_at.map(|time| time.0),
            heard_at: self.last_heartbeat_at.unwrap_or(self.claimed_at).0,
            stop: false,
        })
    }

    fn ending(&self, state: ClaimState) -> Result<Option<Ending>, Damaged> {
        let (Some(at), Some(reason), Some(entity_cleared)) =
            (self.ended_at, self.end_reason.as_deref(), self.entity_cleared)
        else {
            return Ok(None);
        };
        Ok(Some(Ending {
            at: at.0,
            reason: EndReason::from_stored(state, reason),
            entity_cleared,
            acked_streams: self.acked_streams.as_deref().map(acks_from_json).transpose()?,
            error_message: self.error_message.clone().unwrap_or_default(),
        }))
    }
}

#[derive(Serialize, Deserialize)]
struct StoredAck<'a> {
    path: std::borrow::Cow<'a, str>,
    offset: std::borrow::Cow<'a, str>,
}

/// Acks as the column holds them: `[{"path": …, "offset": …}]`.
pub(crate) fn acks_to_json(acks: &[AckedStream]) -> String {
    let stored: Vec<StoredAck<'_>> = acks
        .iter()
        .map(|ack| StoredAck { path: (&ack.path).into(), offset: (&ack.offset).into() })
        .collect();
    #[expect(clippy::expect_used, reason = "strings and lists of them always serialize")]
    serde_json::to_string(&stored).expect("acks are strings")
}

fn acks_from_json(json: &str) -> Result<Vec<AckedStream>, Damaged> {
    let stored: Vec<StoredAck<'_>> =
        serde_json::from_str(json).map_err(|_| Damaged::new("acked streams"))?;
    Ok(stored
        .into_iter()
        .map(|ack| AckedStream { path: ack.path.into_owned(), offset: ack.offset.into_owned() })
        .collect())
}
