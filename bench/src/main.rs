//! Measurements of the real programs on a private Postgres with its default, safe settings.
//!
//! Programs, Postgres and generator share the machine, so absolute figures say little about
//! production; the ratios of one run are what to read.

mod calls;
mod compare;
mod cpu;
mod fleet;
mod floor;
mod latencies;
mod load;
mod machine;
mod noisy;
mod numbers;
mod plot;
mod programs;
mod reaper;
mod resident;
mod sql;
mod stage;
mod wire;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::io::Write;

/// Measures claim-server and claim-reaper on a private Postgres with its default, safe settings.
///
/// Both programs are expected beside this one, so build the workspace first.
#[derive(Clone, Debug, Parser)]
#[command(name = "claim-bench", version, about, long_about)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    Calls(calls::Settings),
    Reaper(reaper::Settings),
    Fleet(fleet::Settings),
    Compare(compare::Settings),
    Noisy(noisy::Settings),
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Calls(settings) => calls::run(&settings),
        What::Reaper(settings) => reaper::run(&settings),
        What::Fleet(settings) => fleet::run(&settings),
        What::Compare(settings) => compare::run(&settings),
        What::Noisy(settings) => noisy::run(&settings),
    }
}

/// A line of the result.
fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}

/// A line for whoever waits.
fn progress(text: &str) {
    // Nobody waits if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
