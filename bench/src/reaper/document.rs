//! The document: what was measured, how, and the plots and numbers beside it.

mod tables;

use super::DEFAULT_BATCH;
use super::ground::Claims;
use super::report::{Report, per_second, spread};
use crate::numbers::{Spread, float, grouped, rounded};
use crate::plot::{Axis, Plot, Series, draw};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::Path;

const NAME: &str = "reaper-performance";

/// Writes the document, its plots and its numbers into a folder.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    let idle: Vec<(u32, Spread)> =
        report.idle.iter().map(|size| (size.claims.live, size.daemon_ms)).collect();
    let plot = Plot {
        title: "A pass with nothing due",
        x: "live claims",
        y: "milliseconds",
        axis: Axis::Logarithmic,
        series: &[Series { name: "", points: &idle }],
        limit: None,
    };
    draw(&plot, &folder.join(format!("{NAME}-idle.svg")))?;
    let due: Vec<(u32, Spread)> =
        report.due.iter().map(|size| (size.batch, spread(&size.passes, per_second))).collect();
    let plot = Plot {
        title: "A pass with much due",
        x: "most claims of one transaction",
        y: "claims expired a second",
        axis: Axis::Logarithmic,
        series: &[Series { name: "", points: &due }],
        limit: None,
    };
    draw(&plot, &folder.join(format!("{NAME}-due.svg")))?;
    let numbers = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(folder.join(format!("{NAME}.json")), numbers)?;
    let text = [
        head(report)?,
        ground(report)?,
        idle_passes(report)?,
        due_passes(report)?,
        shares(report)?,
        beats(report)?,
        plans(report)?,
    ];
    Ok(std::fs::write(folder.join(format!("{NAME}.md")), text.join("\n"))?)
}

/// The results in short, for a terminal.
pub(crate) fn table(report: &Report) -> Result<String> {
    let mut out = String::new();
    for (what, measured) in short(report)? {
        writeln!(out, "{what:<70}  {measured}")?;
    }
    Ok(out)
}

/// The figures that the page is about.
fn short(report: &Report) -> Result<Vec<(String, String)>> {
    let idle = report.idle.last().context("a size")?;
    let due = report.due.iter().find(|due| due.batch == DEFAULT_BATCH).context("a batch")?;
    let (daemon, beats) = (&report.daemon, &report.beats);
    let p99 = [&beats.alone, &beats.beside].map(|beats| rounded(beats.measured.p99_ms));
    let rows = [
        ("a daemon's pass with nothing due", format!("{} ms", idle.daemon_ms)),
        ("a pass with much due", format!("{} claims/s", spread(&due.passes, per_second))),
        ("a daemon at its default interval, self-check at rest", tables::share(&daemon.at_rest)),
        ("a daemon at its default interval, self-check included", tables::share(&daemon.in_all)),
        (
            "heap-only heartbeats while two reapers work",
            format!("{:.2} %", beats.beside.heap_only_percent),
        ),
        (
            "p99 of heartbeats alone, and beside the reapers",
            format!("{} ms, {} ms", p99[0], p99[1]),
        ),
    ];
    Ok(rows.map(|(what, measured)| (what.to_owned(), measured)).into())
}

fn head(report: &Report) -> Result<String> {
    let (machine, settings) = (&report.machine, &report.settings);
    let Claims { live, finished } = report.idle.last().context("a size")?.claims;
    let mut rows = String::new();
    for (what, measured) in short(report)? {
        writeln!(rows, "| {what} | {measured} |")?;
    }
    Ok(format!(
        "# What the reaper costs

{live_claims} live claims and {finished_claims} finished ones. Measured on {date} on {cores} cores \
with {memory} GiB of memory and Postgres {postgres}, in {minutes:.0} minutes, by

```
cargo build --release && target/release/claim-bench reaper --live {live} --finished {finished} \\
    --due {due} --rounds {rounds} --rate {rate} --idle {idle:?} --load {load:?}
```

which wrote this page, its plots and [its numbers]({NAME}.json). Postgres has its default settings, \
fsync on. It shares the {cores} cores with the reaper, the server and the generator: read absolute \
figures as those of such a machine; how they grow carries over.

| | measured |
|---|---|
{rows}
Of several passes the middle one is given, and behind it the least and the greatest. Shares are of \
one core.
",
        live_claims = grouped(live.into()),
        finished_claims = grouped(finished.into()),
        date = machine.date,
        cores = machine.cores,
        memory = machine.memory_gib,
        postgres = machine.postgres,
        minutes = float(report.seconds)? / 60.0,
        due = settings.due,
        rounds = settings.rounds,
        rate = settings.rate,
        idle = settings.idle,
        load = settings.load,
    ))
}

