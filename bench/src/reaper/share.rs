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

/// A daemon that has been watched while its self-check rests.
pub(crate) struct Resting<'g> {
    daemon: Daemon,
    began: Watch<'g>,
    pub(crate) alone: Share,
    pub(crate) at_rest: Share,
    pub(crate) pass_ms: Spread,
}

/// Watches Postgres without a reaper for half of `length`, because the server signs every 2 s with or
/// without one; then a daemon for `length` while its self-check rests.
pub(crate) fn at_rest<'g>(
    stage: &Stage,
    ground: &'g Ground,
    length: Duration,
) -> Result<Resting<'g>> {
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
    Ok(Resting { pass_ms: Spread::of(passes), daemon, began, alone, at_rest })
}

impl Resting<'_> {
    /// Watches it on until its self-check has made another round.
    pub(crate) fn until_next_round(mut self) -> Result<DaemonShare> {
        progress("… until the end of the next round");
        self.daemon.await_self_checks(2)?;
        let in_all = self.began.end(Some(&self.daemon), Some(&self.alone))?;
        let self_check_ms = *self.daemon.self_checks()?.last().context("a round")?;
        let Self { alone, at_rest, pass_ms, .. } = self;
        Ok(DaemonShare { alone, at_rest, pass_ms, self_check_ms, in_all })
    }
}

/// Watches a daemon at rest, and on until its self-check has made another round.
pub(crate) fn watch(stage: &Stage, ground: &Ground, length: Duration) -> Result<DaemonShare> {
    at_rest(stage, ground, length)?.until_next_round()
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
