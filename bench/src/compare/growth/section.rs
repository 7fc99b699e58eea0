//! What is told of growth.

use super::{At, Call, Compared, FIRST, Growth, SMALL, Size};
use crate::compare::document::NAME;
use crate::compare::goals::{Goal, at_most, ratio};
use crate::compare::section::Section;
use crate::compare::settings::Settings;
use crate::numbers::{Spread, float, grouped, rounded};
use crate::plot::{Axis, Plot, Series, draw};
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::Path;

/// How much longer a call may take at the most claims.
const MOST: f64 = 1.5;

impl Section for Growth {
    fn goals(&self) -> Result<Vec<Goal>> {
        let last = self.sizes.last().context("a size")?;
        let goal = |compared: &Compared| {
            let (rows, few) = (grouped(last.rows.into()), grouped(SMALL.into()));
            let what = format!("{} at {rows} claims against {few}: time", name(compared.call));
            at_most(&what, MOST, compared.times())
        };
        Ok(last.calls.iter().map(goal).collect())
    }

    fn text(&self, settings: &Settings) -> Result<String> {
        let last = self.sizes.last().context("a size")?;
        let left_out = match last.without_events {
            0 => String::new(),
            claims => format!(
                " At {} claims the events of the {} oldest are left out, as if they had been pruned.",
                grouped(last.rows.into()),
                grouped(float(claims)?)
            ),
        };
        Ok(format!(
            "## At many claims

Two databases side by side, each with its server: one is kept at {few} claims, the other grows. One claim \
in 20 is live; the others are of six days, finished, with two entities for each live claim, marks and \
events.{left_out} At each size both are vacuumed, analyzed and written, then measured in turns, {length:?} \
each, {rounds} rounds; a ratio is of the times of the same turn. Mint and done are by {callers} callers \
and of fresh consumers and entities, whose names are spread over the whole range like those of the table, \
so that they find their places all over the indexes; those of the small database are taken away after each \
turn. Heartbeats are over {streams} streams with {under_way} under way each, authorizations by {callers} \
callers, both of claims minted at that size.

{table}
{costs}
Buffers are counted in the first round, soon after the checkpoint; the others are the middle of all.

![Time of a call against claims]({NAME}-growth.svg)
",
            few = grouped(SMALL.into()),
            length = settings.length,
            rounds = settings.rounds,
            callers = settings.callers,
            streams = settings.streams,
            under_way = settings.under_way,
            table = times(&self.sizes)?,
            costs = costs(&self.sizes)?,
        ))
    }

    fn draw(&self, folder: &Path) -> Result<()> {
        let points = |call: Call| {
            let mut points = vec![(SMALL, Spread::of([1.0].into_iter()))];
            for size in &self.sizes {
                let compared = size.calls.iter().find(|compared| compared.call == call);
                points.extend(compared.map(|compared| (size.rows, compared.times())));
            }
            points
        };
        let (lives, beats, asked) =
            (points(Call::MintAndDone), points(Call::Heartbeat), points(Call::Authorize));
        let plot = Plot {
            title: "Time of a call at many claims, as a multiple of that at few",
            x: "claims in the table",
            y: "times as long",
            axis: Axis::Logarithmic,
            series: &[
                Series { name: "mint + done", points: &lives },
                Series { name: "heartbeat, KeepAlive", points: &beats },
                Series { name: "authorize", points: &asked },
            ],
            limit: Some(MOST),
        };
        draw(&plot, &folder.join(format!("{NAME}-growth.svg")))
    }
}

fn name(call: Call) -> &'static str {
    match call {
        Call::MintAndDone => "mint + done",
        Call::Heartbeat => "heartbeat, KeepAlive,",
        Call::Authorize => "authorize",
    }
}

fn times(sizes: &[Size]) -> Result<String> {
    let mut out =
        "| claims | filled in | size | | a second | p50 ms | p99 ms | with few, a second | p50 ms \
                   | p99 ms | times as long |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
            .to_owned();
    for size in sizes {
        for compared in &size.calls {
            writeln!(
                out,
                "| {} | {} s | {:.1} GB | {} | {} | {} | {} |",
                grouped(size.rows.into()),
                size.filled_in_seconds,
                float(size.bytes)? / 1e9,
                name(compared.call).trim_end_matches(','),
                speed(&compared.large),
                speed(&compared.small),
                ratio(compared.times()),
            )?;
        }
    }
    Ok(out)
}

fn speed(at: &At) -> String {
    format!(
        "{} | {} | {}",
        at.spread(|once| once.measured.per_second),
        rounded(at.spread(|once| once.measured.p50_ms).median),
        rounded(at.spread(|once| once.measured.p99_ms).median),
    )
}

fn costs(sizes: &[Size]) -> Result<String> {
    let mut out = "| of each call at | | server µs | Postgres µs | buffers touched | WAL bytes |\n\
                   |---|---|---|---|---|---|\n"
        .to_owned();
    for size in sizes {
        for compared in &size.calls {
            let few = (size.rows == FIRST).then_some((SMALL, &compared.small));
            for (rows, at) in few.into_iter().chain([(size.rows, &compared.large)]) {
                writeln!(
                    out,
                    "| {} | {} | {} | {} | {} | {} |",
                    grouped(rows.into()),
                    name(compared.call).trim_end_matches(','),
                    rounded(at.spread(|once| once.server_cpu_us).median),
                    rounded(at.spread(|once| once.postgres_cpu_us).median),
                    at.buffers.map(rounded).unwrap_or_default(),
                    rounded(at.spread(|once| once.wal_bytes).median),
                )?;
            }
        }
    }
    Ok(out)
}
