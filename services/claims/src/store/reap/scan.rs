//! The one look at all leases with which a pass begins.

use super::statements::{ExpiredLately, ScanLeases};
use crate::chain;
use crate::domain::lease::takeable_at;
use crate::domain::{ClaimId, Timestamp};
use crate::store::batch::load::{ClockRow, liveness};
use crate::store::error::{Damaged, TransactionError};
use crate::store::rows::{Time, claim_id, millis};
use crate::store::statements::ReadClock;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::time::Duration;

/// What one scan of the leases found.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Live claims.
    pub live: u64,
    /// Those of them that are active.
    pub active: u64,
    /// Those of the live ones whose lease has lapsed.
    pub lapsed: u64,
    /// How long ago the first of these leases lapsed.
    pub oldest_lapsed_age: Option<Duration>,
    /// Active claims that reapers expired within the brake's span while they were fresh (R7).
    pub expired_lately: u64,
    /// The database time of the scan.
    pub now: Timestamp,
    /// Claims whose lease lapsed at least the reap grace ago, longest due first.
    pub candidates: Vec<Candidate>,
    /// Lapsed leases whose key is no identity; no code of ours can have written them.
    pub unreadable: u64,
}

/// A claim that has lapsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: ClaimId,
    /// It is active, not superseded.
    pub active: bool,
    /// From when it may be expired; later than the scan if an outage protects it (R6).
    pub due_at: Timestamp,
}

type LapsedLease = (String, String, i64, bool, Time, Time);
type ScanRow = (i64, i64, i64, Option<Time>, Time, Vec<LapsedLease>);

/// Scans once, within the time limit that the database keeps.
pub(super) async fn scan(
    mut connection: &AsyncPgConnection,
    reap_grace: Duration,
    span: Duration,
    limit: Duration,
) -> Result<Scan, TransactionError> {
    let c = &mut connection;
    // The one statement that is meant to read a table whole. The plans of the others may be of a
    // time when the tables were empty.
    let begin = format!(
        "DISCARD PLANS; BEGIN READ ONLY; SET LOCAL statement_timeout = {}; \
         SET LOCAL enable_seqscan = on",
        limit.as_millis().max(1)
    );
    c.batch_execute(&begin).await?;
    let statement = ScanLeases { reap_grace_ms: millis(reap_grace), ..Default::default() };
    let row: ScanRow = statement.get_result(c).await?;
    let (_, signed, resumed, grace): ClockRow = ReadClock::default().get_result(c).await?;
    let lately = ExpiredLately { span_ms: millis(span), ..Default::default() };
    let lately: i64 = lately.get_result(c).await?;
    c.batch_execute("COMMIT").await?;

    let (live, active, lapsed, oldest, now, leases) = row;
    let (now, liveness) = (now.0, liveness(signed, resumed, grace));
    let mut candidates = Vec::with_capacity(leases.len());
    let mut unreadable = 0;
    for (tenant, consumer, epoch, superseded, expires, heard) in &leases {
        match claim_id(tenant, consumer, *epoch) {
            Ok(id) => {
                let takeable_at = takeable_at(expires.0, heard.0, &liveness, now);
                let due_at = takeable_at + reap_grace;
                candidates.push(Candidate { id, active: !superseded, due_at });
            }
            Err(error) => {
                // One bad row never stops the sweep (R4).
                unreadable += 1;
                let key = format!("{tenant:?}/{consumer:?}/{epoch}");
                tracing::error!(error = %chain(&error), "lease {key} cannot be read; skipped");
            }
        }
    }
    candidates
        .sort_by(|one, other| one.due_at.cmp(&other.due_at).then_with(|| one.id.cmp(&other.id)));
    let lapsed = counted(lapsed)?;
    Ok(Scan {
        live: counted(live)?,
        active: counted(active)?,
        lapsed,
        oldest_lapsed_age: oldest.filter(|_| lapsed > 0).map(|oldest| now.since(oldest.0)),
        expired_lately: counted(lately)?,
        now,
        candidates,
        unreadable,
    })
}

fn counted(number: i64) -> Result<u64, Damaged> {
    u64::try_from(number).map_err(|_| Damaged::new("a count"))
}
