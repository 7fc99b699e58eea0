//! What is told of contention.

use super::{Answers, Contended};
use crate::compare::section::Section;
use crate::compare::settings::Settings;
use crate::numbers::{Spread, float, grouped, rounded};
use anyhow::Result;
use std::fmt::Write as _;

impl Section for Contended {
    fn text(&self, settings: &Settings) -> Result<String> {
        let mut table =
            "| | answers a second | accepted a second | accepted | refused | p50 ms | p99 ms |\n\
                         |---|---|---|---|---|---|---|\n"
                .to_owned();
        for (entities, rounds) in &self.ways {
            let spread = |of: fn(&Answers) -> f64| {
                Spread::of(rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
            };
            let what = match entities {
                None => "each of an entity of its own".to_owned(),
                Some(1) => "all of one entity".to_owned(),
                Some(entities) => format!("of {entities} entities"),
            };
            writeln!(
                table,
                "| {what} | {} | {} | {} | {} | {} | {} |",
                spread(|answers| answers.measured.per_second),
                spread(|answers| answers.accepted_per_second),
                grouped(float(rounds.iter().map(|answers| answers.accepted).sum())?),
                grouped(float(rounds.iter().map(|answers| answers.refused).sum())?),
                rounded(spread(|answers| answers.measured.p50_ms).median),
                rounded(spread(|answers| answers.measured.p99_ms).median),
            )?;
        }
        Ok(format!(
            "## One entity that all want

{callers} callers in closed loops mint claims of the same entities, with epochs that rise by one from call to \
call. A mint takes over from the one before it, or is refused as `EPOCH_FENCED` because a higher epoch came \
first; any other answer would have been an error. In the end each entity has one active claim, that of the \
highest epoch; its fence is the number of accepted mints, fences rise with epochs, and every other claim is \
superseded.

{table}",
            callers = settings.callers,
        ))
    }
}
