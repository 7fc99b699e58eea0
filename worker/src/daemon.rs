//! The loop around the passes: it waits, logs and stops. One pass at a time; a pass that fails is
//! logged and the next interval tries again, so a database that is away ends no process.

use crate::pass::{Budget, Passes};
use crate::pulse::Pulse;
use claims::chain;
use claims::program::Shutdown;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Share of the interval by which each wait is longer or shorter at random, so that many daemons do
/// not scan together for ever.
const JITTER: f64 = 0.1;
/// Share of the interval after whose end a pass begins no other step of upkeep: the next pass must
/// come in time.
const UPKEEP: f64 = 0.5;

/// Makes a pass each interval until asked to stop; a pass in progress ends with its step.
pub async fn run(passes: &mut Passes, interval: Duration, pulse: &Pulse, shutdown: &Shutdown) {
    let budget = Budget { pass: None, upkeep: Some(interval.mul_f64(UPKEEP)) };
    // Daemons that start together shall not make their first pass together either.
    let mut next = Instant::now() + interval.mul_f64(UPKEEP * random_share());
    let mut failing = false;
    loop {
        tokio::select! {
            () = shutdown.asked() => return,
            () = sleep_until(next) => {}
        }
        next = Instant::now() + interval.mul_f64(1.0 + JITTER * (2.0 * random_share() - 1.0));
        match passes.run_once(budget).await {
            Ok(outcome) => {
                pulse.beat();
                if std::mem::take(&mut failing) {
                    tracing::info!("the reaper's passes succeed again");
                }
                outcome.summary.log();
            }
            Err(error) => {
                failing = true;
                tracing::error!(error = %chain(&error), "a pass of the reaper failed");
            }
        }
    }
}

/// Between 0 and 1; without randomness of the operating system, in the middle.
fn random_share() -> f64 {
    getrandom::u32().map_or(0.5, |random| f64::from(random) / f64::from(u32::MAX))
}
