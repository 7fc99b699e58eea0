//! The sections of those that took turns.

use crate::compare::contest::Who;
use crate::compare::document::NAME;
use crate::compare::report::{Group, Turns};
use crate::compare::settings::Settings;
use crate::compare::tables;
use crate::numbers::Spread;
use crate::plot::{Axis, Plot, Series, draw};
use anyhow::Result;
use std::fmt::Write as _;
use std::path::Path;

/// Before what else was measured.
pub(super) fn first(settings: &Settings, turns: &Turns) -> Result<String> {
    let sections = [
        cycles(settings, turns)?,
        authorizations(settings, turns)?,
        heartbeats(settings, turns)?,
        alone(settings, turns)?,
    ];
    Ok(sections.join("\n"))
}

/// Behind it.
pub(super) fn last(settings: &Settings, turns: &Turns) -> Result<String> {
    Ok([costs(turns)?, peers(settings, turns)?].join("\n"))
}

/// The plot of plain SQL by its clients.
pub(super) fn plot(turns: &Turns, folder: &Path) -> Result<()> {
    let rate = |who: &Who| Ok::<_, anyhow::Error>(turns.of(who)?.spread(|r| r.measured.per_second));
    let mut points: Vec<(u32, Spread)> = Vec::new();
    for entry in &turns.contested.entries {
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
    draw(&plot, &folder.join(format!("{NAME}-cycles.svg")))
}

fn is_ours_or_plain(who: &Who) -> bool {
    !matches!(who, Who::Queue(_) | Who::EtcdCycle | Who::EtcdKeepAlive(_))
}

fn cycles(settings: &Settings, turns: &Turns) -> Result<String> {
    Ok(format!(
        "## Mint and done

{callers} callers, each with a closed loop: it mints a claim of a fresh entity, then says that it is done. \
Latencies are of the whole cycle. Beside them pgbench with the statements of both in two transactions, \
which lock, read and write the same rows of the same tables, epochs and events among them. The ratio is \
to {floor}, its best.

{table}
![Cycles a second by clients of pgbench]({NAME}-cycles.svg)
",
        callers = settings.callers,
        floor = turns.floor(Group::Cycles)?.way.name(),
        table = tables::group(turns, Group::Cycles, is_ours_or_plain)?,
    ))
}

fn authorizations(settings: &Settings, turns: &Turns) -> Result<String> {
    Ok(format!(
        "## Authorize

{callers} callers in closed loops, each for its own holders with their write tokens; beside them pgbench \
with the one query that reads what decides.

{table}",
        callers = settings.callers,
        table = tables::group(turns, Group::Authorizations, is_ours_or_plain)?,
    ))
}

fn heartbeats(settings: &Settings, turns: &Turns) -> Result<String> {
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
        floor = turns.floor(Group::Heartbeats)?.way.name(),
        table = tables::group(turns, Group::Heartbeats, is_ours_or_plain)?,
    ))
}

fn alone(settings: &Settings, turns: &Turns) -> Result<String> {
    Ok(format!(
        "## One caller alone

The life of a claim, {times} times in each round: an echo (`grpc.health.v1`, answered from memory), mint, \
heartbeat, authorize, done, one after the other. Beside it the same by one client of pgbench. What a call \
takes beyond the echo is compared with its statements, by the p50 of each round.

{table}",
        times = settings.alone,
        table = tables::alone(turns)?,
    ))
}

fn costs(turns: &Turns) -> Result<String> {
    Ok(format!(
        "## What a call costs

Of each call; of heartbeats in a batch, of the heartbeat. Statements and round trips are what passes a \
relay between a server of its own and Postgres, BEGIN and COMMIT among them; they were counted once, and a relay \
makes batches a little larger. WAL is the distance that its insert position \
moved, full-page images after a checkpoint among it. Buffers touched and commits are counted by Postgres, \
less what happens when nobody calls. Processor times are of the whole process of the server and of all of \
Postgres. All in each round; the middle is given, and behind it the least and the greatest.

{table}",
        table = tables::costs(turns)?,
    ))
}

fn peers(settings: &Settings, turns: &Turns) -> Result<String> {
    let not_plain = |who: &Who| !is_ours_or_plain(who);
    let cycles = tables::group(turns, Group::Cycles, |who| {
        not_plain(who) || matches!(who, Who::Cycle | Who::CycleWithHeartbeat)
    })?;
    let heartbeats = tables::group(turns, Group::Heartbeats, |who| {
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
        fsync = turns.contested.etcd_fsync_ms,
    );
    for about in &turns.contested.queues {
        writeln!(
            text,
            "* {} {}, with {} connections: {}.",
            about.name, about.version, about.pool, about.durable
        )?;
    }
    if turns.contested.queues.is_empty() {
        writeln!(text, "* The job queues were not measured in this run.")?;
    } else {
        writeln!(
            text,
            "\nA job of a queue is whatever comes next: nobody asks for one by name, and adding it is not in \
             the time. graphile-worker has no heartbeat. {} callers each, half as long as the others. What is \
             unfair to whom is listed beside the [programs](../bench/peers/README.md).",
            settings.callers
        )?;
    }
    write!(text, "\nLives of claims and jobs:\n\n{cycles}\nSigns of life:\n\n{heartbeats}")?;
    Ok(text)
}
