//! The service beside plain SQL and beside others, in one run: throughput, latency of one caller, cost
//! of each call; the same calls at many rows, with many holders, on several servers, while claims expire;
//! and overload.
//!
//! What is compared takes turns on the same machine, round by round, and the ratios of each round count.
//! Every answer is verified, and so is what is in the tables afterwards.

mod alone;
pub(crate) mod call;
mod contended;
mod contest;
mod cost;
mod crowd;
mod document;
mod etcd;
mod goals;
mod growth;
mod mixed;
mod open;
pub(crate) mod overload;
mod passes;
mod queues;
mod replicas;
mod report;
mod section;
mod settings;
mod sizes;
mod storm;
mod streams;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use settings::Settings;

use crate::machine::Machine;
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{machine, progress, say};
use anyhow::{Result, ensure};
use overload::Overload;
use report::{Report, Turns};
use section::Part;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Measures, prints, and writes the document.
pub(crate) fn run(asked: &Settings) -> Result<()> {
    let settings = &asked.checked()?;
    let mut run =
        Run { settings, began: Instant::now(), part_seconds: Vec::new(), failed: Vec::new() };
    let runtime = &Runtime::new()?;
    let (machine, turns, overload) = beside_others(&mut run, runtime)?;
    let report = Report {
        machine,
        settings: settings.clone(),
        turns,
        overload,
        open: run.part(Part::Open, || open::measure(settings, runtime)),
        fleet: run.part(Part::Fleet, || mixed::measure(settings, runtime)),
        contended: run.part(Part::Contended, || contended::measure(settings, runtime)),
        replicas: run.part(Part::Replicas, || replicas::measure(settings, runtime)),
        sizes: run.part(Part::Sizes, || sizes::measure(settings, runtime)),
        streams: run.part(Part::Streams, || streams::measure(settings, runtime)),
        storm: run.part(Part::Storm, || storm::measure(settings, runtime)),
        reaper: run.part(Part::Reaper, || passes::measure(settings)),
        growth: run.part(Part::Growth, || growth::measure(settings, runtime)),
        part_seconds: run.part_seconds,
        failed: run.failed,
        seconds: run.began.elapsed().as_secs(),
    };
    say(&document::terminal(&report)?)?;
    match &settings.out {
        Some(folder) => document::write(&report, folder)?,
        None => progress("nothing is written without --out"),
    }
    progress(&format!("done after {} s", report.seconds));
    ensure!(report.failed.is_empty(), "{} of the parts failed", report.failed.len());
    Ok(())
}

/// What is done and how long it took.
struct Run<'a> {
    settings: &'a Settings,
    began: Instant,
    part_seconds: Vec<(Part, u64)>,
    failed: Vec<(Part, String)>,
}

impl Run<'_> {
    /// Measures a part if it is wanted. One that fails is named on the page; what others measured in half
    /// an hour is not lost by it.
    fn part<T>(&mut self, part: Part, measure: impl FnOnce() -> Result<T>) -> Option<T> {
        if !self.settings.wants(part) {
            return None;
        }
        let began = Instant::now();
        let measured = match measure() {
            Ok(measured) => measured,
            Err(error) => {
                progress(&format!("*** {part:?} failed: {error:#}"));
                self.failed.push((part, format!("{error:#}")));
                return None;
            }
        };
        let seconds = began.elapsed().as_secs();
        progress(&format!("*** {part:?} took {seconds} s"));
        self.part_seconds.push((part, seconds));
        Some(measured)
    }
}

/// The parts that share a database: those that take turns, and overload.
fn beside_others(
    run: &mut Run<'_>,
    runtime: &Runtime,
) -> Result<(Machine, Option<Turns>, Option<Overload>)> {
    let settings = run.settings;
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let mut server = Server::start(stage.url(), &[])?;
    let turns = run.part(Part::Turns, || {
        let contested = contest::measure(settings, &stage, &sql, &server, runtime)?;
        Ok(Turns { contested, costs: cost::measure(settings, &stage, &sql, &server, runtime)? })
    });
    let overload = run.part(Part::Overload, || overload::measure(settings, &sql, &server, runtime));
    server.check()?;
    Ok((machine::describe(&sql)?, turns, overload))
}
