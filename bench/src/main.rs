//! Load on a real claim-server, beside plain SQL on the same Postgres, in one run.
//!
//! Server, Postgres and generator share the machine, so absolute figures say little about
//! production; the ratios of one run are what to read.

mod floor;
mod load;
mod stage;

use anyhow::Result;
use claims::program::parse_length;
use clap::Parser;
use load::Measured;
use std::io::Write;
use std::time::Duration;

/// Mints and heartbeats per second through gRPC, beside pgbench with the same work as plain
/// single statements, on a private Postgres with its default, safe settings.
///
/// Each scenario runs in turn with its floor, several rounds, and the medians are compared.
#[derive(Clone, Debug, Parser)]
#[command(name = "claim-bench", version, about, long_about)]
struct Settings {
    /// Callers, each with one call under way
    #[arg(long, default_value_t = 64)]
    callers: usize,

    /// Length of each measurement
    #[arg(long, default_value = "5s", value_parser = parse_length)]
    length: Duration,

    /// Rounds
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

fn main() -> Result<()> {
    let settings = Settings::parse();
    let stage = stage::Stage::set()?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut rounds = Vec::new();
    for round in 1..=settings.rounds {
        say(&format!("round {round} of {}", settings.rounds))?;
        let holders = runtime.block_on(load::holders(stage.address(), settings.callers))?;
        rounds.push(Round {
            mint: runtime.block_on(load::mints(
                stage.address(),
                settings.callers,
                settings.length,
                round,
            ))?,
            mint_floor: floor::mints(&stage, settings.callers, settings.length)?,
            heartbeat: runtime.block_on(load::heartbeats(holders, settings.length))?,
            heartbeat_floor: floor::heartbeats(&stage, settings.callers, settings.length)?,
        });
    }
    report(&settings, &rounds)
}

struct Round {
    mint: Measured,
    mint_floor: f64,
    heartbeat: Measured,
    heartbeat_floor: f64,
}

fn report(settings: &Settings, rounds: &[Round]) -> Result<()> {
    say(&format!(
        "\n{} callers, {:?} each, median of {} rounds, fsync on\n\
         {:<12}{:>12}{:>12}{:>12}{:>14}{:>8}",
        settings.callers,
        settings.length,
        settings.rounds,
        "",
        "calls/s",
        "p50 ms",
        "p99 ms",
        "pgbench/s",
        "ratio"
    ))?;
    line("mint", rounds, |round| (&round.mint, round.mint_floor))?;
    line("heartbeat", rounds, |round| (&round.heartbeat, round.heartbeat_floor))
}

fn line(name: &str, rounds: &[Round], of: impl Fn(&Round) -> (&Measured, f64)) -> Result<()> {
    let rate = median(rounds.iter().map(|round| of(round).0.per_second));
    let floor = median(rounds.iter().map(|round| of(round).1));
    let ratio = median(rounds.iter().map(|round| of(round).0.per_second / of(round).1));
    let p50 = median(rounds.iter().map(|round| of(round).0.p50_ms));
    let p99 = median(rounds.iter().map(|round| of(round).0.p99_ms));
    say(&format!("{name:<12}{rate:>12.0}{p50:>12.2}{p99:>12.2}{floor:>14.0}{ratio:>8.2}"))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn say(text: &str) -> Result<()> {
    Ok(writeln!(std::io::stdout(), "{text}")?)
}
