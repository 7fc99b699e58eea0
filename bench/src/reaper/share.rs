//! Which share of a core a daemon takes at its default interval while nothing is due.

use super::daemon::Daemon;
use super::ground::Ground;
use super::report::{DaemonShare, Share};
use crate::numbers::{Spread, float};
use crate::stage::Stage;
use crate::{cpu, progress};
use anyhow::{Context, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Watches Postgres without a reaper for half of `length`, because the server signs every 2 s with or
/// without one; then a daemon for `length` while its self-check rests, and on until that has made
/// another round.
pub(crate) fn watch(stage: &Stage, ground: &Ground, length: Duration) -> Result<DaemonShare> {
    ground.settle()?;
    let postgres = ground.sql().postmaster()?;
    progress(&format!("Postgres without a reaper, {:?}", length / 2));
    let began = Watch::begin(ground, None, postgres)?;
    sleep(length / 2);
    let alone = began.end(None, None)?;

    progress("a reaper at its default interval: first round of its self-check");
    let mut daemon = Daemon::start(stage, "share", &[])?;
    daemon.await_self_checks(1)?;
    let began = Watch::begin(ground, Some(&daemon), postgres)?;
    // The pass that ended the round may be told of only now.
    let first = daemon.passes()?.len() + 1;
    progress(&format!("… at rest, {length:?}"));
    sleep(length);
    let at_rest = began.end(Some(&daemon), Some(&alone))?;
    let passes = daemon.passes()?;
    let passes = passes.get(first..).context("passes")?.iter().map(|pass| pass.duration_ms);
    let pass_ms = Spread::of(passes);
    progress("… until the end of the next round");
    daemon.await_self_checks(2)?;
    let in_all = began.end(Some(&daemon), Some(&alone))?;
    let self_check_ms = *daemon.self_checks()?.last().context("a round")?;
    Ok(DaemonShare { alone, at_rest, pass_ms, self_check_ms, in_all })
}

/// A measurement that has begun.
struct Watch<'g> {
    ground: &'g Ground,
    began: Instant,
    reaper: Duration,
    postgres: Duration,
    wal: u64,
    postmaster: u32,
}

impl<'g> Watch<'g> {
    fn begin(ground: &'g Ground, daemon: Option<&Daemon>, postmaster: u32) -> Result<Self> {
        let reaper = daemon.map_or(Ok(Duration::ZERO), Daemon::cpu)?;
        let wal = ground.wal()?;
        let postgres = cpu::of_family(postmaster)?;
        Ok(Self { ground, began: Instant::now(), reaper, postgres, wal, postmaster })
    }

    /// Shares since the beginning, what Postgres does anyway taken off.
    fn end(&self, daemon: Option<&Daemon>, anyway: Option<&Share>) -> Result<Share> {
        let reaper = daemon.map_or(Ok(Duration::ZERO), Daemon::cpu)?;
        let postgres = cpu::of_family(self.postmaster)?;
        let seconds = self.began.elapsed().as_secs_f64();
        let wal = self.ground.wal()? - self.wal;
        let percent = |used: Duration| 100.0 * used.as_secs_f64() / seconds;
        let beyond = |all: f64, of: fn(&Share) -> f64| (all - anyway.map_or(0.0, of)).max(0.0);
        let postgres = percent(postgres.saturating_sub(self.postgres));
        let wal = float(wal)? / 1000.0 / seconds;
        Ok(Share {
            seconds,
            reaper_percent: percent(reaper.saturating_sub(self.reaper)),
            postgres_percent: beyond(postgres, |anyway| anyway.postgres_percent),
            wal_kb_per_second: beyond(wal, |anyway| anyway.wal_kb_per_second),
        })
    }
}
