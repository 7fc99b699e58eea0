//! The service beside plain SQL and beside others, in one run: throughput, latency of one caller, cost
//! of each call, and overload.
//!
//! Everybody takes turns on the same machine, round by round, and what is compared are the ratios of
//! each round. Every answer is verified, and so is what is in the tables afterwards.

mod alone;
mod call;
mod contest;
mod cost;
mod crowd;
mod document;
mod etcd;
mod goals;
mod overload;
mod queues;
mod report;
mod settings;
mod tables;
#[cfg(test)]
mod tests;

pub(crate) use settings::Settings;

use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{machine, progress, say};
use anyhow::Result;
use report::Report;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Measures, prints, and writes the document.
pub(crate) fn run(asked: &Settings) -> Result<()> {
    let settings = &asked.checked()?;
    let began = Instant::now();
    let stage = Stage::set()?;
    let sql = Sql::connect(stage.url())?;
    let mut server = Server::start(stage.url(), &[])?;
    let runtime = Runtime::new()?;
    let contested = contest::measure(settings, &stage, &sql, &server, &runtime)?;
    let costs = cost::measure(settings, &sql, &server, &runtime)?;
    let overload = overload::measure(settings, &sql, &server, &runtime)?;
    server.check()?;
    let report = Report {
        machine: machine::describe(&sql)?,
        settings: settings.clone(),
        contested,
        costs,
        overload,
        seconds: began.elapsed().as_secs(),
    };
    say(&document::terminal(&report)?)?;
    match &settings.out {
        Some(folder) => document::write(&report, folder)?,
        None => progress("a short run: nothing is written without --out"),
    }
    progress(&format!("done after {} s", report.seconds));
    Ok(())
}
