//! The document: what was measured, how, and the plot and numbers beside it.

use super::contest::Who;
use super::report::{Group, Report};
use super::{goals, tables};
use crate::numbers::{Spread, float, grouped};
use crate::plot::{Axis, Plot, Series, draw};
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

const NAME: &str = "performance";

/// Writes the document, its plot and its numbers into a folder.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    let rate =
        |who: &Who| Ok::<_, anyhow::Error>(report.of(who)?.spread(|r| r.measured.per_second));
    let mut points: Vec<(u32, Spread)> = Vec::new();
    for entry in &report.contested.entries {
        if let Who::CycleSql(clients) = entry.way {
            points.push((clients, rate(&entry.way)?));
        }
    }
    points.sort_by_key(|(clients, _)| *clients);
    let plot = Plot {
        title: "Mints and their dones as plain SQL; the grey line is the service",
        x: "clients of pgbench",
        y: "cycles a second",
        axis: Axis::Linear,
        series: &[Series { name: "", points: &points }],
        limit: Some(rate(&Who::Cycle)?.median),
    };
    draw(&plot, &folder.join(format!("{NAME}-cycles.svg")))?;
    let numbers = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(folder.join(format!("{NAME}.json")), numbers)?;
    let parts = [
        head(report)?,
        ground(report),
        cycles(report)?,
        authorizations(report)?,
        heartbeats(report)?,
        alone(report)?,
        costs(report)?,
        overload(report)?,
        peers(report)?,
    ];
    Ok(std::fs::write(folder.join(format!("{NAME}.md")), parts.join("\n"))?)
}

/// The results, for a terminal.
pub(crate) fn terminal(report: &Report) -> Result<String> {
    tables::all(report)
}

fn is_ours_or_plain(who: &Who) -> bool {
    !matches!(who, Who::Queue(_) | Who::EtcdCycle | Who::EtcdKeepAlive(_))
}

fn head(report: &Report) -> Result<String> {
    let (machine, settings) = (&report.machine, &report.settings);
    let goals = goals::all(report)?;
    Ok(format!(
        "# What a durable claim costs

The service beside the same work as plain SQL and beside others, in one run. Measured on {date} on {cores} \
cores with {memory} GiB of memory and Postgres {postgres}, in {minutes:.0} minutes, by

```
cargo build --release && target/release/claim-bench compare --callers {callers} --streams {streams} \\
    --under-way {under_way} --batch-callers {batch_callers} --claims {claims} --length {length:?} \\
    --rounds {rounds} --alone {alone} --charged {charged}{no_queues}
```

which wrote this page, its plot and [its numbers]({NAME}.json). Postgres has its default settings, \
fsync on. It shares the {cores} cores with the server and the generator: read absolute figures as those \
of such a machine; the ratios carry over.

Goals met: {met}.

{table}
A ratio is the middle of the ratios of all rounds, and behind it stand the least and the greatest. Costs \
and overload were measured once.
",
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
        no_queues = if settings.no_queues { " --no-queues" } else { "" },
        met = goals::met(&goals),
        table = tables::goals(&goals)?,
    ))
}

