//! What can be chosen, and a short form.

use super::section::Part;
use crate::fleet::heartbeats::Sizes;
use anyhow::{Result, ensure};
use claims::program::parse_length;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Left out of the short form: defaults are not chosen every day, `claim-bench fleet --quick` has streams,
/// and a pass of the reaper is short only over fewer claims than matter.
const NOT_QUICK: [Part; 3] = [Part::Sizes, Part::Streams, Part::Reaper];

/// Mints with their dones, authorizations and heartbeats through gRPC beside the same work as plain
/// SQL, beside etcd, pg-boss and graphile-worker; what each call costs; at ten million rows, with ten
/// thousand holders, with several servers, while claims expire, and under overload.
///
/// Runs private Postgreses in the temporary folder and the programs beside this one, takes about fifty
/// minutes, and writes performance.md with its plots and numbers. What is compared takes turns, round by
/// round, and every answer is verified; a difference is an error.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct Settings {
    /// Callers of mint and done, of authorizations and of unary heartbeats
    #[arg(long, default_value_t = 256)]
    pub(crate) callers: u32,

    /// KeepAlive streams, ours and etcd's
    #[arg(long, default_value_t = 64)]
    pub(crate) streams: u32,

    /// Heartbeats under way of each stream, in the second measurement of streams
    #[arg(long, default_value_t = 32)]
    pub(crate) under_way: u32,

    /// Callers of batches of 500
    #[arg(long, default_value_t = 8)]
    pub(crate) batch_callers: u32,

    /// Claims that are held
    #[arg(long, default_value_t = 10_000)]
    pub(crate) claims: u32,

    /// Length of each measurement
    #[arg(long, default_value = "3s", value_parser = parse_length)]
    #[serde(skip)]
    pub(crate) length: Duration,

    /// Rounds
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: u32,

    /// Calls of each kind by one caller alone, in each round
    #[arg(long, default_value_t = 500)]
    pub(crate) alone: u32,

    /// Claims of which each step is charged when the server is saturated
    #[arg(long, default_value_t = 10_000)]
    pub(crate) charged: u32,

    /// Claims at which calls are measured beside as few as 10 000: 100 000 and each power of ten up to
    /// this. Ten million take 20 GB while they are measured
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) rows: u32,

    /// Holders of the fleet that does everything
    #[arg(long, default_value_t = 10_000)]
    pub(crate) fleet: u32,

    /// Live claims over which the reaper passes
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) live: u32,

    /// Heartbeats a second while claims expire
    #[arg(long, default_value_t = 2_000)]
    pub(crate) rate: u32,

    /// Only this part; may be given several times; writes nothing without --out
    #[arg(long, value_enum)]
    pub(crate) only: Vec<Part>,

    /// Leave out the job queues, which need Node and their packages
    #[arg(long)]
    pub(crate) no_queues: bool,

    /// Less of everything, and neither sizes nor streams nor the reaper, in less than five minutes; writes
    /// nothing without --out
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
            settings.length = settings.length.min(Duration::from_secs(1));
            settings.rounds = 1;
            settings.alone = settings.alone.min(200);
            settings.charged = settings.charged.min(5_000);
            settings.rows = settings.rows.min(100_000);
            settings.fleet = settings.fleet.min(2_000);
            settings.live = settings.live.min(50_000);
            settings.rate = settings.rate.min(1_000);
        } else if settings.out.is_none() && settings.only.is_empty() {
            settings.out = Some(PathBuf::from("docs"));
        }
        settings.check()?;
        Ok(settings)
    }

    /// Whether a part is wanted.
    pub(crate) fn wants(&self, part: Part) -> bool {
        if self.only.is_empty() {
            return !(self.quick && NOT_QUICK.contains(&part));
        }
        self.only.contains(&part)
    }

    /// Clients of pgbench; its best counts. Within the second of the short form, 64 of them have hardly
    /// begun.
    pub(crate) fn floor_clients(&self) -> &'static [u32] {
        if self.quick { &[1, 8, 32] } else { &[1, 8, 32, 64] }
    }

    /// Of a way to send heartbeats by so many callers.
    pub(crate) fn sizes(&self, callers: u32) -> Sizes {
        let Self { batch_callers, claims, length, .. } = *self;
        Sizes { callers, batch_callers, claims, length }
    }

    fn check(&self) -> Result<()> {
        let counts = [self.callers, self.streams, self.under_way, self.batch_callers];
        ensure!(!counts.contains(&0), "callers, streams and heartbeats must be at least 1");
        ensure!(
            ![self.rounds, self.alone, self.charged].contains(&0),
            "--rounds, --alone and --charged must be at least 1"
        );
        let batches = self.batch_callers.saturating_mul(500);
        let waiting = self.streams.saturating_mul(self.under_way).max(batches).max(self.callers);
        ensure!(waiting <= 8_192, "{waiting} heartbeats under way are more than a server takes");
        ensure!(self.claims >= 1_000, "--claims must be at least 1000");
        ensure!(waiting <= self.claims, "--claims must be at least {waiting}");
        ensure!(self.rows >= 100_000, "--rows must be at least 100000");
        ensure!(self.live >= 1_000, "--live must be at least 1000");
        ensure!(![self.fleet, self.rate].contains(&0), "--fleet and --rate must be at least 1");
        if let Some(folder) = &self.out {
            ensure!(folder.is_dir(), "--out: {} is no folder", folder.display());
        }
        Ok(())
    }
}
