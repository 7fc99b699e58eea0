//! The self-check at its own pace: it walks on in the time that passes have left, and rests after
//! each round.

use crate::bounds::Until;
use crate::metrics::Metrics;
use claims::store::{Finding, ReapError, Reaper, Walk};
use std::time::{Duration, Instant};

/// From the beginning of one round to that of the next.
const INTERVAL: Duration = Duration::from_secs(60);
/// A round that took long is followed by a rest this many times as long, so that the check never
/// takes more than a small share of a core.
const REST: u32 = 50;
/// Findings of one round that are logged one by one; the others are only counted.
const LOGGED_MAX: u64 = 100;

/// A self-check that is due, under way, or at rest.
#[derive(Debug)]
pub(crate) struct SelfCheck {
    due_at: Instant,
    round: Option<Round>,
}

#[derive(Debug)]
struct Round {
    began: Instant,
    walk: Walk,
    spent: Duration,
    findings: u64,
}

impl SelfCheck {
    /// One that is due at once.
    pub(crate) fn due() -> Self {
        Self { due_at: Instant::now(), round: None }
    }

    /// A round is under way.
    pub(crate) fn is_unfinished(&self) -> bool {
        self.round.is_some()
    }

    /// Walks on, at least one step if a round is due, and reports each finding: how many there are.
    pub(crate) async fn advance(
        &mut self,
        reaper: &mut Reaper,
        metrics: &Metrics,
        until: Until<'_>,
    ) -> Result<u64, ReapError> {
        let began = Instant::now();
        if until.is_stopped() || (self.round.is_none() && began < self.due_at) {
            return Ok(0);
        }
        let round = self.round.get_or_insert_with(|| Round {
            began,
            walk: Walk::default(),
            spent: Duration::ZERO,
            findings: 0,
        });
        let before = round.findings;
        loop {
            let findings = reaper.check_step(&mut round.walk).await?;
            let double_holds = findings.iter().filter(|finding| finding.is_double_hold()).count();
            metrics.found_double_holds(crate::count(double_holds));
            findings.iter().for_each(|finding| round.report(finding));
            if round.walk.is_over() || until.is_over() {
                break;
            }
        }
        round.spent += began.elapsed();
        let found = round.findings - before;
        if round.walk.is_over() {
            self.due_at = (round.began + INTERVAL).max(Instant::now() + round.spent * REST);
            round.end();
            self.round = None;
        }
        Ok(found)
    }
}

impl Round {
    fn report(&mut self, finding: &Finding) {
        self.findings += 1;
        if self.findings <= LOGGED_MAX {
            tracing::error!("self-check: {finding}");
        }
    }

    fn end(&self) {
        let (findings, spent_ms) = (self.findings, self.spent.as_millis());
        if findings > LOGGED_MAX {
            tracing::error!(findings, "self-check: {findings} findings, {LOGGED_MAX} are told");
        }
        tracing::debug!(findings, spent_ms, "self-check: a round is over; findings: {findings}");
    }
}
