//! One bounded pass: scan once, expire what is due, the oldest first, batch by batch (R2), look
//! whether the rows agree with each other, and remove what is older than the retention (T1).

use crate::bounds::Until;
use crate::count;
use crate::metrics::Metrics;
use crate::plan::Plan;
use crate::self_check::SelfCheck;
use crate::summary::Summary;
use claims::domain::{Brake, ClaimId, HoldReason, Timestamp};
use claims::program::Shutdown;
use claims::store::{Candidate, PassRecord, ReapError, Reaped, Reaper, Scan};
use std::time::{Duration, Instant};

/// Claims that a dry run names one by one.
const NAMED_MAX: usize = 100;
/// Longest scan of a pass without a budget; the store has the same bound.
const SCAN_MAX: Duration = Duration::from_secs(30);

/// What a pass is told.
#[derive(Clone, Copy, Debug)]
pub struct PassSettings {
    /// How long after becoming takeable a claim is left alone (R1).
    pub reap_grace: Duration,
    /// Most claims of one transaction.
    pub batch: usize,
    /// The brake against mass expiry (R7).
    pub brake: Brake,
    /// How long terminal claims and events are kept (T1).
    pub retention: Duration,
    /// Change nothing.
    pub dry_run: bool,
    /// Expire what is due.
    pub reap: bool,
    /// Remove what is older than the retention.
    pub prune: bool,
}

/// How long a pass may go on; it ends between two steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    /// For the whole pass.
    pub pass: Option<Duration>,
    /// For self-check and pruning, counted from the beginning of the pass; each takes a step at
    /// least.
    pub upkeep: Option<Duration>,
}

/// What a pass came to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Its counts.
    pub summary: Summary,
    /// Rows found by the self-check that contradict each other.
    pub findings: u64,
}

/// What the passes of one process share.
pub struct Passes {
    reaper: Reaper,
    settings: PassSettings,
    metrics: Metrics,
    self_check: SelfCheck,
    shutdown: Shutdown,
}

impl Passes {
    /// Passes over that database; none is made yet.
    #[must_use]
    pub fn new(
        reaper: Reaper,
        settings: PassSettings,
        metrics: Metrics,
        shutdown: Shutdown,
    ) -> Self {
        Self { reaper, settings, metrics, self_check: SelfCheck::due(), shutdown }
    }

    /// Makes one pass and records it. It ends early, between two steps, when its budget is used up
    /// or the program is asked to stop; nothing is ever half done, and what is left is found by the
    /// next pass.
    pub async fn run_once(&mut self, budget: Budget) -> Result<Outcome, ReapError> {
        let began = Instant::now();
        let shutdown = self.shutdown.clone();
        let until = |length: Option<Duration>| {
            let length = length.into_iter().chain(budget.pass).min();
            Until::new(length.map(|length| began + length), &shutdown)
        };
        let scan = self.scan(until(None)).await?;
        let plan = Plan::of(&scan, &self.settings.brake);
        self.tell_what_is_held(&scan, &plan);
        let swept = self.sweep(&plan, until(None)).await?;

        // A failure of what follows must not hide what was expired.
        let upkeep = until(budget.upkeep);
        let checked = self.self_check(upkeep).await;
        let pruned = self.prune(upkeep).await;
        let (pruned_rows, pruning) = (pruned.rows, pruned.ended);
        let summary = self.summary(&scan, &plan, &swept, pruned_rows, began.elapsed());
        if !self.settings.dry_run {
            self.reaper.record(&record(&scan, &plan, &swept, &summary)).await?;
        }
        let findings = checked?;
        pruning?;
        self.metrics.passed(began.elapsed());
        Ok(Outcome { summary, findings })
    }

    async fn scan(&mut self, until: Until<'_>) -> Result<Scan, ReapError> {
        let PassSettings { reap_grace, brake, .. } = self.settings;
        let limit = until.remaining(SCAN_MAX);
        let scan = self.reaper.scan_within(reap_grace, brake.span, limit).await?;
        self.metrics.scanned(&scan);
        Ok(scan)
    }

    /// R6 and R7: what is held and why is said loudly.
    fn tell_what_is_held(&self, scan: &Scan, plan: &Plan<'_>) {
        self.metrics.held_back(plan.held_back());
        let protected = plan.protected.len();
        if protected > 0 {
            tracing::info!(
                hold_reason = HoldReason::OutageGrace.as_str(),
                "lapsed claims held back: {protected}; no server signs, or the service came back \
                 from an outage just now, and their holders have yet to be heard"
            );
        }
        let (braked, active) = (plan.braked.len(), scan.active);
        if braked > 0 {
            let span = self.settings.brake.span;
            tracing::warn!(
                hold_reason = HoldReason::Brake.as_str(),
                "the brake holds back claims: {braked}; of {active} active ones so many became due \
                 within {span:?} that a fault is likelier than their holders' deaths; they are \
                 expired once they have been due for that long, or by --once --override-brake"
            );
        }
    }

