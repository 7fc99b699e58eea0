//! Passes as they are recorded, for the next reaper and for whoever asks how the reaper is doing.

use super::statements::{LastPass, RecordPass};
use super::{ReapError, Reaper};
use crate::domain::{HoldReason, Timestamp};
use crate::store::batch::load::ClockRow;
use crate::store::connect::round_trip;
use crate::store::error::{Damaged, TransactionError};
use crate::store::rows::{Time, millis};
use crate::store::statements::ReadClock;
use diesel::OptionalExtension;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use std::time::Duration;

/// A pass as it is recorded.
#[derive(Clone, Debug)]
pub struct PassRecord {
    /// When it began, by the database clock.
    pub started_at: Timestamp,
    /// Live claims that it saw.
    pub scanned: u64,
    /// Claims that it expired.
    pub expired: u64,
    /// Those of them that were active and fresh (R7).
    pub expired_fresh: u64,
    /// Claims that failed and were skipped.
    pub failed: u64,
    /// Claims that it held back.
    pub held_back: u64,
    /// Why.
    pub hold_reason: Option<HoldReason>,
    /// Due claims that it left.
    pub remaining_due: u64,
    /// From when the oldest of these was due.
    pub oldest_remaining_due_at: Option<Timestamp>,
    /// How long the oldest due claim had been due when the pass began.
    pub oldest_due_age: Option<Duration>,
    /// Rows that it pruned.
    pub pruned: u64,
}

/// How the reapers are doing, by the last pass of any of them.
#[derive(Clone, Debug)]
pub struct ReaperStatus {
    /// The last pass; none if there was none yet.
    pub last_pass: Option<LastPassView>,
    /// The database time of the read.
    pub now: Timestamp,
}

/// The last pass as it was recorded.
#[derive(Clone, Debug)]
pub struct LastPassView {
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Live claims that it saw.
    pub scanned: u64,
    /// Claims that it expired.
    pub expired: u64,
    /// Claims that failed and were skipped.
    pub failed: u64,
    /// Claims that it held back.
    pub held_back: u64,
    /// Why.
    pub hold_reason: Option<HoldReason>,
    /// Due claims that it left.
    pub remaining_due: u64,
    /// From when the oldest of these was due.
    pub oldest_remaining_due_at: Option<Timestamp>,
    /// Rows that it pruned.
    pub pruned: u64,
}

impl Reaper {
    /// Records a pass.
    pub async fn record(&mut self, pass: &PassRecord) -> Result<(), ReapError> {
        let connection = self.connect().await?;
        let statement = RecordPass {
            started_at: Time(pass.started_at),
            scanned: stored(pass.scanned),
            expired: stored(pass.expired),
            expired_fresh: stored(pass.expired_fresh),
            failed: stored(pass.failed),
            held_back: stored(pass.held_back),
            hold_reason: pass.hold_reason.map(HoldReason::as_str),
            remaining_due: stored(pass.remaining_due),
            oldest_remaining_due_at: pass.oldest_remaining_due_at.map(Time),
            oldest_due_age_ms: pass.oldest_due_age.map(millis),
            pruned: stored(pass.pruned),
            ..Default::default()
        };
        let recorded = round_trip(false, statement.execute(&mut &connection)).await;
        self.keep(connection, recorded).map(|_| ())
    }
}

fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

type PassRow = (Time, Time, i64, i64, i64, i64, Option<String>, i64, Option<Time>, i64);

/// The status by the last recorded pass.
pub(in crate::store) async fn read_status(
    mut connection: &AsyncPgConnection,
) -> Result<ReaperStatus, TransactionError> {
    let c = &mut connection;
    let row: Option<PassRow> = LastPass::default().get_result(c).await.optional()?;
    let clock: ClockRow = ReadClock::default().get_result(c).await?;
    Ok(ReaperStatus { last_pass: row.map(view).transpose()?, now: clock.0.0 })
}

fn view(row: PassRow) -> Result<LastPassView, Damaged> {
    let (started, ended, scanned, expired, failed, held_back, reason, remaining, oldest, pruned) =
        row;
    let count = |number: i64| u64::try_from(number).map_err(|_| Damaged::new("a count"));
    let hold_reason = match reason {
        Some(name) => Some(HoldReason::parse(&name).ok_or_else(|| Damaged::new("a hold reason"))?),
        None => None,
    };
    Ok(LastPassView {
        started_at: started.0,
        ended_at: ended.0,
        scanned: count(scanned)?,
        expired: count(expired)?,
        failed: count(failed)?,
        held_back: count(held_back)?,
        hold_reason,
        remaining_due: count(remaining)?,
        oldest_remaining_due_at: oldest.map(|oldest| oldest.0),
        pruned: count(pruned)?,
    })
}
