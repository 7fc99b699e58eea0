//! The loop around the passes: it waits, logs and stops. One pass at a time; a pass that fails is
//! logged and the next interval tries again, so a database that is away ends no process.

use crate::pass::{PassSettings, run_once};
use crate::summary::Summary;
use claims::chain;
use claims::program::Shutdown;
use claims::store::Reaper;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Share of the interval by which the first pass of a daemon is put off at random, so that many
/// daemons that start together do not scan together.
const START_JITTER: f64 = 0.5;

/// Makes a pass each interval until asked to stop; a pass in progress ends with its batch.
pub async fn run(
    reaper: &mut Reaper,
    settings: PassSettings,
    interval: Duration,
    shutdown: &Shutdown,
) {
    let first = Instant::now() + interval.mul_f64(START_JITTER * random_share());
    let mut ticks = interval_at(first, interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failing = false;
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            _ = ticks.tick() => {}
        }
        match run_once(reaper, settings, shutdown).await {
            Ok(summary) => {
                if failing {
                    tracing::info!("the reaper's passes succeed again");
                }
                failing = false;
                log_pass(&summary);
            }
            Err(error) => {
                failing = true;
                tracing::error!(error = %chain(&error), "a pass of the reaper failed");
            }
        }
    }
}

/// Says what a pass did; nothing when nothing happened.
pub fn log_pass(summary: &Summary) {
    let Summary { scanned, expired, failed, held_back, remaining_due, duration_ms, .. } = summary;
    if expired + failed + held_back + remaining_due == 0 {
        tracing::debug!(scanned, duration_ms, "nothing is due among {scanned} live claims");
        return;
    }
    tracing::info!(
        scanned,
        expired,
        failed,
        held_back,
        remaining_due,
        duration_ms,
        hold_reason = summary.hold_reason.map(crate::summary::HoldReason::as_str),
        "expired {expired} claims; {failed} failed, {held_back} are held back, \
         {remaining_due} due ones remain"
    );
}

/// Between 0 and 1; without randomness of the operating system, in the middle.
fn random_share() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