    /// Expires what the plan says.
    async fn sweep(&mut self, plan: &Plan<'_>, until: Until<'_>) -> Result<Swept, ReapError> {
        let mut swept = Swept::default();
        plan.braked.iter().for_each(|candidate| swept.leave(candidate));
        let PassSettings { reap_grace, batch, brake, dry_run, reap, .. } = self.settings;
        if dry_run || !reap {
            if dry_run {
                name_some(plan.expire);
            }
            plan.expire.iter().for_each(|candidate| swept.leave(candidate));
            return Ok(swept);
        }
        for batch in plan.batches(batch) {
            if until.is_over() {
                batch.iter().for_each(|candidate| swept.leave(candidate));
                continue;
            }
            let ids: Vec<ClaimId> = batch.iter().map(|candidate| candidate.id.clone()).collect();
            let stop = || until.is_over();
            let reaped = self.reaper.expire_until(&ids, reap_grace, stop).await?;
            for (candidate, reaped) in batch.iter().zip(&reaped) {
                swept.add(candidate, reaped, &brake);
                if let Reaped::Expired { due_at, expired_at } = reaped {
                    self.metrics.expired(*due_at, *expired_at);
                }
            }
        }
        Ok(swept)
    }

    async fn self_check(&mut self, until: Until<'_>) -> Result<u64, ReapError> {
        self.self_check.advance(&mut self.reaper, &self.metrics, until).await
    }

    /// Whether the self-check still has a part of its round to do.
    #[must_use]
    pub fn self_check_is_unfinished(&self) -> bool {
        self.self_check.is_unfinished()
    }

    /// Removes old rows step by step until none is left.
    async fn prune(&mut self, until: Until<'_>) -> Pruned {
        let mut rows = 0;
        if self.settings.dry_run || !self.settings.prune || until.is_stopped() {
            return Pruned { rows, ended: Ok(()) };
        }
        loop {
            match self.reaper.prune_step(self.settings.retention).await {
                Ok(step) if step.rows() == 0 => return Pruned { rows, ended: Ok(()) },
                Ok(step) => rows += step.rows(),
                Err(error) => return Pruned { rows, ended: Err(error) },
            }
            if until.is_over() {
                return Pruned { rows, ended: Ok(()) };
            }
        }
    }

    fn summary(
        &self,
        scan: &Scan,
        plan: &Plan<'_>,
        swept: &Swept,
        pruned: u64,
        took: Duration,
    ) -> Summary {
        let oldest = plan.oldest_due().map(|oldest| scan.now.since(oldest.due_at));
        Summary {
            started_at: rfc3339(scan.now),
            duration_ms: millis(took),
            scanned: scan.live,
            expired: swept.expired,
            failed: swept.failed + scan.unreadable,
            held_back: plan.held_back(),
            hold_reason: plan.hold_reason(),
            remaining_due: swept.left + scan.unreadable,
            oldest_due_age_ms: oldest.map(millis),
            pruned,
            dry_run: self.settings.dry_run,
        }
    }
}

/// How far pruning came.
struct Pruned {
    rows: u64,
    ended: Result<(), ReapError>,
}

/// What became of the due claims.
#[derive(Default)]
struct Swept {
    expired: u64,
    expired_fresh: u64,
    failed: u64,
    /// Due and still there.
    left: u64,
    oldest_left_due_at: Option<Timestamp>,
}

impl Swept {
    fn leave(&mut self, candidate: &Candidate) {
        self.left += 1;
        let oldest = self.oldest_left_due_at.unwrap_or(candidate.due_at);
        self.oldest_left_due_at = Some(oldest.min(candidate.due_at));
    }

    fn add(&mut self, candidate: &Candidate, reaped: &Reaped, brake: &Brake) {
        match reaped {
            Reaped::Expired { due_at, expired_at } => {
                self.expired += 1;
                let is_fresh = brake.is_fresh(*due_at, *expired_at);
                self.expired_fresh += u64::from(candidate.active && is_fresh);
            }
            Reaped::Failed => {
                self.failed += 1;
                self.leave(candidate);
            }
            Reaped::Locked | Reaped::NotTried => self.leave(candidate),
            // Heard of, or ended, between the scan and now: nobody's loss.
            Reaped::NotDue | Reaped::AlreadyEnded => {}
        }
    }
}

fn record(scan: &Scan, plan: &Plan<'_>, swept: &Swept, summary: &Summary) -> PassRecord {
    PassRecord {
        started_at: scan.now,
        scanned: summary.scanned,
        expired: summary.expired,
        expired_fresh: swept.expired_fresh,
        failed: summary.failed,
        held_back: summary.held_back,
        hold_reason: summary.hold_reason,
        remaining_due: summary.remaining_due,
        oldest_remaining_due_at: swept.oldest_left_due_at,
        oldest_due_age: plan.oldest_due().map(|oldest| scan.now.since(oldest.due_at)),
        pruned: summary.pruned,
    }
}

/// A dry run names what it would have expired.
fn name_some(candidates: &[Candidate]) {
    for Candidate { id, .. } in candidates.iter().take(NAMED_MAX) {
        let (tenant, consumer, epoch) = (&id.tenant, &id.consumer, id.epoch.get());
        tracing::info!(%tenant, %consumer, epoch, "claim {id} would be expired");
    }
    if let Some(others) = count(candidates.len()).checked_sub(count(NAMED_MAX)).filter(|n| *n > 0) {
        tracing::info!(others, "{others} more would be expired");
    }
}

fn millis(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn rfc3339(at: Timestamp) -> String {
    let since_1970 = at.since(Timestamp::BEFORE_ALL);
    humantime::format_rfc3339_millis(std::time::UNIX_EPOCH + since_1970).to_string()
}
