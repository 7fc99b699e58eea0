//! What was measured, as it is kept beside the document.

use super::Settings;
use super::ground::Claims;
use super::pass::Pass;
use super::plans::Plan;
use crate::load::OpenLoad;
use crate::machine::Machine;
use crate::numbers::Spread;
use serde::Serialize;

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    pub(crate) settings: Settings,
    /// Size of the database at the end.
    pub(crate) bytes: u64,
    pub(crate) idle: Vec<IdlePasses>,
    pub(crate) daemon: DaemonShare,
    pub(crate) due: Vec<DuePasses>,
    pub(crate) beats: BeatsBeside,
    pub(crate) plans: Vec<Plan>,
    /// How long the whole run took.
    pub(crate) seconds: u64,
}

/// Passes with nothing due among so many claims.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct IdlePasses {
    pub(crate) claims: Claims,
    /// Lengths of a daemon's passes while its self-check rests.
    pub(crate) daemon_ms: Spread,
    /// Complete passes by `--once`.
    pub(crate) once: Vec<Pass>,
}

/// Passes with much due, in batches of one size.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DuePasses {
    pub(crate) batch: u32,
    pub(crate) passes: Vec<DuePass>,
}

/// One of them, of a daemon.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DuePass {
    pub(crate) expired: u32,
    pub(crate) duration_ms: f64,
    pub(crate) reaper_cpu_ms: f64,
    pub(crate) postgres_cpu_ms: f64,
    /// Write-ahead log.
    pub(crate) wal_kb_per_claim: f64,
}

/// A daemon at its default interval with nothing due.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct DaemonShare {
    /// What the server alone makes Postgres do; taken off below.
    pub(crate) alone: Share,
    /// While the self-check rests.
    pub(crate) at_rest: Share,
    /// Passes meanwhile.
    pub(crate) pass_ms: Spread,
    /// From the end of one round of the self-check to the end of the next.
    pub(crate) in_all: Share,
    /// What the second round took of that.
    pub(crate) self_check_ms: f64,
}

/// Shares of one core, and what was written, over some time.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Share {
    pub(crate) seconds: f64,
    pub(crate) reaper_percent: f64,
    pub(crate) postgres_percent: f64,
    /// Write-ahead log.
    pub(crate) wal_kb_per_second: f64,
}

/// Heartbeats alone and beside two reapers at work.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BeatsBeside {
    pub(crate) holders: u32,
    /// Claims that fell due.
    pub(crate) due: u32,
    /// How many of them expired meanwhile.
    pub(crate) expired: u64,
    pub(crate) alone: Beats,
    pub(crate) beside: Beats,
}

/// Heartbeats at a rate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Beats {
    pub(crate) heap_only_percent: f64,
    pub(crate) measured: OpenLoad,
}

/// A number of each of some passes.
pub(crate) fn spread<P>(passes: &[P], of: impl Fn(&P) -> f64) -> Spread {
    Spread::of(passes.iter().map(of).collect::<Vec<f64>>().into_iter())
}

/// Claims that a pass expired a second.
pub(crate) fn per_second(pass: &DuePass) -> f64 {
    f64::from(pass.expired) / pass.duration_ms.max(1.0) * 1000.0
}
