//! What a pass did, for the log, for cron, and for whoever asks later.

use claims::domain::HoldReason;
use serde::Serialize;

/// Counts of one pass; the keys of the JSON summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// When it began, RFC 3339 in UTC, by the database clock.
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Live claims that the scan saw.
    pub scanned: u64,
    /// Claims that it expired; none in a dry run.
    pub expired: u64,
    /// Claims that the database refused to expire, one by one; skipped until the next pass.
    pub failed: u64,
    /// Lapsed claims that it left alone on purpose.
    pub held_back: u64,
    /// Why, if there are any.
    pub hold_reason: Option<HoldReason>,
    /// Due claims that are still there: failed, locked by somebody, held back by the brake, beyond
    /// the budget, or all of them in a dry run.
    pub remaining_due: u64,
    /// How long the oldest due claim had been due when the pass began, in milliseconds.
    pub oldest_due_age_ms: Option<u64>,
    /// Rows that retention removed: terminal claims and events.
    pub pruned: u64,
    /// Whether it only looked.
    pub dry_run: bool,
}

impl Summary {
    /// Says what a pass did; hardly anything when nothing happened.
    pub fn log(&self) {
        let Self {
            scanned, expired, failed, held_back, remaining_due, pruned, duration_ms, ..
        } = self;
        if expired + failed + held_back + remaining_due + pruned == 0 {
            tracing::debug!(scanned, duration_ms, "nothing is due; live claims: {scanned}");
            return;
        }
        tracing::info!(
            scanned,
            expired,
            failed,
            held_back,
            remaining_due,
            pruned,
            duration_ms,
            hold_reason = self.hold_reason.map(HoldReason::as_str),
            dry_run = self.dry_run,
            "expired: {expired}, failed: {failed}, held back: {held_back}, due and still there: \
             {remaining_due}, rows pruned: {pruned}"
        );
    }
}
