//! Thousands of open KeepAlive streams: what the server keeps in memory for them, and how many heartbeats
//! a second they carry.

use super::goals::Goal;
use super::section::Section;
use super::settings::Settings;
use crate::fleet::heartbeats::{self, Sizes, Way};
use crate::fleet::holders;
use crate::fleet::memory::{self, Memory};
use crate::load::Measured;
use crate::numbers::{Spread, float, grouped, rounded};
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Numbers of streams whose memory is looked at; in a short run only the first.
const COUNTS: [u32; 2] = [1_000, 10_000];
/// Streams that carry as many heartbeats as they can, with so many under way each.
const BUSY: u32 = 1_000;
const UNDER_WAY: [u32; 2] = [1, 8];
/// Connections that they share.
const CONNECTIONS: u32 = 100;
/// Megabytes of the server that are not to be exceeded.
const MOST_MB: f64 = 100.0;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Streams {
    pub(crate) memory: Vec<Memory>,
    /// By the number of heartbeats under way of each of [`BUSY`] streams.
    pub(crate) busy: Vec<(u32, Vec<Measured>)>,
}

/// Measures, the memory with a fresh server for each number.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Streams> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let mut server = Server::start(stage.url(), &[])?;
    let counts = if settings.quick { COUNTS.get(..1) } else { Some(COUNTS.as_slice()) };
    let counts = counts.context("numbers of streams")?;
    let claims = BUSY * UNDER_WAY.iter().max().copied().unwrap_or(1);
    let claims = counts.iter().copied().chain([claims]).max().context("a number")?;
    progress(&format!("minting {claims} claims"));
    runtime.block_on(holders::mint(server.address(), claims))?;
    sql.batch("VACUUM (ANALYZE)")?;
    let mut busy = Vec::from(UNDER_WAY.map(|under_way| (under_way, Vec::new())));
    let (callers, length) = (BUSY, settings.length);
    let sizes = Sizes { callers, batch_callers: settings.batch_callers, claims, length };
    for round in 0..settings.rounds {
        progress(&format!("{BUSY} busy streams: round {} of {}", round + 1, settings.rounds));
        for (under_way, rounds) in &mut busy {
            let way = Way::KeepAlive(*under_way);
            rounds.push(heartbeats::through(way, sizes, &server, runtime, &sql)?.measured);
        }
    }
    server.check()?;
    drop(server);
    let seconds = |quick, full| Duration::from_secs(if settings.quick { quick } else { full });
    let lengths = memory::Settings {
        connections: CONNECTIONS,
        idle: seconds(1, 10),
        beats: seconds(4, 20),
        interval: seconds(2, 10),
    };
    let with = |count: &u32| memory::with(*count, lengths, &stage, &sql, runtime);
    Ok(Streams { memory: counts.iter().map(with).collect::<Result<_>>()?, busy })
}

impl Section for Streams {
    fn goals(&self) -> Result<Vec<Goal>> {
        let most = self.memory.last().context("a number of streams")?;
        let peak = megabytes(most.peak)?;
        Ok(vec![Goal {
            what: format!(
                "memory of the server, its peak, with {} KeepAlive streams",
                grouped(most.streams.into())
            ),
            goal: format!("≤ {MOST_MB} MB"),
            measured: format!("{peak:.0} MB"),
            met: peak <= MOST_MB,
        }])
    }

    fn text(&self, _settings: &Settings) -> Result<String> {
        let mut memory =
            "| streams | connections | started MB | idle MB | … while each heartbeats | peak MB | \
                          p50 ms | p99 ms |\n|---|---|---|---|---|---|---|---|\n"
                .to_owned();
        for with in &self.memory {
            let beating = with.beating.context("heartbeats")?;
            writeln!(
                memory,
                "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {} | {} |",
                grouped(with.streams.into()),
                with.connections,
                megabytes(with.started)?,
                megabytes(with.idle)?,
                megabytes(beating.bytes)?,
                megabytes(with.peak)?,
                rounded(beating.p50_ms),
                rounded(beating.p99_ms),
            )?;
        }
        let mut rates =
            "| under way of each | a second | p50 ms | p99 ms |\n|---|---|---|---|\n".to_owned();
        for (under_way, rounds) in &self.busy {
            let spread = |of: fn(&Measured) -> f64| {
                Spread::of(rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
            };
            writeln!(
                rates,
                "| {under_way} | {} | {} | {} |",
                spread(|measured| measured.per_second),
                rounded(spread(|measured| measured.p50_ms).median),
                rounded(spread(|measured| measured.p99_ms).median),
            )?;
        }
        Ok(format!(
            "## Thousands of streams

Resident memory of a fresh server for each number of KeepAlive streams, each with a claim of its own: idle, \
and while each sends a heartbeat every few seconds at its own time, from which latencies are counted. A \
[page of its own](fleet-performance.md) has more.

{memory}
Heartbeats over {streams} streams, closed loops, as many as they carry:

{rates}",
            streams = grouped(BUSY.into()),
        ))
    }
}

fn megabytes(bytes: u64) -> Result<f64> {
    Ok(float(bytes)? / 1e6)
}
