//! Rows of the document's tables.

use crate::numbers::{grouped, rounded};
use crate::reaper::pass::Pass;
use crate::reaper::plans::{Plan, Step};
use crate::reaper::report::{Beats, DuePasses, IdlePasses, Share, per_second, spread};
use anyhow::Result;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Tables that a pass reads whole, and why it may.
const MEANT_TO_BE_READ_WHOLE: [(&str, &str); 2] = [
    ("claim_leases", "by the one scan of a pass"),
    ("reaper_passes", "which never has more than a thousand rows"),
];

/// A share in one line.
pub(crate) fn share(share: &Share) -> String {
    format!("{:.2} %, and {:.2} % in Postgres", share.reaper_percent, share.postgres_percent)
}

pub(crate) fn share_row(name: &str, share: &Share) -> String {
    let (reaper, postgres) = (share.reaper_percent, share.postgres_percent);
    let seconds = share.seconds;
    let (together, wal) = (reaper + postgres, rounded(share.wal_kb_per_second));
    format!("| {name} | {seconds:.0} | {reaper:.2} % | {postgres:.2} % | {together:.2} % | {wal} |")
}

pub(crate) fn idle(sizes: &[IdlePasses]) -> Result<String> {
    let mut out =
        "| live | finished | daemon's pass ms | `--once` ms | its processor ms | Postgres's |\n\
        |---|---|---|---|---|---|\n"
            .to_owned();
    for IdlePasses { claims, daemon_ms, once } in sizes {
        let (live, finished) = (grouped(claims.live.into()), grouped(claims.finished.into()));
        let of = |value: fn(&Pass) -> f64| spread(once, value);
        writeln!(
            out,
            "| {live} | {finished} | {} | {} | {} | {} |",
            daemon_ms,
            of(|pass| pass.wall_ms),
            of(|pass| pass.reaper_cpu_ms),
            of(|pass| pass.postgres_cpu_ms)
        )?;
    }
    Ok(out)
}

pub(crate) fn due(sizes: &[DuePasses]) -> Result<String> {
    let mut out =
        "| batch | claims/s | pass ms | reaper's processor ms | Postgres's | WAL kB/claim |\n\
        |---|---|---|---|---|---|\n"
            .to_owned();
    for DuePasses { batch, passes } in sizes {
        writeln!(
            out,
            "| {batch} | {} | {} | {} | {} | {} |",
            spread(passes, per_second),
            spread(passes, |pass| pass.duration_ms),
            spread(passes, |pass| pass.reaper_cpu_ms),
            spread(passes, |pass| pass.postgres_cpu_ms),
            spread(passes, |pass| pass.wal_kb_per_claim)
        )?;
    }
    Ok(out)
}

pub(crate) fn beats_row(name: &str, beats: &Beats) -> String {
    let load = &beats.measured;
    let [p50, p99, p999, max] = [load.p50_ms, load.p99_ms, load.p999_ms, load.max_ms].map(rounded);
    format!("| {name} | {:.2} % | {p50} | {p99} | {p999} | {max} |", beats.heap_only_percent)
}

/// Which tables are read from one end to the other, and why that is as it should be, if it is.
pub(crate) fn plans_verdict(plans: &[Plan]) -> String {
    let steps = plans.iter().flat_map(|plan| &plan.steps);
    let whole: BTreeSet<&str> =
        steps.filter(|step| step.reads_all()).map(|step| step.of.as_str()).collect();
    if whole.is_empty() {
        return "No table is read whole.".to_owned();
    }
    let whole: Vec<String> = whole
        .into_iter()
        .map(|table| match MEANT_TO_BE_READ_WHOLE.iter().find(|(meant, _)| *meant == table) {
            Some((_, why)) => format!("`{table}`, {why}"),
            None => format!("**`{table}`**"),
        })
        .collect();
    format!("Read whole: {}. In all others rows are sought.", whole.join("; "))
}

pub(crate) fn plans(plans: &[Plan]) -> Result<String> {
    let mut out = String::new();
    for plan in plans {
        let steps: Vec<String> = plan.steps.iter().map(step).collect();
        let steps = if steps.is_empty() { "none".to_owned() } else { steps.join(", ") };
        writeln!(
            out,
            "| {} | {} | {:.1} | {} | {steps} |",
            plan.meaning, plan.executions, plan.slowest_ms, plan.blocks
        )?;
    }
    Ok(out)
}

fn step(step: &Step) -> String {
    let filtered = match step.filtered {
        0 => String::new(),
        rows => format!(", {rows} not wanted"),
    };
    format!("{} `{}` × {}{filtered}", step.node, step.of, step.loops)
}
