//! Passes with nothing due, at one size after the other.

use super::daemon::Daemon;
use super::ground::{Claims, Ground};
use super::report::IdlePasses;
use super::{Settings, pass};
use crate::numbers::{Spread, grouped};
use crate::progress;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};

/// Shares of the claims at which it is measured: one in so many; the last is all of them.
const SIZES: [u32; 3] = [100, 10, 1];
/// Passes of a daemon at each size.
const PASSES: usize = 15;
/// Shorter than the default, to see as many passes in less time.
const INTERVAL: &str = "1s";

/// Fills the database as it goes on.
pub(crate) fn passes(
    settings: &Settings,
    stage: &Stage,
    ground: &mut Ground,
) -> Result<Vec<IdlePasses>> {
    let mut sizes = Vec::new();
    for share in SIZES {
        let claims = Claims { live: settings.live / share, finished: settings.finished / share };
        ground.grow_to(claims)?;
        ground.settle()?;
        let live = grouped(claims.live.into());
        progress(&format!("nothing due among {live}: a daemon"));
        let daemon_ms = at_rest(stage)?;
        let mut once = Vec::new();
        for round in 1..=settings.rounds {
            progress(&format!("nothing due among {live}: --once, round {round}"));
            let pass = pass::once(stage, ground, stage.url())?;
            ensure!(pass.summary.scanned == u64::from(claims.live), "{:?}", pass.summary);
            ensure!(pass.summary.expired == 0, "something was due: {:?}", pass.summary);
            once.push(pass);
        }
        sizes.push(IdlePasses { claims, daemon_ms, once });
    }
    Ok(sizes)
}

/// Lengths of a daemon's passes while its self-check rests.
fn at_rest(stage: &Stage) -> Result<Spread> {
    let mut daemon = Daemon::start(stage, "idle", &[("CLAIM_REAPER_INTERVAL", INTERVAL)])?;
    daemon.await_self_checks(1)?;
    // The line of the pass that ended the round follows that of the round.
    let first = daemon.passes()?.len() + 1;
    daemon.await_passes(first + PASSES)?;
    let passes = daemon.passes()?;
    let passes = passes.get(first..).context("passes")?;
    ensure!(passes.iter().all(|pass| pass.expired == 0), "something was due");
    Ok(Spread::of(passes.iter().map(|pass| pass.duration_ms)))
}
