//! What the reaper costs a large installation: the length of a pass with nothing due and with much,
//! processor time at the default interval, heartbeats beside it, and the plans of its statements.
//!
//! The reaper that is measured is the real program with its default settings. A real server runs
//! beside it, because only what a server signs lets a reaper act (R6); its outage grace is 0, so that
//! a disk that is busy for 5 s does not count as an outage in the middle of a measurement.

mod beats;
pub(crate) mod daemon;
mod document;
pub(crate) mod due;
pub(crate) mod ground;
mod idle;
mod pass;
mod plans;
pub(crate) mod renewals;
pub(crate) mod report;
pub(crate) mod share;

use crate::machine;
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{progress, say};
use anyhow::{Result, ensure};
use claims::program::parse_length;
use clap::Args;
use ground::Ground;
use report::Report;
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The server's settings: see above.
pub(crate) const SERVER: [(&str, &str); 1] = [("CLAIM_OUTAGE_GRACE", "0")];
/// Most claims of one transaction, as the reaper has it and below and above.
const BATCHES: [u32; 3] = [100, 500, 2000];
/// Of the batches, the reaper's default.
pub(crate) const DEFAULT_BATCH: u32 = 500;
/// Fewest live claims that are worth it.
const LIVE_MIN: u32 = 1_000;
/// Shortest measurement of heartbeats: claims have to fall due and to be expired meanwhile.
const LOAD_MIN: Duration = Duration::from_secs(20);

/// Lengths of the reaper's passes over many live and finished claims, its processor time, and
/// heartbeats beside it.
///
/// Fills a private Postgres in the temporary folder (10 GB at the default sizes), takes over half an
/// hour, and writes reaper-performance.md with its plots and numbers.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// Live claims
    #[arg(long, default_value_t = 1_000_000)]
    live: u32,

    /// Finished claims
    #[arg(long, default_value_t = 5_000_000)]
    finished: u32,

    /// Claims that are due in a pass that has work; at most a tenth of the live ones
    #[arg(long, default_value_t = 100_000)]
    due: u32,

    /// Rounds of the measurements of a pass with the default batch
    #[arg(long, default_value_t = 3)]
    rounds: u32,

    /// Heartbeats a second while claims expire
    #[arg(long, default_value_t = 2_000)]
    rate: u32,

    /// How long a daemon is watched at its default interval while its self-check rests
    #[arg(long, default_value = "45s", value_parser = parse_length)]
    #[serde(skip)]
    idle: Duration,

    /// Length of each measurement of heartbeats
    #[arg(long, default_value = "40s", value_parser = parse_length)]
    #[serde(skip)]
    load: Duration,

    /// Folder of the document, its plots and numbers
    #[arg(long, default_value = "docs")]
    #[serde(skip)]
    out: PathBuf,
}

impl Settings {
    fn check(&self) -> Result<()> {
        ensure!(self.live >= LIVE_MIN, "--live must be at least {LIVE_MIN}");
        // Half of them would be the brake's business (R7).
        ensure!(
            self.due >= 1 && self.due <= self.live / 10,
            "--due must be 1 to a tenth of --live"
        );
        ensure!(self.rounds >= 1 && self.rate >= 1, "--rounds and --rate must be at least 1");
        ensure!(self.load >= LOAD_MIN, "--load must be at least {LOAD_MIN:?}");
        ensure!(self.out.is_dir(), "--out: {} is no folder", self.out.display());
        Ok(())
    }
}

/// Measures, prints, and writes the document.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    settings.check()?;
    let began = Instant::now();
    let stage = Stage::set()?;
    let mut ground = Ground::new(Sql::connect(stage.url())?)?;
    let mut server = Server::start(stage.url(), &SERVER)?;

    let idle = idle::passes(settings, &stage, &mut ground)?;
    let daemon = share::watch(&stage, &ground, settings.idle)?;
    let due = due::passes(settings, &stage, &mut ground)?;
    let beats = beats::measure(settings, &stage, &mut ground, server.address())?;
    let plans = plans::of_a_pass(settings, &stage, &mut ground)?;
    ground.check()?;
    server.check()?;

    let report = Report {
        machine: machine::describe(ground.sql())?,
        settings: settings.clone(),
        bytes: ground.bytes()?,
        idle,
        daemon,
        due,
        beats,
        plans,
        seconds: began.elapsed().as_secs(),
    };
    say(&document::table(&report)?)?;
    document::write(&report, &settings.out)?;
    progress(&format!("done after {} s", report.seconds));
    Ok(())
}
