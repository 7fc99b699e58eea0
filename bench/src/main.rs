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

/// What the help ends with. Made for terminals of 80 columns.
const MORE_HELP: &str = "\
Examples:
  cargo build --release
  target/release/claim-bench calls --callers 1    # one caller alone
  target/release/claim-bench compare --quick      # less than five minutes
  target/release/claim-bench compare --only sizes # lanes and batches

Exit codes:
  0  measured
  1  it failed, or an answer was not the true one; no figure of it counts
  2  the arguments are wrong

Environment:
  PG_BIN_DIR  Folder of Postgres's programs; without it they are looked for by
              `pg_config --bindir`, in PATH and in /usr/lib/postgresql/*/bin

Files:
  The databases are made in the temporary folder and removed. What compare,
  fleet and reaper write goes to the folder of --out.";

/// Measures claim-server and claim-reaper on a private Postgres with its default, safe settings.
///
/// Both programs are expected beside this one, so build the workspace first. Figures go to standard
/// output, progress to standard error. Durations are written 500ms, 30s, 5m.
#[derive(Clone, Debug, Parser)]
#[command(name = "claim-bench", version, about, long_about, after_long_help = MORE_HELP)]
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
