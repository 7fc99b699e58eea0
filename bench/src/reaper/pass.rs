//! One complete pass as cron would have it, and what it cost: `--once` connects, and besides the sweep
//! makes a round of the self-check and prunes.

use super::ground::Ground;
use crate::cpu;
use crate::numbers::millis;
use crate::programs::program;
use crate::stage::Stage;
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::process::Stdio;
use std::time::Instant;

/// What the program says of its pass.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Summary {
    pub(crate) duration_ms: f64,
    pub(crate) scanned: u64,
    pub(crate) expired: u64,
    pub(crate) failed: u64,
    pub(crate) held_back: u64,
    pub(crate) remaining_due: u64,
    pub(crate) pruned: u64,
}

/// A pass as measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pass {
    pub(crate) summary: Summary,
    /// From the start of the process to its end.
    pub(crate) wall_ms: f64,
    /// Processor time of the process.
    pub(crate) reaper_cpu_ms: f64,
    /// Processor time of Postgres meanwhile, all its processes.
    pub(crate) postgres_cpu_ms: f64,
}

/// Runs `claim-reaper --once --json`. Fails if it does not end with 0 or leaves anything undone.
pub(crate) fn once(stage: &Stage, ground: &Ground, url: &str) -> Result<Pass> {
    let postmaster = ground.sql().postmaster()?;
    let mut command = program("claim-reaper", url)?;
    command.args(["--once", "--json"]);
    command.current_dir(stage.folder()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let (reaper, postgres) = (cpu::of_ended_children()?, cpu::of_family(postmaster)?);
    let began = Instant::now();
    let output = command.output().context("claim-reaper does not run")?;
    let wall_ms = millis(began.elapsed());
    let postgres_cpu_ms = millis(cpu::of_family(postmaster)?.saturating_sub(postgres));
    let reaper_cpu_ms = millis(cpu::of_ended_children()?.saturating_sub(reaper));
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() {
        bail!("claim-reaper ended with {}: {text}", output.status);
    }
    let summary: Summary = serde_json::from_str(&text).context("the summary of a pass")?;
    if summary.failed + summary.held_back + summary.remaining_due + summary.pruned > 0 {
        bail!("the pass did other things than it should: {summary:?}");
    }
    Ok(Pass { summary, wall_ms, reaper_cpu_ms, postgres_cpu_ms })
}
