//! The self-check: does what the rows say of each other hold? Nothing here mends anything.
//!
//! Every decision keeps these invariants, so a finding is a bug, a hand that wrote past the
//! service, or a damaged database; somebody must look.
//!
//! The first step compares fingerprints of the tables in one snapshot, which costs a fraction of
//! looking up each row's counterpart. Only if they differ does the check walk on, to find out
//! which rows it is, in bounded steps of one statement and snapshot each.

use super::statements::{
    BlocksToCheck, CheckActive, CheckEntities, CheckLeases, CheckSuperseded, CompareHolds,
};
use super::{ReapError, Reaper, SCAN_TIMEOUT};
use crate::store::connect::{STATEMENT_TIMEOUT, round_trip};
use crate::store::error::TransactionError;
use diesel::QueryResult;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::fmt;

/// Blocks of one step: some thousand rows.
const BLOCKS: i64 = 128;

/// An entity's claim as two rows contradict each other about it, by their keys as they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// I2, I3: the entity's state and its current claim do not fit, or that claim is not an active
    /// one of the entity.
    EntityWithoutItsClaim {
        /// Tenant and URL.
        entity: String,
        /// The entity's state.
        state: String,
        /// Consumer and epoch of the current claim.
        current: Option<String>,
    },
    /// I2: an active claim is not its entity's current one.
    ClaimNotCurrent {
        /// Tenant, consumer and epoch.
        claim: String,
        /// Tenant and URL.
        entity: String,
    },
    /// I7: a live claim has no lease, so no scan can ever find it.
    ClaimWithoutLease {
        /// Tenant, consumer and epoch.
        claim: String,
    },
    /// I7: a lease has no live claim.
    LeaseWithoutClaim {
        /// Tenant, consumer and epoch.
        claim: String,
    },
}

impl Finding {
    /// Two holders are possible, or none where one is told: I2 or I3 is broken.
    #[must_use]
    pub const fn is_double_hold(&self) -> bool {
        matches!(self, Self::EntityWithoutItsClaim { .. } | Self::ClaimNotCurrent { .. })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EntityWithoutItsClaim { entity, state, current: Some(claim) } => {
                write!(f, "entity {entity} is {state} with current claim {claim} (I2, I3)")
            }
            Self::EntityWithoutItsClaim { entity, state, current: None } => {
                write!(f, "entity {entity} is {state} without a current claim (I3)")
            }
            Self::ClaimNotCurrent { claim, entity } => {
                write!(f, "claim {claim} is active but not the current one of {entity} (I2)")
            }
            Self::ClaimWithoutLease { claim } => {
                write!(f, "claim {claim} is live and has no lease (I7)")
            }
            Self::LeaseWithoutClaim { claim } => {
                write!(f, "lease {claim} has no live claim (I7)")
            }
        }
    }
}

/// Where a self-check stands.
#[derive(Clone, Debug, Default)]
pub struct Walk(Place);

#[derive(Clone, Debug, Default)]
enum Place {
    #[default]
    Start,
    Entities {
        from: i64,
        entities: i64,
        leases: i64,
    },
    Leases {
        from: i64,
        leases: i64,
    },
    Active {
        after: (String, String),
    },
    Superseded {
        after: (String, String, String, i64),
    },
    Over,
}

impl Walk {
    /// Everything has been looked at.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.0, Place::Over)
    }
}

impl Reaper {
    /// The next step of a self-check: what it found. A step that fails may be repeated.
    pub async fn check_step(&mut self, walk: &mut Walk) -> Result<Vec<Finding>, ReapError> {
        let (findings, next) = match &walk.0 {
            Place::Start if self.holds_agree().await? => (Vec::new(), Place::Over),
            Place::Start => (Vec::new(), self.blocks_to_check().await?),
            Place::Entities { from, entities, leases } => {
                let findings = self.check_entities(*from).await?;
                (findings, next_entities(from + BLOCKS, *entities, *leases))
            }
            Place::Leases { from, leases } => {
                (self.check_leases(*from).await?, next_leases(from + BLOCKS, *leases))
            }
            Place::Active { after } => self.check_active(after).await?,
            Place::Superseded { after } => self.check_superseded(after).await?,
            Place::Over => (Vec::new(), Place::Over),
        };
        walk.0 = next;
        Ok(findings)
    }

    async fn holds_agree(&mut self) -> Result<bool, ReapError> {
        let connection = self.connect().await?;
        let limit = SCAN_TIMEOUT.saturating_add(STATEMENT_TIMEOUT);
        let agree = tokio::time::timeout(limit, holds_agree(&connection)).await;
        let agree = agree.map_err(|_| TransactionError::TimedOut { in_commit: false });
        self.keep(connection, agree)
    }

