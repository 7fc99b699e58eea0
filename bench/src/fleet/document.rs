//! The document: what was measured, how, and the plot and numbers beside it.

mod tables;

use super::heartbeats::{Way, WayRounds, best_floor};
use super::memory::Memory;
use super::report::Report;
use super::watchers::Kind;
use crate::numbers::{Spread, float, grouped, rounded};
use crate::plot::{Axis, Plot, Series, draw};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

const NAME: &str = "fleet-performance";
/// Megabytes that the server should not exceed with ten thousand streams.
const GOAL_MB: f64 = 100.0;

/// Writes the document, its plot and its numbers into a folder.
pub(crate) fn write(report: &Report, folder: &Path) -> Result<()> {
    let one = |megabytes: f64| Spread::of([megabytes].into_iter());
    let mut idle = Vec::new();
    let mut beating = Vec::new();
    for memory in &report.memory {
        idle.push((memory.streams, one(megabytes(memory.idle)?)));
        let busy = memory.beating.map_or(memory.idle, |beating| beating.bytes);
        beating.push((memory.streams, one(megabytes(busy)?)));
    }
    let plot = Plot {
        title: "Memory of the server",
        x: "open KeepAlive streams",
        y: "resident megabytes",
        axis: Axis::Linear,
        series: &[
            Series { name: "each heartbeats", points: &beating },
            Series { name: "idle", points: &idle },
        ],
        limit: Some(GOAL_MB),
    };
    draw(&plot, &folder.join(format!("{NAME}-memory.svg")))?;
    let numbers = serde_json::to_string_pretty(report)? + "\n";
    std::fs::write(folder.join(format!("{NAME}.json")), numbers)?;
    let text = [head(report)?, ground(report), heartbeats(report)?, memory(report)?];
    let text = text.join("\n") + "\n" + &watchers(report)?;
    Ok(std::fs::write(folder.join(format!("{NAME}.md")), text)?)
}

/// The results, for a terminal.
pub(crate) fn table(report: &Report) -> Result<String> {
    let mut out = String::new();
    for (what, measured) in short(report)? {
        writeln!(out, "{what:<62}  {measured}")?;
    }
    write!(
        out,
        "\n{}\n{}\n{}",
        tables::heartbeats(&report.heartbeats)?,
        tables::memory(&report.memory)?,
        tables::watchers(&report.watchers)?
    )?;
    Ok(out)
}

/// The figures that the page is about.
fn short(report: &Report) -> Result<Vec<(String, String)>> {
    let mut rows = Vec::new();
    let floor = best_floor(&report.heartbeats)?;
    for way in &report.heartbeats {
        if way.way == floor.way || !matches!(way.way, Way::PlainSql(_)) {
            rows.push((format!("heartbeats, {}", tables::way(way.way)), rate(way, floor)));
        }
    }
    let most = most_streams(report)?;
    let streams = grouped(most.streams.into());
    rows.push((
        format!("memory of the server with {streams} idle streams"),
        format!("{:.0} MB", megabytes(most.idle)?),
    ));
    if let Some(beating) = most.beating {
        rows.push((
            "… while each heartbeats".to_owned(),
            format!(
                "{:.0} MB, {:.1} % of a core",
                megabytes(beating.bytes)?,
                beating.shares.server_percent
            ),
        ));
    }
    for watched in &report.watchers {
        let cut = watched.of(Kind::Cut)?;
        rows.push((
            format!("events seen by a watcher cut {} times", cut.cuts),
            format!("{} of {}", grouped(float(cut.events)?), grouped(float(watched.events)?)),
        ));
        let steady = watched.of(Kind::Steady)?;
        rows.push((
            format!("lag p50, p99 at {} events/s", grouped(watched.events_per_second()?)),
            format!("{}, {} ms", rounded(steady.lag_p50_ms), rounded(steady.lag_p99_ms)),
        ));
    }
    Ok(rows)
}

fn rate(way: &WayRounds, floor: &WayRounds) -> String {
    let rate = way.spread(|round| round.measured.per_second);
    if way.way == floor.way {
        return format!("{rate} /s");
    }
    format!("{rate} /s, {:.2} × plain SQL", way.ratio(floor).median)
}

fn most_streams(report: &Report) -> Result<&Memory> {
    report.memory.last().context("a number of streams")
}

fn megabytes(bytes: u64) -> Result<f64> {
    Ok(float(bytes)? / 1e6)
}

