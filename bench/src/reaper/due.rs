//! Passes with much to do: claims that have been due for more than a minute, batch by batch.

use super::daemon::Daemon;
use super::ground::{Claims, Ground};
use super::report::{DuePass, DuePasses};
use super::{BATCHES, DEFAULT_BATCH, Settings};
use crate::numbers::{float, grouped, millis};
use crate::stage::Stage;
use crate::{cpu, progress};
use anyhow::{Result, ensure};

/// How long ago the leases ended, in seconds: longer than the reap grace and the brake's span, so
/// that no pass holds any of them back (R7).
const LAPSED_AGO: (f64, f64) = (-170.0, -70.0);

/// Several rounds with the default size of batches, one with each other size; each with as many live
/// claims and as many due.
pub(crate) fn passes(
    settings: &Settings,
    stage: &Stage,
    ground: &mut Ground,
) -> Result<Vec<DuePasses>> {
    let mut sizes = Vec::new();
    for batch in BATCHES {
        let mut passes = Vec::new();
        let rounds = if batch == DEFAULT_BATCH { settings.rounds } else { 1 };
        for round in 1..=rounds {
            let due = grouped(settings.due.into());
            progress(&format!("{due} due in batches of {batch}, round {round}"));
            ground.grow_to(Claims { live: settings.live, finished: 0 })?;
            passes.push(pass(stage, ground, settings.due, batch)?);
        }
        sizes.push(DuePasses { batch, passes });
    }
    Ok(sizes)
}

/// One pass of a daemon that is at rest until then.
pub(crate) fn pass(stage: &Stage, ground: &mut Ground, due: u32, batch: u32) -> Result<DuePass> {
    let postmaster = ground.sql().postmaster()?;
    let most = batch.to_string();
    let mut daemon = Daemon::start(stage, "due", &[("CLAIM_REAP_BATCH", &most)])?;
    ground.settle()?;
    daemon.await_self_checks(1)?;
    let before = daemon.passes()?.len();
    lapse(ground, due)?;
    let (reaper, postgres) = (daemon.cpu()?, cpu::of_family(postmaster)?);
    let wal = ground.wal()?;
    let told = daemon.await_expiry(before)?;
    let reaper_cpu_ms = millis(daemon.cpu()?.saturating_sub(reaper));
    let postgres_cpu_ms = millis(cpu::of_family(postmaster)?.saturating_sub(postgres));
    let wal = float(ground.wal()? - wal)?;
    ensure!(told.expired == u64::from(due), "expired {} of {due}", told.expired);
    ground.expired(due);
    Ok(DuePass {
        expired: due,
        duration_ms: told.duration_ms,
        reaper_cpu_ms,
        postgres_cpu_ms,
        wal_kb_per_claim: wal / 1000.0 / f64::from(due),
    })
}

/// Makes that many claims due, all at once, and nothing else.
pub(crate) fn lapse(ground: &mut Ground, count: u32) -> Result<()> {
    ground.sql().batch("CHECKPOINT")?;
    ground.age(count, LAPSED_AGO.0, LAPSED_AGO.1)
}
