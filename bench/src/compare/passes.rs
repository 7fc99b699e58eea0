//! The reaper over many live claims: a pass with nothing due, what a daemon takes of a core at its
//! default interval, and a pass with much due. More sizes are in the reaper's own page.

use super::goals::Goal;
use super::section::Section;
use super::settings::Settings;
use crate::numbers::{Spread, grouped, rounded};
use crate::programs::Server;
use crate::reaper::ground::{Claims, Ground};
use crate::reaper::report::{DuePass, Share, per_second};
use crate::reaper::{self, due, share};
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::Result;
use serde::Serialize;
use std::time::Duration;

/// How long a daemon is watched while its self-check rests.
const WATCHED: Duration = Duration::from_secs(30);
const WATCHED_QUICK: Duration = Duration::from_secs(12);
/// Of the live claims, one in so many falls due.
const DUE_SHARE: u32 = 10;
const IDLE_MOST_MS: f64 = 150.0;
const SHARE_MOST_PERCENT: f64 = 3.0;
const DUE_LEAST: f64 = 20_000.0;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Passes {
    pub(crate) claims: Claims,
    /// Lengths of a daemon's passes with nothing due while its self-check rests.
    pub(crate) idle_ms: Spread,
    pub(crate) at_rest: Share,
    /// With a round of the self-check; not in a short run.
    pub(crate) in_all: Option<Share>,
    pub(crate) due: DuePass,
}

/// Fills and measures.
pub(crate) fn measure(settings: &Settings) -> Result<Passes> {
    let claims = Claims { live: settings.live, finished: settings.live };
    let stage = Stage::over_tcp()?;
    let mut ground = Ground::new(Sql::connect(stage.url())?)?;
    let mut server = Server::start(stage.url(), &reaper::SERVER)?;
    ground.grow_to(claims)?;
    let watched = if settings.quick { WATCHED_QUICK } else { WATCHED };
    let resting = share::at_rest(&stage, &ground, watched)?;
    let (idle_ms, at_rest) = (resting.pass_ms, resting.at_rest);
    let in_all = match settings.quick {
        true => {
            drop(resting);
            None
        }
        false => Some(resting.until_next_round()?.in_all),
    };
    let due = due::pass(&stage, &mut ground, claims.live / DUE_SHARE, reaper::DEFAULT_BATCH)?;
    ground.check()?;
    server.check()?;
    Ok(Passes { claims, idle_ms, at_rest, in_all, due })
}

impl Passes {
    /// Of one core, of the reaper and of Postgres for it.
    fn percent(share: &Share) -> f64 {
        share.reaper_percent + share.postgres_percent
    }
}

impl Section for Passes {
    fn goals(&self) -> Result<Vec<Goal>> {
        let among = format!("among {} live claims", grouped(self.claims.live.into()));
        let share = Self::percent(self.in_all.as_ref().unwrap_or(&self.at_rest));
        let speed = per_second(&self.due);
        Ok(vec![
            Goal {
                what: format!("reaper {among}: a pass with nothing due"),
                goal: format!("≤ {IDLE_MOST_MS} ms"),
                measured: format!("{} ms", self.idle_ms),
                met: self.idle_ms.median <= IDLE_MOST_MS,
            },
            Goal {
                what: format!("reaper {among}: share of a core at the default interval"),
                goal: format!("≤ {SHARE_MOST_PERCENT} %"),
                measured: format!("{share:.2} %"),
                met: share <= SHARE_MOST_PERCENT,
            },
            Goal {
                what: format!("reaper {among}: {} due", grouped(self.due.expired.into())),
                goal: format!("≥ {} /s", grouped(DUE_LEAST)),
                measured: format!("{} /s", grouped(speed)),
                met: speed >= DUE_LEAST,
            },
        ])
    }

    fn text(&self, _settings: &Settings) -> Result<String> {
        let in_all = self.in_all.as_ref().map_or_else(
            || "not measured in a short run".to_owned(),
            |share| format!("{:.2} % over {:.0} s", Self::percent(share), share.seconds),
        );
        Ok(format!(
            "## The reaper

A `claim-reaper` with its default settings over {live} live and {finished} finished claims; the server runs \
with `CLAIM_OUTAGE_GRACE=0`, so that a busy disk is no outage. Shares are of one core, of the reaper's \
process and of Postgres beyond what it does without. {due} claims are then made due at once, after a \
checkpoint. More sizes are [on a page of their own](reaper-performance.md).

| | |
|---|---|
| a pass with nothing due, ms | {idle} |
| share of a core at the default interval, self-check at rest | {at_rest:.2} % over {seconds:.0} s |
| … with a round of the self-check | {in_all} |
| a pass with {due} due, claims/s | {speed} |
| its length, ms | {length} |
| its processor time, the reaper's and Postgres's, ms | {reaper}, {postgres} |
| its WAL, kB for each claim | {wal} |
",
            live = grouped(self.claims.live.into()),
            finished = grouped(self.claims.finished.into()),
            due = grouped(self.due.expired.into()),
            idle = self.idle_ms,
            at_rest = Self::percent(&self.at_rest),
            seconds = self.at_rest.seconds,
            speed = grouped(per_second(&self.due)),
            length = rounded(self.due.duration_ms),
            reaper = rounded(self.due.reaper_cpu_ms),
            postgres = rounded(self.due.postgres_cpu_ms),
            wal = rounded(self.due.wal_kb_per_claim),
        ))
    }
}