fn ground(report: &Report) -> Result<String> {
    let gigabytes = float(report.bytes)? / 1e9;
    Ok(format!(
        "## What was there

* Twice as many entities as live claims, every second one with a live claim, the finished ones of the \
last six days spread over all of them; three tenants; leases, high-water marks, and the events of \
every claim: {gigabytes:.1} GB. Nothing is old enough to be pruned. Leases are set to run for an hour, \
so that none lapses by itself.
* Release builds of `claim-reaper` and `claim-server` with their default settings, but for the \
server's `CLAIM_OUTAGE_GRACE=0`. A server has to run, because a reaper acts only on what a server \
signs (R6); without the grace, a disk that is busy for 5 s is no outage in the middle of a measurement.
* `VACUUM (ANALYZE)` and `CHECKPOINT` before each measurement.
* A daemon's passes are measured while its self-check rests, as almost all of them are: a round of it, \
which reads every row, is followed by a long rest.
"
    ))
}

fn idle_passes(report: &Report) -> Result<String> {
    Ok(format!(
        "## Nothing due

A daemon's pass, by its own account; and a complete one by `claim-reaper --once`, which connects, and \
makes a round of the self-check besides. Processor times are of the whole process, and of all of \
Postgres meanwhile.

{table}
![Length of a pass with nothing due against live claims]({NAME}-idle.svg)
",
        table = tables::idle(&report.idle)?,
    ))
}

fn due_passes(report: &Report) -> Result<String> {
    let Claims { live, .. } = report.idle.last().context("a size")?.claims;
    Ok(format!(
        "## Much due

{due} claims of {live}, chosen by chance, are made due at once; their leases ended 70 to 170 s ago, \
which is beyond the brake's span (R7). A daemon's next pass expires them all. Its length has the scan \
in it. Each pass begins with {live} live claims again, and soon after a checkpoint, so that the first \
change of each page writes the whole page to the log.

{table}
![Claims expired a second against the size of a batch]({NAME}-due.svg)
",
        due = grouped(report.settings.due.into()),
        live = grouped(live.into()),
        table = tables::due(&report.due)?,
    ))
}

fn shares(report: &Report) -> Result<String> {
    let daemon = &report.daemon;
    Ok(format!(
        "## A daemon at its default interval

Nothing is due. For Postgres what it does beyond the {alone:.2} % and {wal} kB/s that the server's \
signatures cost it anyway. *At rest* the self-check rests; *in all* is from the end of one round of it to the end \
of the next, which took {check} ms of that time.

| | seconds | the reaper's process | Postgres for it | together | WAL kB/s |
|---|---|---|---|---|---|
{rest}
{all}

A pass at rest takes {pass} ms.
",
        alone = daemon.alone.postgres_percent,
        wal = rounded(daemon.alone.wal_kb_per_second),
        check = grouped(daemon.self_check_ms),
        rest = tables::share_row("at rest", &daemon.at_rest),
        all = tables::share_row("in all", &daemon.in_all),
        pass = daemon.pass_ms,
    ))
}

fn beats(report: &Report) -> Result<String> {
    let (settings, beats) = (&report.settings, &report.beats);
    Ok(format!(
        "## Heartbeats beside it

{rate} heartbeats a second through gRPC, sent at their times by {holders} holders in turn for \
{load:?}; latencies are counted from the moment at which a heartbeat was to be sent. First alone; then \
while {due} claims fall due one after the other, of which two daemons expire {expired} meanwhile.

| | heap-only | p50 ms | p99 ms | p99.9 ms | longest ms |
|---|---|---|---|---|---|
{alone}
{beside}
",
        rate = grouped(settings.rate.into()),
        holders = grouped(beats.holders.into()),
        load = settings.load,
        due = grouped(beats.due.into()),
        expired = grouped(float(beats.expired)?),
        alone = tables::beats_row("alone", &beats.alone),
        beside = tables::beats_row("beside two reapers", &beats.beside),
    ))
}

fn plans(report: &Report) -> Result<String> {
    Ok(format!(
        "## Plans

Every statement of a complete pass with {due} due, as `auto_explain` saw it in the reaper's own \
session: its settings, its generic plans, its parameters, at the full size. Of each statement the \
slowest run is shown; explaining makes it slower than it is. A step is a node of the plan that \
touches a table or an index, with the number of its loops and, if there are any, of the rows that it \
looked at and did not want. A statement that ran once and touched nothing was only prepared.

{verdict}

| statement | runs | slowest ms | blocks | steps |
|---|---|---|---|---|
{rows}",
        due = grouped(report.settings.due.min(super::plans::DUE_MAX).into()),
        verdict = tables::plans_verdict(&report.plans),
        rows = tables::plans(&report.plans)?,
    ))
}
