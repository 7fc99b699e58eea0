//! One pass: scan once, then expire what is due, oldest first, batch by batch (R2).

use crate::summary::{HoldReason, Summary};
use claims::domain::{ClaimId, Timestamp};
use claims::program::Shutdown;
use claims::store::{PassRecord, ReapError, Reaped, Reaper};
use std::time::{Duration, Instant};

/// What a pass is told.
#[derive(Clone, Copy, Debug)]
pub struct PassSettings {
    /// How long after becoming takeable a claim is left alone (R1).
    pub reap_grace: Duration,
    /// Most claims of one transaction.
    pub batch: usize,
}

/// Makes one pass and records it. It ends early, between two batches, when the program is asked to
/// stop; nothing is ever half done, and what is left is found by the next pass.
pub async fn run_once(
    reaper: &mut Reaper,
    settings: PassSettings,
    shutdown: &Shutdown,
) -> Result<Summary, ReapError> {
    let began = Instant::now();
    let scan = reaper.scan(settings.reap_grace).await?;
    let due_until = scan.candidates.partition_point(|candidate| candidate.due_at <= scan.now);
    let (due, protected) = scan.candidates.split_at(due_until);

    let held_back = length(protected.len());
    let mut counts = Counts { held_back, failed: scan.unreadable, ..Counts::default() };
    let mut left = length(due.len());
    for batch in due.chunks(settings.batch.max(1)) {
        if shutdown.is_asked() {
            break;
        }
        let ids: Vec<ClaimId> = batch.iter().map(|candidate| candidate.id.clone()).collect();
        for reaped in reaper.expire(&ids, settings.reap_grace).await? {
            counts.add(&reaped);
        }
        left -= length(batch.len());
    }

    let oldest_due_age = due.first().map(|oldest| scan.now.since(oldest.due_at));
    let summary = Summary {
        started_at: rfc3339(scan.now),
        duration_ms: millis(began.elapsed()),
        scanned: scan.live,
        expired: counts.expired,
        failed: counts.failed,
        held_back: counts.held_back,
        hold_reason: (counts.held_back > 0).then_some(HoldReason::OutageGrace),
        remaining_due: left + counts.locked + counts.failed,
        oldest_due_age_ms: oldest_due_age.map(millis),
        pruned: 0,
        dry_run: false,
    };
    reaper.record(&record(&summary, scan.now, oldest_due_age)).await?;
    Ok(summary)
}

#[derive(Default)]
struct Counts {
    expired: u64,
    failed: u64,
    locked: u64,
    held_back: u64,
}

impl Counts {
    fn add(&mut self, reaped: &Reaped) {
        match reaped {
            Reaped::Expired { .. } => self.expired += 1,
            Reaped::Failed => self.failed += 1,
            Reaped::Locked => self.locked += 1,
            // Heard of, or ended, between the scan and now: nobody's loss.
            Reaped::NotDue | Reaped::AlreadyEnded => {}
        }
    }
}

fn record(summary: &Summary, started_at: Timestamp, oldest: Option<Duration>) -> PassRecord {
    PassRecord {
        started_at,
        scanned: summary.scanned,
        expired: summary.expired,
        failed: summary.failed,
        held_back: summary.held_back,
        hold_reason: summary.hold_reason.map(HoldReason::as_str),
        remaining_due: summary.remaining_due,
        oldest_due_age: oldest,
        pruned: summary.pruned,
    }
}

fn length(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn rfc3339(at: Timestamp) -> String {
    let since_1970 = at.since(Timestamp::BEFORE_ALL);
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since_1970).to_string()
}
