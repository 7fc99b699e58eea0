//! What can be chosen, and a short form.

use super::heartbeats::BATCH;
use anyhow::{Context, Result, ensure};
use claims::program::parse_length;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Heartbeats that may wait in the server at its default settings; more are refused.
const WAITING_MAX: u32 = 8_192;
/// Most streams of one connection, as the server has it.
const CONNECTION_STREAMS_MAX: u32 = 1_024;

/// Heartbeats by every way beside plain SQL, memory of the server with many KeepAlive streams, and
/// watchers that are cut off at random while claims are minted and done.
///
/// Runs a private Postgres in the temporary folder and the server beside this program, takes about
/// ten minutes, and writes fleet-performance.md with its plot and numbers. What watchers saw is
/// compared with the table; a difference, or a heartbeat that was not accepted, is an error.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// Callers of heartbeats: of unary calls, and streams
    #[arg(long, default_value_t = 64)]
    pub(crate) callers: u32,

    /// Heartbeats under way of each stream, in the second measurement of streams
    #[arg(long, default_value_t = 32)]
    pub(crate) under_way: u32,

    /// Callers of batches of 500
    #[arg(long, default_value_t = 8)]
    pub(crate) batch_callers: u32,

    /// Claims that are held
    #[arg(long, default_value_t = 10_000)]
    pub(crate) claims: u32,

    /// Length of each measurement of heartbeats
    #[arg(long, default_value = "5s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) length: Duration,

    /// Rounds of the measurements of heartbeats
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,

    /// Numbers of open streams with which the server's memory is measured, besides none; rising
    #[arg(long, default_value = "1000,10000", value_delimiter = ',')]
    pub(crate) streams: Vec<u32>,

    /// Connections that these streams share
    #[arg(long, default_value_t = 100)]
    pub(crate) connections: u32,

    /// How long the streams are idle before memory is read
    #[arg(long, default_value = "15s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) idle: Duration,

    /// How long each of them heartbeats
    #[arg(long, default_value = "60s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) beats: Duration,

    /// From one heartbeat of a stream to its next
    #[arg(long, default_value = "10s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) interval: Duration,

    /// Mints a second, and as many dones, while events are watched; one measurement each
    #[arg(long, default_value = "2500,5000", value_delimiter = ',')]
    pub(crate) rates: Vec<u32>,

    /// How long events are watched at each rate
    #[arg(long, default_value = "40s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) watch: Duration,

    /// Longest time until a watcher is cut off again; chosen by chance from none to this
    #[arg(long, default_value = "1s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) cut: Duration,

    /// Where chance begins
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,

    /// Less of everything, for a check in less than a minute; writes nothing without --out
    #[arg(long)]
    pub(crate) quick: bool,

    /// Folder of the document, its plot and numbers [default: docs]
    #[arg(long)]
    #[serde(skip)]
    pub(crate) out: Option<PathBuf>,
}

impl Settings {
    /// What is run, once it makes sense.
    pub(crate) fn checked(&self) -> Result<Self> {
        let mut settings = self.clone();
        if settings.quick {
            settings.make_quick();
        } else if settings.out.is_none() {
            settings.out = Some(PathBuf::from("docs"));
        }
        settings.check()?;
        Ok(settings)
    }

    fn make_quick(&mut self) {
        self.callers = self.callers.min(16);
        self.under_way = self.under_way.min(16);
        self.batch_callers = self.batch_callers.min(4);
        self.claims = self.claims.min(2_000);
        self.length = self.length.min(Duration::from_secs(1));
        self.rounds = 1;
        self.streams = vec![1_000];
        self.connections = self.connections.min(10);
        self.idle = self.idle.min(Duration::from_secs(1));
        self.beats = self.beats.min(Duration::from_secs(4));
        self.interval = self.interval.min(Duration::from_secs(1));
        self.rates = vec![500];
        self.watch = self.watch.min(Duration::from_secs(5));
        self.cut = self.cut.min(Duration::from_millis(200));
    }

    /// The largest number of streams.
    pub(crate) fn most_streams(&self) -> Result<u32> {
        self.streams.iter().copied().max().context("--streams must not be empty")
    }

    fn check(&self) -> Result<()> {
        let most = self.most_streams()?;
        ensure!(self.streams.is_sorted() && !self.streams.contains(&0), "--streams must rise");
        ensure!(self.connections >= 1, "--connections must be at least 1");
        ensure!(
            most.div_ceil(self.connections) <= CONNECTION_STREAMS_MAX,
            "--connections are too few: the server takes {CONNECTION_STREAMS_MAX} streams of each"
        );
        let counts = [self.callers, self.under_way, self.batch_callers];
        ensure!(!counts.contains(&0), "callers, and heartbeats under way, must be at least 1");
        ensure!(self.rounds >= 1, "--rounds must be at least 1");
        ensure!(
            !self.rates.is_empty() && !self.rates.contains(&0),
            "--rates must be at least 1 each"
        );
        let batches = self.batch_callers.saturating_mul(u32::try_from(BATCH)?);
        let under_way = self.callers.saturating_mul(self.under_way);
        for (waiting, of) in [(batches, "batches"), (under_way, "streams")] {
            ensure!(waiting <= WAITING_MAX, "{waiting} heartbeats of {of} under way are too many");
            ensure!(waiting <= self.claims, "--claims must be at least {waiting}");
        }
        ensure!(most <= self.claims, "--claims must be at least {most}, one for each stream");
        ensure!(
            !self.interval.is_zero() && self.interval <= self.beats,
            "--interval must not be 0, nor longer than --beats"
        );
        if let Some(folder) = &self.out {
            ensure!(folder.is_dir(), "--out: {} is no folder", folder.display());
        }
        Ok(())
    }
}
