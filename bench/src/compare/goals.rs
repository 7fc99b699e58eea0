//! What was to be reached, and whether it was.

use super::alone::Call;
use super::contest::Who;
use super::cost::What;
use super::overload::{Overload, TIMES};
use super::queues::Line;
use super::report::{Group, Report, Turns};
use super::settings::Settings;
use crate::fleet::heartbeats::Way;
use crate::numbers::{Spread, float, rounded};
use anyhow::Result;

/// A goal; met is decided by the middle of the rounds.
#[derive(Clone, Debug)]
pub(crate) struct Goal {
    pub(crate) what: String,
    pub(crate) goal: String,
    pub(crate) measured: String,
    pub(crate) met: bool,
}

/// A ratio with its spread.
pub(crate) fn ratio(ratio: Spread) -> String {
    if (ratio.max - ratio.min).abs() < 0.005 {
        return format!("{:.2} ×", ratio.median);
    }
    format!("{:.2} × ({:.2} … {:.2})", ratio.median, ratio.min, ratio.max)
}

/// All that were measured.
pub(crate) fn all(report: &Report) -> Result<Vec<Goal>> {
    let mut goals = Vec::new();
    if let Some(turns) = &report.turns {
        goals.extend(throughput(&report.settings, turns)?);
        goals.extend(alone(turns));
        goals.extend(peers(&report.settings, turns)?);
        goals.extend(costs(turns));
    }
    for section in report.sections() {
        goals.extend(section.goals()?);
    }
    if let Some(measured) = &report.overload {
        goals.extend(overload(measured)?);
    }
    Ok(goals)
}

/// That a ratio is no less.
pub(crate) fn at_least(what: &str, least: f64, measured: Spread) -> Goal {
    Goal {
        what: what.to_owned(),
        goal: format!("≥ {least} ×"),
        measured: ratio(measured),
        met: measured.median >= least,
    }
}

/// That a ratio is no more.
pub(crate) fn at_most(what: &str, most: f64, measured: Spread) -> Goal {
    Goal {
        what: what.to_owned(),
        goal: format!("≤ {most} ×"),
        measured: ratio(measured),
        met: measured.median <= most,
    }
}

fn throughput(settings: &Settings, turns: &Turns) -> Result<Vec<Goal>> {
    let cycles = turns.of(&Who::Cycle)?.ratio(turns.floor(Group::Cycles)?);
    let floor = turns.floor(Group::Heartbeats)?;
    let beats = |way| Ok::<_, anyhow::Error>(turns.of(&Who::Heartbeat(way))?.ratio(floor));
    let under_way = settings.under_way;
    let callers = settings.callers;
    Ok(vec![
        at_least(&format!("mint + done, {callers} callers, against pgbench"), 2.5, cycles),
        at_least("heartbeat, unary, against pgbench", 0.8, beats(Way::Unary)?),
        at_least("heartbeat, KeepAlive, against pgbench", 2.0, beats(Way::KeepAlive(under_way))?),
        at_least("heartbeat, batches of 500, against pgbench", 5.0, beats(Way::Batch)?),
    ])
}

fn alone(turns: &Turns) -> Vec<Goal> {
    let alone = &turns.contested.alone;
    let goal = |pair| {
        let beyond = alone.beyond_echo(pair);
        Goal {
            what: format!(
                "one caller alone, {}, p50 less one echo, against its statements over TCP",
                name(pair.call)
            ),
            goal: "≤ 1.3 ×".to_owned(),
            measured: ratio(beyond),
            met: beyond.median <= 1.3,
        }
    };
    alone.calls.iter().map(goal).collect()
}

fn peers(settings: &Settings, turns: &Turns) -> Result<Vec<Goal>> {
    let mut goals = Vec::new();
    for under_way in [1, settings.under_way] {
        let etcd = turns.of(&Who::EtcdKeepAlive(under_way))?;
        let ours = turns.of(&Who::Heartbeat(Way::KeepAlive(under_way)))?;
        let what = format!("KeepAlive against etcd's keep-alive, {under_way} under way each");
        goals.push(at_least(&what, 1.0, ours.ratio(etcd)));
    }
    let queue = Who::Queue(Line {
        name: "pg-boss".to_owned(),
        what: "fetch + touch + complete".to_owned(),
        callers: settings.callers,
        batch: 1,
    });
    if let Some(queue) = turns.find(&queue) {
        let ours = turns.of(&Who::CycleWithHeartbeat)?;
        let what = "mint + heartbeat + done against pg-boss's fetch + touch + complete";
        goals.push(at_least(what, 10.0, ours.ratio(queue)));
    }
    Ok(goals)
}

fn costs(turns: &Turns) -> Vec<Goal> {
    let mut goals = Vec::new();
    for charged in &turns.costs {
        let what = match charged.what {
            What::Call(Call::Heartbeat) if charged.callers > 1 => "unary heartbeats, many callers",
            What::KeepAlive(_) => "heartbeats by KeepAlive",
            What::Batch => "heartbeats in batches of 500",
            What::Call(_) => continue,
        };
        if let Some(percent) = charged.heap_only_percent() {
            goals.push(Goal {
                what: format!("{what}: heap-only"),
                goal: "≥ 99 %".to_owned(),
                measured: format!("{:.2} % (least {:.2})", percent.median, percent.min),
                met: percent.median >= 99.0,
            });
        }
        let wal = charged.spread(|charge| charge.wal_bytes);
        goals.push(Goal {
            what: format!("{what}: WAL of each"),
            goal: "≤ 150 B".to_owned(),
            measured: format!("{:.0} B ({:.0} … {:.0})", wal.median, wal.min, wal.max),
            met: wal.median <= 150.0,
        });
    }
    goals
}

fn overload(overload: &Overload) -> Result<Vec<Goal>> {
    let share = 100.0 * overload.minted_per_second / overload.peak_per_second;
    let offered = overload.sent_per_second / overload.peak_per_second;
    let told = overload.refused == overload.refused_saying_when && overload.failed == 0;
    let refused = overload.refused > 0;
    Ok(vec![
        Goal {
            what: format!("goodput at {TIMES:.0} times capacity ({offered:.1} times was sent)"),
            goal: "≥ 80 % of peak".to_owned(),
            measured: format!("{share:.0} %"),
            met: share >= 80.0 && offered >= TIMES * 0.95,
        },
        Goal {
            what: "refused calls: p99, all with RetryInfo".to_owned(),
            goal: "< 50 ms".to_owned(),
            measured: format!(
                "{} ms, {} of {} with RetryInfo, {} failed otherwise",
                rounded(overload.refused_p99_ms),
                rounded(float(overload.refused_saying_when)?),
                rounded(float(overload.refused)?),
                rounded(float(overload.failed)?),
            ),
            met: refused && told && overload.refused_p99_ms < 50.0,
        },
    ])
}

/// A call as a reader calls it.
pub(crate) fn name(call: Call) -> &'static str {
    match call {
        Call::Mint => "mint",
        Call::Heartbeat => "heartbeat",
        Call::Done => "done",
        Call::Authorize => "authorize",
    }
}

/// How many of them are met.
pub(crate) fn met(goals: &[Goal]) -> String {
    format!("{} of {}", goals.iter().filter(|goal| goal.met).count(), goals.len())
}
