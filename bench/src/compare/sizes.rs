//! What the number of lanes and the size of their batches do: the server's defaults come from here.

use super::cost::counts::{Counts, until_alone};
use super::crowd::{Crowd, check_ended};
use super::section::Section;
use super::settings::Settings;
use crate::fleet::heartbeats::{self, Way};
use crate::fleet::holders;
use crate::load::Measured;
use crate::numbers::{Spread, rounded};
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use tokio::runtime::Runtime;

/// A setting of the server, and the values that are compared; the first is its default.
type Choice = (&'static str, [&'static str; 3]);
/// Measured by mints with their dones.
const DECISIONS: [Choice; 2] =
    [("CLAIM_DECISION_LANES", ["2", "1", "4"]), ("CLAIM_DECISION_BATCH", ["128", "32", "512"])];
/// Measured by heartbeats over streams.
const HEARTBEATS: [Choice; 2] =
    [("CLAIM_HEARTBEAT_LANES", ["2", "1", "4"]), ("CLAIM_HEARTBEAT_BATCH", ["1024", "64", "256"])];

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Sizes {
    pub(crate) sizes: Vec<Size>,
}

/// With one setting at one value, and the others at their defaults.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Size {
    pub(crate) setting: &'static str,
    pub(crate) value: &'static str,
    /// It is the default.
    pub(crate) default: bool,
    /// Mints with their dones, or heartbeats.
    pub(crate) decisions: bool,
    pub(crate) measured: Vec<Measured>,
    /// Of the renewals of each round; none of decisions.
    pub(crate) heap_only_percent: Vec<f64>,
}

/// Measures, each time with a server of its own.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Sizes> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let minting = Server::start(stage.url(), &[])?;
    runtime.block_on(holders::mint(minting.address(), settings.claims))?;
    drop(minting);
    sql.batch("VACUUM (ANALYZE)")?;
    let mut sizes = all();
    for round in 0..settings.rounds {
        progress(&format!("sizes: round {} of {}", round + 1, settings.rounds));
        for place in 0..sizes.len() {
            let first = usize::try_from(round)?;
            let index = (first + place) % sizes.len();
            let size = sizes.get_mut(index).context("a size")?;
            let server = Server::start(stage.url(), &[(size.setting, size.value)])?;
            if size.decisions {
                let names = format!("z{round}_{index}_");
                size.measured.push(lives(settings, runtime, &sql, &server, &names)?);
                continue;
            }
            let before = Counts::read(&sql)?;
            size.measured.push(beats(settings, runtime, &sql, &server)?);
            drop(server);
            until_alone(&sql)?;
            let renewed = Counts::read(&sql)?.since(&before);
            size.heap_only_percent.push(renewed.heap_only_percent().context("no renewals")?);
        }
    }
    Ok(Sizes { sizes })
}

fn all() -> Vec<Size> {
    let of = |decisions: bool, choices: [Choice; 2]| {
        choices.into_iter().flat_map(move |(setting, values)| {
            values.into_iter().enumerate().map(move |(place, value)| Size {
                setting,
                value,
                default: place == 0,
                decisions,
                measured: Vec::new(),
                heap_only_percent: Vec::new(),
            })
        })
    };
    of(true, DECISIONS).chain(of(false, HEARTBEATS)).collect()
}

fn lives(
    settings: &Settings,
    runtime: &Runtime,
    sql: &Sql,
    server: &Server,
    names: &str,
) -> Result<Measured> {
    let Settings { callers, length, .. } = *settings;
    let crowd = Crowd { address: server.address(), callers, length };
    let (measured, count) = runtime.block_on(crowd.lives(names, false))?;
    check_ended(sql, names, count)?;
    Ok(measured)
}

fn beats(settings: &Settings, runtime: &Runtime, sql: &Sql, server: &Server) -> Result<Measured> {
    let since = sql.value("SELECT clock_timestamp()")?;
    let sizes = settings.sizes(settings.streams);
    let way = Way::KeepAlive(settings.under_way);
    let beaten = runtime.block_on(heartbeats::send(way, sizes, server.address()))?;
    heartbeats::check_moved(sql, since, beaten.touched)?;
    Ok(beaten.measured)
}

impl Section for Sizes {
    fn text(&self, settings: &Settings) -> Result<String> {
        let mut table =
            "| setting | | a second | p50 ms | p99 ms | heap-only |\n|---|---|---|---|---|---|\n"
                .to_owned();
        for size in &self.sizes {
            let spread = |of: fn(&Measured) -> f64| {
                Spread::of(size.measured.iter().map(of).collect::<Vec<f64>>().into_iter())
            };
            let default = if size.default { ", default" } else { "" };
            let what = if size.decisions { "mint + done" } else { "heartbeats" };
            let heap_only = if size.decisions {
                String::new()
            } else {
                format!("{:.2} %", Spread::of(size.heap_only_percent.iter().copied()).median)
            };
            writeln!(
                table,
                "| `{}={}`{default} | {what} | {} | {} | {} | {heap_only} |",
                size.setting,
                size.value,
                spread(|measured| measured.per_second),
                rounded(spread(|measured| measured.p50_ms).median),
                rounded(spread(|measured| measured.p99_ms).median),
            )?;
        }
        Ok(format!(
            "## Lanes and batches

One setting at another value than its default, each time with a server of its own, in turns: mint + done by \
{callers} callers, heartbeats over {streams} streams with {under_way} under way each. On a machine with more \
cores measure again: `claim-bench compare --only sizes`.

{table}",
            callers = settings.callers,
            streams = settings.streams,
            under_way = settings.under_way,
        ))
    }
}
