//! Heartbeats a second by every way, each beside the others and beside pgbench, round by round.
//! Closed loops: a caller sends its next when it has the answer to the last.

#[cfg(test)]
mod tests;
mod ways;

use super::holders::{self, LEASE};
use super::meter::Meter;
use super::settings::Settings;
use crate::load::Measured;
use crate::numbers::{Spread, float, median};
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{floor, progress};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;
pub(super) use ways::BATCH;
use ways::{Beaten, Crowd};

/// Clients of pgbench besides as many as there are callers.
const FLOOR_CLIENTS: [u32; 2] = [8, 32];
/// Claims whose last heartbeat is not older than that, and whose lease was moved by it.
const MOVED: &str = "SELECT count(*) FROM claim_leases WHERE tenant_id = $1
    AND last_heartbeat_at >= $2 AND lease_expires_at >= last_heartbeat_at + $3 * interval '1 second'";

/// A way to send them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Way {
    /// Each a call.
    Unary,
    /// Over streams, with so many of each under way.
    KeepAlive(u32),
    /// In calls of 500.
    Batch,
    /// Not through the server: pgbench with so many clients.
    PlainSql(u32),
}

/// A way in all rounds.
pub(crate) type WayRounds = Rounds<Way>;

/// One of those that take turns, in all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Rounds<W> {
    pub(crate) way: W,
    pub(crate) rounds: Vec<Round>,
}

/// How many take part in one measurement, and how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    pub(crate) callers: u32,
    pub(crate) batch_callers: u32,
    pub(crate) claims: u32,
    pub(crate) length: Duration,
}

impl From<&Settings> for Sizes {
    fn from(settings: &Settings) -> Self {
        let Settings { callers, batch_callers, claims, length, .. } = *settings;
        Self { callers, batch_callers, claims, length }
    }
}

/// A way in one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    /// Latencies of a batch are those of its call.
    pub(crate) measured: Measured,
    /// What each accepted heartbeat cost; none for plain SQL.
    pub(crate) cost: Option<Cost>,
}

/// Of one heartbeat.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cost {
    pub(crate) server_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
}

impl<W> Rounds<W> {
    /// A number of every round.
    pub(crate) fn spread(&self, of: impl Fn(&Round) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
    }

    /// Calls a second in the middle round.
    pub(crate) fn median_rate(&self) -> f64 {
        median(self.rounds.iter().map(|round| round.measured.per_second))
    }

    /// How many times as many as another way in the same rounds.
    pub(crate) fn ratio(&self, other: &Self) -> Spread {
        let pairs = self.rounds.iter().zip(&other.rounds);
        let ratios = pairs.map(|(own, other)| own.measured.per_second / other.measured.per_second);
        Spread::of(ratios.collect::<Vec<f64>>().into_iter())
    }
}

/// Plain SQL with the number of clients that suits it best.
pub(crate) fn best_floor(ways: &[WayRounds]) -> Result<&WayRounds> {
    let floors = ways.iter().filter(|rounds| matches!(rounds.way, Way::PlainSql(_)));
    floors.max_by(|a, b| a.median_rate().total_cmp(&b.median_rate())).context("a floor")
}

/// Mints the claims and measures.
pub(crate) fn measure(settings: &Settings, stage: &Stage, sql: &Sql) -> Result<Vec<WayRounds>> {
    let mut server = Server::start(stage.url(), &[])?;
    let runtime = Runtime::new()?;
    progress(&format!("minting {} claims", settings.claims));
    runtime.block_on(holders::mint(server.address(), settings.claims))?;
    sql.batch("VACUUM (ANALYZE)")?;

    let sizes = Sizes::from(settings);
    let mut ways =
        vec![Way::Unary, Way::KeepAlive(1), Way::KeepAlive(settings.under_way), Way::Batch];
    ways.dedup();
    let mut clients = Vec::from(FLOOR_CLIENTS);
    clients.push(settings.callers);
    clients.sort_unstable();
    clients.dedup();
    ways.extend(clients.into_iter().map(Way::PlainSql));
    let mut all: Vec<WayRounds> =
        ways.into_iter().map(|way| WayRounds { way, rounds: Vec::new() }).collect();
    for round in 0..settings.rounds {
        progress(&format!("heartbeats: round {} of {}", round + 1, settings.rounds));
        // Whatever one way leaves behind meets another way next time.
        let first = round % all.len();
        for turn in 0..all.len() {
            let place = (first + turn) % all.len();
            let rounds = all.get_mut(place).context("a way")?;
            rounds.rounds.push(match rounds.way {
                Way::PlainSql(clients) => plain(sizes, stage, clients)?,
                way => through(way, sizes, &server, &runtime, sql)?,
            });
        }
    }
    server.check()?;
    Ok(all)
}

/// By pgbench.
pub(crate) fn plain(sizes: Sizes, stage: &Stage, clients: u32) -> Result<Round> {
    let (clients, holders) = (usize::try_from(clients)?, usize::try_from(sizes.claims)?);
    let measured = floor::heartbeats(stage, clients, holders, sizes.length)?;
    Ok(Round { measured, cost: None })
}

/// Through the server; what was accepted is in the table.
pub(crate) fn through(
    way: Way,
    sizes: Sizes,
    server: &Server,
    runtime: &Runtime,
    sql: &Sql,
) -> Result<Round> {
    let began: SystemTime = sql.value("SELECT clock_timestamp()")?;
    let meter = Meter::begin(server, sql)?;
    let beaten = runtime.block_on(send(way, sizes, server.address()))?;
    let used = meter.used()?;
    check_moved(sql, began, beaten.touched)?;
    let accepted = float(beaten.accepted)?;
    let each = |used: Duration| used.as_secs_f64() * 1e6 / accepted;
    let cost = Cost { server_cpu_us: each(used.server), postgres_cpu_us: each(used.postgres) };
    Ok(Round { measured: beaten.measured, cost: Some(cost) })
}

/// Sends them for the length of a measurement.
pub(crate) async fn send(way: Way, sizes: Sizes, address: &str) -> Result<Beaten> {
    let callers = if way == Way::Batch { sizes.batch_callers } else { sizes.callers };
    let crowd = Crowd { address, callers, claims: sizes.claims, length: sizes.length };
    match way {
        Way::Unary => ways::unary(crowd).await,
        Way::KeepAlive(under_way) => ways::keep_alive(crowd, under_way).await,
        Way::Batch => ways::batches(crowd).await,
        Way::PlainSql(_) => anyhow::bail!("plain SQL does not go through the server"),
    }
}

/// Fails unless so many claims have been heard of since then and their leases were moved.
pub(crate) fn check_moved(sql: &Sql, since: SystemTime, touched: u64) -> Result<()> {
    let seconds = LEASE.as_secs_f64();
    let rows = sql.rows(MOVED, &[&crate::load::TENANT, &since, &seconds])?;
    let moved: i64 = rows.first().context("a count")?.try_get(0)?;
    ensure!(
        u64::try_from(moved)? == touched,
        "heartbeats of {touched} claims were accepted, but {moved} leases were moved"
    );
    Ok(())
}
