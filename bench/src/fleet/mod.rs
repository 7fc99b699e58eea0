//! What a fleet asks of one server: heartbeats in three ways, thousands of open streams, and
//! watchers that are cut off and resume.
//!
//! The server is the real program with its default settings. No reaper runs: nothing here is to end
//! by itself. Everything that is measured is also verified, and a difference is an error.

mod document;
pub(crate) mod heartbeats;
pub(crate) mod holders;
mod line;
pub(crate) mod memory;
pub(crate) mod meter;
mod report;
mod settings;
mod streams;
#[cfg(test)]
pub(crate) mod testing;
mod watchers;

pub(crate) use settings::Settings;

use crate::sql::Sql;
use crate::stage::Stage;
use crate::{machine, progress, say};
use anyhow::Result;
use report::Report;
use std::time::Instant;

/// Measures, prints, and writes the document.
pub(crate) fn run(asked: &Settings) -> Result<()> {
    let settings = &asked.checked()?;
    let began = Instant::now();
    let stage = Stage::set()?;
    let sql = Sql::connect(stage.url())?;
    let heartbeats = heartbeats::measure(settings, &stage, &sql)?;
    let memory = memory::measure(settings, &stage, &sql)?;
    let watchers = watchers::measure(settings, &stage, &sql)?;
    let report = Report {
        machine: machine::describe(&sql)?,
        settings: settings.clone(),
        heartbeats,
        memory,
        watchers,
        seconds: began.elapsed().as_secs(),
    };
    say(&document::table(&report)?)?;
    match &settings.out {
        Some(folder) => document::write(&report, folder)?,
        None => progress("a short run: nothing is written without --out"),
    }
    progress(&format!("done after {} s", report.seconds));
    Ok(())
}