fn ground(report: &Report) -> String {
    format!(
        "## What was there

* The release build of `claim-server` with its default settings. No reaper.
* {claims} held claims with leases of ten minutes, each of its own entity; and what the rounds before \
left behind, which nobody removes.
* Callers are tasks of one process and share {connections} connections. pgbench runs prepared \
statements, one by one. The server and pgbench both reach Postgres over its Unix socket.
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

fn cycles(report: &Report) -> Result<String> {
    Ok(format!(
        "## Mint and done

{callers} callers, each with a closed loop: it mints a claim of a fresh entity, then says that it is done. \
Latencies are of the whole cycle. Beside them pgbench with the statements of both in two transactions, \
which lock, read and write the same rows of the same tables, epochs and events among them. The ratio is \
to {floor}, its best.

{table}
![Cycles a second by clients of pgbench]({NAME}-cycles.svg)
",
        callers = report.settings.callers,
        floor = report.floor(Group::Cycles)?.way.name(),
        table = tables::group(report, Group::Cycles, is_ours_or_plain)?,
    ))
}

fn authorizations(report: &Report) -> Result<String> {
    Ok(format!(
        "## Authorize

{callers} callers in closed loops, each for its own holders with their write tokens; beside them pgbench \
with the one query that reads what decides.

{table}",
        callers = report.settings.callers,
        table = tables::group(report, Group::Authorizations, is_ours_or_plain)?,
    ))
}

fn heartbeats(report: &Report) -> Result<String> {
    let settings = &report.settings;
    Ok(format!(
        "## Heartbeats

{callers} callers of unary calls; {streams} streams with one heartbeat under way, and with {under_way}; \
{batch_callers} callers of batches of 500, whose latency is that of the call. Beside them pgbench with \
the same renewal as a plain statement of one of the same claims, chosen by chance. The ratio is to \
{floor}, its best.

{table}",
        callers = settings.callers,
        streams = settings.streams,
        under_way = settings.under_way,
        batch_callers = settings.batch_callers,
        floor = report.floor(Group::Heartbeats)?.way.name(),
        table = tables::group(report, Group::Heartbeats, is_ours_or_plain)?,
    ))
}

fn alone(report: &Report) -> Result<String> {
    Ok(format!(
        "## One caller alone

The life of a claim, {times} times in each round: an echo (`grpc.health.v1`, answered from memory), mint, \
heartbeat, authorize, done, one after the other. Beside it the same by one client of pgbench. What a call \
takes beyond the echo is compared with its statements, by the p50 of each round.

{table}",
        times = report.settings.alone,
        table = tables::alone(report)?,
    ))
}

fn costs(report: &Report) -> Result<String> {
    Ok(format!(
        "## What a call costs

Of each call; of heartbeats in a batch, of the heartbeat. WAL is the distance that its insert position \
moved, full-page images after a checkpoint among it. Buffers touched and commits are counted by Postgres, \
less what happens when nobody calls. Processor times are of the whole process of the server and of all of \
Postgres.

{table}",
        table = tables::costs(report)?,
    ))
}

fn overload(report: &Report) -> Result<String> {
    Ok(format!(
        "## Overload

First {callers} callers mint in a closed loop, which gives the peak. Then mints are sent at {times:.0} \
times that rate for {length:?}, whether or not others are answered. The generator has to share the cores, \
so what it really sent is given. Latencies are from the sending.

{table}
As many mints as were accepted are in the table.
",
        callers = report.settings.callers,
        times = super::overload::TIMES,
        length = report.settings.length,
        table = tables::overload(report)?,
    ))
}

fn peers(report: &Report) -> Result<String> {
    let not_plain = |who: &Who| !is_ours_or_plain(who);
    let cycles = tables::group(report, Group::Cycles, |who| {
        not_plain(who) || matches!(who, Who::Cycle | Who::CycleWithHeartbeat)
    })?;
    let heartbeats = tables::group(report, Group::Heartbeats, |who| {
        not_plain(who)
            || matches!(who, Who::Heartbeat(way) if !matches!(way, crate::fleet::heartbeats::Way::PlainSql(_)))
    })?;
    let mut text = format!(
        "## Beside others

Measured in the same rounds. What each makes durable when its call returns:

* The service: every mint, heartbeat and done is committed to Postgres before it is answered. It keeps \
one holder for each entity, fences, write tokens and events.
* etcd, one member, default settings, its log on the same disk: granting, putting and revoking are synced \
to its log ({fsync:.2} ms a sync). **A keep-alive is not**: it moves a time in memory, and after a change of \
leader every lease begins anew.
",
        fsync = report.contested.etcd_fsync_ms,
    );
    for about in &report.contested.queues {
        writeln!(
            text,
            "* {} {}, with {} connections: {}.",
            about.name, about.version, about.pool, about.durable
        )?;
    }
    if report.contested.queues.is_empty() {
        writeln!(text, "* The job queues were not measured in this run.")?;
    } else {
        writeln!(
            text,
            "\nA job of a queue is whatever comes next: nobody asks for one by name, and adding it is not in \
             the time. graphile-worker has no heartbeat. {} callers each, half as long as the others. What is \
             unfair to whom is listed beside the [programs](../bench/peers/README.md).",
            report.settings.callers
        )?;
    }
    write!(text, "\nLives of claims and jobs:\n\n{cycles}\nSigns of life:\n\n{heartbeats}")?;
    Ok(text)
}
