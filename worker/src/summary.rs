//! What a pass did, for the log, for cron, and for whoever asks later.

use serde::Serialize;

/// Why due or lapsed claims were left alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldReason {
    /// The service was not able to hear heartbeats, or came back only just now (R6).
    OutageGrace,
}

impl HoldReason {
    /// The reason's stored name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutageGrace => "outage_grace",
        }
    }
}

/// Counts of one pass; the keys of the JSON summary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// When it began, RFC 3339 in UTC, by the database clock.
    pub started_at: String,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// Live claims that the scan saw.
    pub scanned: u64,
    /// Claims that it expired.
    pub expired: u64,
    /// Claims that the database refused to expire, one by one; skipped until the next pass.
    pub failed: u64,
    /// Lapsed claims that are protected for now.
    pub held_back: u64,
    /// Why, if any are.
    pub hold_reason: Option<HoldReason>,
    /// Due claims that are still there: locked by somebody, or failed.
    pub remaining_due: u64,
    /// How long the oldest due claim had been due, in milliseconds.
    pub oldest_due_age_ms: Option<u64>,
    /// Rows that retention removed.
    pub pruned: u64,
    /// Whether it only looked.
    pub dry_run: bool,
}
