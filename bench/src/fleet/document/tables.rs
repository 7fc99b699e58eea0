//! The document's tables.

use super::megabytes;
use crate::fleet::heartbeats::{Way, WayRounds, best_floor};
use crate::fleet::memory::Memory;
use crate::fleet::watchers::{Kind, Watched};
use crate::numbers::{Spread, float, grouped, rounded};
use anyhow::{Context, Result};
use std::fmt::Write as _;

/// The name of a way to send heartbeats.
pub(crate) fn way(way: Way) -> String {
    match way {
        Way::Unary => "unary".to_owned(),
        Way::KeepAlive(under_way) => format!("KeepAlive, {under_way} under way each"),
        Way::Batch => "batches of 500".to_owned(),
        Way::PlainSql(clients) => format!("pgbench with {clients} clients"),
    }
}

pub(crate) fn heartbeats(ways: &[WayRounds]) -> Result<String> {
    let floor = best_floor(ways)?;
    let mut out = "| | heartbeats/s | p50 ms | p99 ms | × plain SQL | server µs | Postgres µs |\n\
        |---|---|---|---|---|---|---|\n"
        .to_owned();
    for rounds in ways {
        let rate = rounds.spread(|round| round.measured.per_second);
        let p50 = rounds.spread(|round| round.measured.p50_ms).median;
        let p99 = rounds.spread(|round| round.measured.p99_ms).median;
        let cost = match rounds.rounds.first().context("a round")?.cost {
            None => " | ".to_owned(),
            Some(_) => cost(rounds),
        };
        let name = way(rounds.way);
        let (p50, p99) = (rounded(p50), rounded(p99));
        let ratio = ratio(rounds.ratio(floor));
        writeln!(out, "| {name} | {rate} | {p50} | {p99} | {ratio} | {cost} |")?;
    }
    Ok(out)
}

fn cost(rounds: &WayRounds) -> String {
    let of = |of: fn(&crate::fleet::heartbeats::Cost) -> f64| {
        rounds.spread(|round| round.cost.as_ref().map_or(f64::NAN, of)).median
    };
    let (server, postgres) = (of(|cost| cost.server_cpu_us), of(|cost| cost.postgres_cpu_us));
    format!("{} | {}", rounded(server), rounded(postgres))
}

fn ratio(ratio: Spread) -> String {
    if (ratio.max - ratio.min).abs() < f64::EPSILON {
        return format!("{:.2}", ratio.median);
    }
    format!("{:.2} ({:.2} … {:.2})", ratio.median, ratio.min, ratio.max)
}

pub(crate) fn memory(all: &[Memory]) -> Result<String> {
    let mut out = "| streams | started MB | connected | idle | of a core | heartbeating | of a core | p99 ms \
         | streams left | all left | peak |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for memory in all {
        let mb = |bytes: u64| Ok::<_, anyhow::Error>(format!("{:.1}", megabytes(bytes)?));
        let (beating, share, p99) = match memory.beating {
            None => Default::default(),
            Some(beating) => (
                mb(beating.bytes)?,
                format!("{:.1} %", beating.shares.server_percent),
                rounded(beating.p99_ms),
            ),
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {:.1} % | {beating} | {share} | {p99} | {} | {} | {} |",
            grouped(memory.streams.into()),
            mb(memory.started)?,
            mb(memory.connected)?,
            mb(memory.idle)?,
            memory.idle_shares.server_percent,
            mb(memory.streams_left)?,
            mb(memory.all_left)?,
            mb(memory.peak)?,
        )?;
    }
    Ok(out)
}

pub(crate) fn traffic(all: &[Watched]) -> Result<String> {
    let mut out = "| mints and dones asked /s | reached /s | events in the table | mint and done p50 ms | p99 ms \
         | server | Postgres | server's peak MB |\n|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for watched in all {
        let traffic = &watched.traffic;
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {:.0} % | {:.0} % | {:.0} |",
            grouped(f64::from(traffic.asked) * 2.0),
            grouped(watched.events_per_second()?),
            grouped(float(watched.events)?),
            rounded(traffic.p50_ms),
            rounded(traffic.p99_ms),
            watched.shares.server_percent,
            watched.shares.postgres_percent,
            megabytes(watched.server_peak)?,
        )?;
    }
    Ok(out)
}

pub(crate) fn watchers(all: &[Watched]) -> Result<String> {
    let mut out = "| events/s | watchers | events seen | cuts | too slow | lag p50 ms | p99 ms | longest ms |\n\
         |---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for watched in all {
        for watches in &watched.watchers {
            writeln!(
                out,
                "| {} | {} {} | {} | {} | {} | {} | {} | {} |",
                grouped(watched.events_per_second()?),
                watches.count,
                kind(watches.kind),
                grouped(float(watches.events)?),
                watches.cuts,
                watches.too_slow,
                rounded(watches.lag_p50_ms),
                rounded(watches.lag_p99_ms),
                rounded(watches.lag_max_ms),
            )?;
        }
    }
    Ok(out)
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Cut => "from the oldest, cut at random",
        Kind::Steady => "from the oldest, never cut",
        Kind::OfEntity => "of an entity",
        Kind::FromNow => "from now on",
    }
}