fn listed(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

fn head(report: &Report) -> Result<String> {
    let (machine, settings) = (&report.machine, &report.settings);
    let mut rows = String::new();
    for (what, measured) in short(report)? {
        writeln!(rows, "| {what} | {measured} |")?;
    }
    Ok(format!(
        "# What a fleet costs one server

Heartbeats by every way, thousands of open streams, and watchers that are cut off. Measured on {date} \
on {cores} cores with {memory} GiB of memory and Postgres {postgres}, in {minutes:.0} minutes, by

```
cargo build --release && target/release/claim-bench fleet --callers {callers} \\
    --under-way {under_way} --batch-callers {batch_callers} --claims {claims} --rounds {rounds} \\
    --length {length:?} --streams {streams} --connections {connections} --idle {idle:?} \\
    --beats {beats:?} --interval {interval:?} --rates {rates} --watch {watch:?} --cut {cut:?} \\
    --seed {seed}
```

which wrote this page, its plot and [its numbers]({NAME}.json). Postgres has its default settings, \
fsync on. It shares the {cores} cores with the server and the generator: read absolute figures as \
those of such a machine; the ratios carry over.

| | measured |
|---|---|
{rows}
Of several rounds the middle one is given, and behind it the least and the greatest. Shares are of \
one core, megabytes are millions of bytes.
",
        date = machine.date,
        cores = machine.cores,
        memory = machine.memory_gib,
        postgres = machine.postgres,
        minutes = float(report.seconds)? / 60.0,
        callers = settings.callers,
        under_way = settings.under_way,
        batch_callers = settings.batch_callers,
        claims = settings.claims,
        rounds = settings.rounds,
        length = settings.length,
        streams = listed(&settings.streams),
        connections = settings.connections,
        idle = settings.idle,
        beats = settings.beats,
        interval = settings.interval,
        rates = listed(&settings.rates),
        watch = settings.watch,
        cut = settings.cut,
        seed = settings.seed,
    ))
}

fn ground(report: &Report) -> String {
    format!(
        "## What was there

* The release build of `claim-server` with its default settings. No reaper.
* {claims} held claims with leases of ten minutes, each of its own entity.
* Callers are tasks of one process; those of heartbeats and of mints share {connections} connections.
",
        claims = grouped(report.settings.claims.into()),
        connections = crate::load::CONNECTIONS,
    )
}

fn heartbeats(report: &Report) -> Result<String> {
    let settings = &report.settings;
    let floor = best_floor(&report.heartbeats)?;
    Ok(format!(
        "## Heartbeats

Closed loops: a caller sends its next heartbeat when it has the answer to the last. {callers} callers \
of unary calls; {callers} streams with one heartbeat under way, and with {under_way}; {batch_callers} \
callers of batches of 500, whose latency is that of the call. Beside them pgbench with the same \
renewal as a plain, prepared statement of one of the same claims, chosen by chance. The ratio is to \
{floor}, its best. All take {length:?}, one after the other, round by round, beginning with another one \
in each round.

Every result was a renewal. After each measurement as many leases had been moved as claims had been \
named.

{table}
Processor times are of the whole process of the server and of all of Postgres, for each heartbeat.
",
        callers = settings.callers,
        under_way = settings.under_way,
        batch_callers = settings.batch_callers,
        length = settings.length,
        floor = tables::way(floor.way),
        table = tables::heartbeats(&report.heartbeats)?,
    ))
}

fn memory(report: &Report) -> Result<String> {
    let settings = &report.settings;
    let goal = grouped(GOAL_MB);
    let most = most_streams(report)?;
    let each = grouped(most.idle_each()?);
    let busy = most.beating.map(|beating| beating.each(most)).transpose()?.map(grouped);
    let verdict = match most.peak {
        peak if megabytes(peak)? <= GOAL_MB => "is met, the highest peak included",
        _ => "**is not met**",
    };
    Ok(format!(
        "## Streams

Resident memory of a fresh server for each number of streams, which share {connections} connections. \
Each stream holds a claim of its own and has heartbeaten once; *idle* is {idle:?} after the last. Then \
each heartbeats every {interval:?} for {beats:?}, at its own time, and the most that was seen meanwhile \
is given; latencies are counted from when a heartbeat was to be sent. In the end the streams leave, \
then the connections.

{table}
With {streams} of them a stream and its share of a connection add {each} bytes idle, {busy} while it \
heartbeats. The goal of {goal} MB {verdict}.

![Resident memory against open streams]({NAME}-memory.svg)
",
        connections = settings.connections,
        idle = settings.idle,
        interval = settings.interval,
        beats = settings.beats,
        table = tables::memory(&report.memory)?,
        streams = grouped(most.streams.into()),
        busy = busy.unwrap_or_default(),
    ))
}

fn watchers(report: &Report) -> Result<String> {
    let settings = &report.settings;
    let cut: Duration = settings.cut;
    Ok(format!(
        "## Watchers

For {watch:?} claims are minted at the asked rate and done at once, a thousand of them at the same time \
at most; a mint that has to wait because the server is behind is sent late. Meanwhile they are watched, \
from 1 s after the first mint: by one that begins with the oldest event and is cut off at random, after \
up to {cut:?}, with all that it had not read, and resumes behind the last event or checkpoint that it \
saw; by one that is never cut; by five that want the events of one entity; and by three that want what \
happens from now on.

In the end what each of them saw is compared with `claim_events`, field by field: it is equal, in order, \
each event once. The run would have failed otherwise.

{traffic}
*Lag* is from the time of an event to its receipt, for events that happened while the watcher was \
connected; it has the commit in it.

{table}",
        watch = settings.watch,
        traffic = tables::traffic(&report.watchers)?,
        table = tables::watchers(&report.watchers)?,
    ))
}
