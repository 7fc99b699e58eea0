//! The document's tables.

use super::contest::Who;
use super::cost::What;
use super::goals::{Goal, name, ratio};
use super::overload::Overload;
use super::report::{Group, Turns};
use crate::numbers::{Spread, float, grouped, rounded};
use anyhow::Result;
use std::fmt::Write as _;

pub(crate) fn goals(goals: &[Goal]) -> Result<String> {
    let mut out = "| | goal | measured | |\n|---|---|---|---|\n".to_owned();
    for goal in goals {
        let met = if goal.met { "met" } else { "**not met**" };
        writeln!(out, "| {} | {} | {} | {met} |", goal.what, goal.goal, goal.measured)?;
    }
    Ok(out)
}

/// All of a group that are wanted, beside the best of plain SQL.
pub(crate) fn group(turns: &Turns, group: Group, wanted: impl Fn(&Who) -> bool) -> Result<String> {
    let floor = turns.floor(group)?;
    let mut out =
        "| | a second | p50 ms | p99 ms | × plain SQL |\n|---|---|---|---|---|\n".to_owned();
    for entry in &turns.contested.entries {
        if Group::of(&entry.way) != group || !wanted(&entry.way) {
            continue;
        }
        let rate = entry.spread(|round| round.measured.per_second);
        let p50 = entry.spread(|round| round.measured.p50_ms).median;
        let p99 = entry.spread(|round| round.measured.p99_ms).median;
        writeln!(
            out,
            "| {} | {rate} | {} | {} | {} |",
            entry.way.name(),
            rounded(p50),
            rounded(p99),
            ratio(entry.ratio(floor)),
        )?;
    }
    Ok(out)
}

/// One caller alone.
pub(crate) fn alone(turns: &Turns) -> Result<String> {
    let alone = &turns.contested.alone;
    let spread = |values: &[super::alone::Quantiles], of: fn(&super::alone::Quantiles) -> f64| {
        let spread = Spread::of(values.iter().map(of).collect::<Vec<f64>>().into_iter());
        format!("{:.2} ({:.2} … {:.2})", spread.median, spread.min, spread.max)
    };
    let p50 = |values: &[_]| spread(values, |quantiles| quantiles.p50_ms);
    let p99 = |values: &[_]| spread(values, |quantiles| quantiles.p99_ms);
    let mut out =
        "| | p50 ms | p99 ms | its statements, p50 ms | p99 ms | (p50 − echo) / statements |\n\
         |---|---|---|---|---|---|\n"
            .to_owned();
    writeln!(out, "| echo | {} | {} | | | |", p50(&alone.echo), p99(&alone.echo))?;
    for pair in &alone.calls {
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} |",
            name(pair.call),
            p50(&pair.ours),
            p99(&pair.ours),
            p50(&pair.statements),
            p99(&pair.statements),
            ratio(alone.beyond_echo(pair)),
        )?;
    }
    Ok(out)
}

/// What calls cost.
pub(crate) fn costs(turns: &Turns) -> Result<String> {
    let mut out =
        "| | callers | calls | statements | round trips | WAL bytes | heap-only | buffers touched | \
         commits | server µs | Postgres µs |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for charged in &turns.costs {
        let what = match charged.what {
            What::Call(call) => name(call).to_owned(),
            What::KeepAlive(under_way) => {
                format!("heartbeat, KeepAlive, {under_way} under way each")
            }
            What::Batch => "heartbeat, batches of 500".to_owned(),
        };
        let heap_only = charged.heap_only_percent();
        let commits = charged.counted(|counted| Some(counted.commits));
        let buffers = charged.counted(|counted| Some(counted.buffers));
        let calls = charged.rounds.iter().map(|charge| charge.calls).sum();
        writeln!(
            out,
            "| {what} | {} | {} | {:.3} | {:.3} | {} | {} | {} | {} | {} | {} |",
            charged.callers,
            grouped(float(calls)?),
            charged.wire.statements,
            charged.wire.round_trips,
            charged.spread(|charge| charge.wal_bytes),
            heap_only.map(|spread| format!("{:.2} %", spread.median)).unwrap_or_default(),
            buffers.map(|spread| spread.to_string()).unwrap_or_default(),
            commits.map(|spread| format!("{:.3}", spread.median)).unwrap_or_default(),
            charged.spread(|charge| charge.server_cpu_us),
            charged.spread(|charge| charge.postgres_cpu_us),
        )?;
    }
    Ok(out)
}

/// Too many mints.
pub(crate) fn overload(overload: &Overload) -> Result<String> {
    let megabytes = |bytes| Ok::<_, anyhow::Error>(format!("{:.0} MB", float(bytes)? / 1e6));
    let percent = |share: f64| format!("{share:.0} %");
    let lines = [
        ("peak, mints/s", grouped(overload.peak_per_second)),
        ("asked, mints/s", grouped(overload.asked_per_second)),
        ("sent, mints/s", grouped(overload.sent_per_second)),
        ("over connections", overload.connections.to_string()),
        ("under way at most", grouped(float(overload.under_way.try_into()?)?)),
        ("not sent, too many under way", grouped(float(overload.not_sent)?)),
        ("minted meanwhile /s", grouped(overload.minted_per_second)),
        ("refused", grouped(float(overload.refused)?)),
        ("… with RetryInfo", grouped(float(overload.refused_saying_when)?)),
        ("failed otherwise", grouped(float(overload.failed)?)),
        ("refused, p50 ms", rounded(overload.refused_p50_ms)),
        ("refused, p99 ms", rounded(overload.refused_p99_ms)),
        ("minted, p50 ms", rounded(overload.minted_p50_ms)),
        ("minted, p99 ms", rounded(overload.minted_p99_ms)),
        ("heartbeats of a bystander", grouped(float(overload.heartbeats)?)),
        ("… not accepted", grouped(float(overload.heartbeats_failed)?)),
        ("… p50 ms", rounded(overload.heartbeat_p50_ms)),
        ("… p99 ms", rounded(overload.heartbeat_p99_ms)),
        ("echo, p50 ms", rounded(overload.echo_p50_ms)),
        ("echo, p99 ms", rounded(overload.echo_p99_ms)),
        ("processor, generator", percent(overload.generator_percent)),
        ("processor, server", percent(overload.server_percent)),
        ("processor, Postgres", percent(overload.postgres_percent)),
        ("memory of the server before", megabytes(overload.memory_before)?),
        ("its peak", megabytes(overload.memory_peak)?),
    ];
    let mut out = "| | |\n|---|---|\n".to_owned();
    for (what, measured) in lines {
        writeln!(out, "| {what} | {measured} |")?;
    }
    Ok(out)
}