    async fn blocks_to_check(&mut self) -> Result<Place, ReapError> {
        let connection = self.connect().await?;
        let sizes = BlocksToCheck::default();
        let sizes = round_trip(false, sizes.get_result::<(i64, i64)>(&mut &connection)).await;
        let (entities, leases) = self.keep(connection, sizes)?;
        Ok(next_entities(0, entities, leases))
    }

    async fn check_entities(&mut self, from_block: i64) -> Result<Vec<Finding>, ReapError> {
        type Row = (String, String, String, Option<String>, Option<i64>);
        let connection = self.connect().await?;
        let to_block = from_block + BLOCKS;
        let statement = CheckEntities { from_block, to_block, ..Default::default() };
        let rows = round_trip(false, statement.load::<Row>(&mut &connection)).await;
        let rows = self.keep(connection, rows)?;
        let finding = |(tenant, url, state, consumer, epoch): Row| Finding::EntityWithoutItsClaim {
            current: consumer.zip(epoch).map(|(consumer, epoch)| format!("{consumer}/{epoch}")),
            entity: format!("{tenant}{url}"),
            state,
        };
        Ok(rows.into_iter().map(finding).collect())
    }

    async fn check_leases(&mut self, from_block: i64) -> Result<Vec<Finding>, ReapError> {
        type Row = (String, String, i64);
        let connection = self.connect().await?;
        let to_block = from_block + BLOCKS;
        let statement = CheckLeases { from_block, to_block, ..Default::default() };
        let rows = round_trip(false, statement.load::<Row>(&mut &connection)).await;
        let rows = self.keep(connection, rows)?;
        let finding = |(tenant, consumer, epoch): Row| Finding::LeaseWithoutClaim {
            claim: format!("{tenant}/{consumer}/{epoch}"),
        };
        Ok(rows.into_iter().map(finding).collect())
    }

    async fn check_active(
        &mut self,
        (after_tenant, after_entity): &(String, String),
    ) -> Result<(Vec<Finding>, Place), ReapError> {
        type Row = (String, String, String, i64, bool, bool, bool);
        let connection = self.connect().await?;
        let page = CheckActive { after_tenant, after_entity, ..Default::default() };
        let rows = round_trip(false, page.load::<Row>(&mut &connection)).await;
        let rows = self.keep(connection, rows)?;
        let mut findings = Vec::new();
        let mut next = Place::Superseded { after: Default::default() };
        for (tenant, url, consumer, epoch, is_current, has_lease, is_last) in rows {
            let claim = format!("{tenant}/{consumer}/{epoch}");
            if !is_current {
                let entity = format!("{tenant}{url}");
                findings.push(Finding::ClaimNotCurrent { claim: claim.clone(), entity });
            }
            if !has_lease {
                findings.push(Finding::ClaimWithoutLease { claim });
            }
            if is_last {
                next = Place::Active { after: (tenant, url) };
            }
        }
        Ok((findings, next))
    }

    async fn check_superseded(
        &mut self,
        (tenant, entity, consumer, epoch): &(String, String, String, i64),
    ) -> Result<(Vec<Finding>, Place), ReapError> {
        type Row = (String, String, String, i64, bool, bool);
        let connection = self.connect().await?;
        let page = CheckSuperseded {
            after_tenant: tenant,
            after_entity: entity,
            after_consumer: consumer,
            after_epoch: *epoch,
            ..Default::default()
        };
        let rows = round_trip(false, page.load::<Row>(&mut &connection)).await;
        let rows = self.keep(connection, rows)?;
        let mut findings = Vec::new();
        let mut next = Place::Over;
        for (tenant, url, consumer, epoch, has_lease, is_last) in rows {
            if !has_lease {
                let claim = format!("{tenant}/{consumer}/{epoch}");
                findings.push(Finding::ClaimWithoutLease { claim });
            }
            if is_last {
                next = Place::Superseded { after: (tenant, url, consumer, epoch) };
            }
        }
        Ok((findings, next))
    }
}

/// Reads the live half of the database whole: it gets as long as a scan, and memory for a bitmap
/// of the live claims.
async fn holds_agree(mut connection: &AsyncPgConnection) -> QueryResult<bool> {
    let c = &mut connection;
    let begin = format!(
        "BEGIN READ ONLY; SET LOCAL statement_timeout = {}; SET LOCAL work_mem = '64MB'",
        SCAN_TIMEOUT.as_millis()
    );
    c.batch_execute(&begin).await?;
    let agree = CompareHolds::default().get_result(c).await?;
    c.batch_execute("COMMIT").await?;
    Ok(agree)
}

fn next_entities(from: i64, entities: i64, leases: i64) -> Place {
    if from < entities {
        Place::Entities { from, entities, leases }
    } else {
        next_leases(0, leases)
    }
}

fn next_leases(from: i64, leases: i64) -> Place {
    if from < leases {
        Place::Leases { from, leases }
    } else {
        Place::Active { after: Default::default() }
    }
}
