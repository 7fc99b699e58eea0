//! The document: what was measured, how, and the plots and numbers beside it.

mod turns;

use super::overload::Overload;
use super::report::Report;
use super::settings::Settings;
use super::{goals, tables};
use crate::numbers::{float, grouped};
use anyhow::Result;
use clap::ValueEnum;
use std::fmt::Write as _;
use std::path::Path;

/// Of its files, without their ends.
pub(crate) const NAME: &str = "performance";

/// Writes the document, its plots and its numbers into a folder.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    let numbers = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(folder.join(format!("{NAME}.json")), numbers)?;
    if let Some(turns) = &report.turns {
        turns::plot(turns, folder)?;
    }
    for section in report.sections() {
        section.draw(folder)?;
    }
    let parts = [head(report)?, ground(report), body(report)?];
    Ok(std::fs::write(folder.join(format!("{NAME}.md")), parts.join("\n"))?)
}

/// The results, for a terminal.
pub(crate) fn terminal(report: &Report) -> Result<String> {
    Ok([tables::goals(&goals::all(report)?)?, body(report)?].join("\n"))
}

fn body(report: &Report) -> Result<String> {
    let settings = &report.settings;
    let mut parts = Vec::new();
    if let Some(turns) = &report.turns {
        parts.push(turns::first(settings, turns)?);
    }
    for section in report.sections() {
        parts.push(section.text(settings)?);
    }
    if let Some(overloaded) = &report.overload {
        parts.push(overload(settings, overloaded)?);
    }
    if let Some(turns) = &report.turns {
        parts.push(turns::last(settings, turns)?);
    }
    Ok(parts.join("\n"))
}

fn head(report: &Report) -> Result<String> {
    let (machine, settings) = (&report.machine, &report.settings);
    let goals = goals::all(report)?;
    let mut failed = String::new();
    for (part, why) in &report.failed {
        writeln!(failed, "\n**{part:?} failed and is not here:** {why}")?;
    }
    Ok(format!(
        "# What a durable claim costs

The service beside the same work as plain SQL and beside others, at many rows, with many holders and \
while much expires, in one run. Measured on {date} on {cores} \
cores with {memory} GiB of memory and Postgres {postgres}, in {minutes:.0} minutes, by

```
cargo build --release && target/release/claim-bench compare --callers {callers} --streams {streams} \\
    --under-way {under_way} --batch-callers {batch_callers} --claims {claims} --length {length:?} \\
    --rounds {rounds} --alone {alone} --charged {charged} \\
    --rows {rows} --fleet {fleet} --live {live} --rate {rate}{rest}
```

which wrote this page, its plots and [its numbers]({NAME}.json). Postgres has its default settings, \
fsync on. It shares the {cores} cores with the server and the generator: read absolute figures as those \
of such a machine; the ratios carry over.

Goals met: {met}.

{table}
A ratio is the middle of the ratios of all rounds, and behind it stand the least and the greatest. \
Overload was measured once. What limits the goals that are not met, and what was tried: \
[limits](performance-limits.md).
{failed}",
        date = machine.date,
        cores = machine.cores,
        memory = machine.memory_gib,
        postgres = machine.postgres,
        minutes = float(report.seconds)? / 60.0,
        callers = settings.callers,
        streams = settings.streams,
        under_way = settings.under_way,
        batch_callers = settings.batch_callers,
        claims = settings.claims,
        length = settings.length,
        rounds = settings.rounds,
        alone = settings.alone,
        charged = settings.charged,
        rows = settings.rows,
        fleet = settings.fleet,
        live = settings.live,
        rate = settings.rate,
        rest = rest(settings),
        met = goals::met(&goals),
        table = tables::goals(&goals)?,
    ))
}

fn rest(settings: &Settings) -> String {
    let mut rest = String::new();
    for part in &settings.only {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned());
        rest.push_str(" --only ");
        rest.push_str(&name.unwrap_or_default());
    }
    for (given, flag) in [(settings.no_queues, " --no-queues"), (settings.quick, " --quick")] {
        rest.push_str(if given { flag } else { "" });
    }
    rest
}

fn ground(report: &Report) -> String {
    format!(
        "## What was there

* The release build of `claim-server` with its default settings. No reaper.
* {claims} held claims with leases of ten minutes, each of its own entity; and what the rounds before \
left behind, which nobody removes.
* Callers are tasks of one process and share {connections} connections. pgbench runs prepared \
statements, one by one. The programs and pgbench all reach Postgres over TCP.
* All take turns, {length:?} each, and each round begins with another one.

Every answer is verified: a fresh claim, a renewal, the right holder, an end that counts. After each \
measurement of cycles the tables are looked at: as many claims are released as dones were counted, each \
with its event, without a lease, its entity idle; after each of heartbeats, as many leases were moved as \
claims were named. The run would have failed otherwise.
",
        claims = grouped(report.settings.claims.into()),
        connections = crate::load::CONNECTIONS,
        length = report.settings.length,
    )
}

fn overload(settings: &Settings, overload: &Overload) -> Result<String> {
    Ok(format!(
        "## Overload

First {callers} callers mint in a closed loop, which gives the peak. Then mints are sent at {times:.0} \
times that rate for {length:?}, whether or not others are answered. The generator has to share the cores, \
so what it really sent is given, and what it took; shares of the processor are of one core. Latencies of \
these mints are from when they were due. A bystander heartbeats meanwhile, on a connection of its own.

{table}
As many mints as were accepted are in the table.
",
        callers = settings.callers,
        times = super::overload::TIMES,
        length = settings.length,
        table = tables::overload(overload)?,
    ))
}
