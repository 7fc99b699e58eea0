//! Mints and heartbeats through gRPC, beside plain SQL on the same Postgres, in one run.

use crate::load::Measured;
use crate::numbers::median;
use crate::programs::Server;
use crate::stage::Stage;
use crate::{floor, load, progress, say};
use anyhow::Result;
use claims::program::parse_length;
use clap::Args;
use std::time::Duration;

/// Mints and heartbeats per second through gRPC, beside pgbench with the same work as plain
/// single statements.
///
/// Each scenario runs in turn with its floor, several rounds, and the medians are compared.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
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

/// Measures and prints.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let stage = Stage::set()?;
    let server = Server::start(stage.url(), &[])?;
    let runtime = tokio::runtime::Runtime::new()?;
    let mut rounds = Vec::new();
    for round in 1..=settings.rounds {
        progress(&format!("round {round} of {}", settings.rounds));
        let holders = runtime.block_on(load::holders(server.address(), settings.callers))?;
        rounds.push(Round {
            mint: runtime.block_on(load::mints(
                server.address(),
                settings.callers,
                settings.length,
                round,
            ))?,
            mint_floor: floor::mints(&stage, settings.callers, settings.length)?,
            heartbeat: runtime.block_on(load::heartbeats(holders, settings.length))?,
            heartbeat_floor: floor::heartbeats(
                &stage,
                settings.callers,
                settings.callers,
                settings.length,
            )?,
        });
    }
    report(settings, &rounds)
}

struct Round {
    mint: Measured,
    mint_floor: Measured,
    heartbeat: Measured,
    heartbeat_floor: Measured,
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
    line("mint", rounds, |round| (&round.mint, &round.mint_floor))?;
    line("heartbeat", rounds, |round| (&round.heartbeat, &round.heartbeat_floor))
}

fn line(name: &str, rounds: &[Round], of: impl Fn(&Round) -> (&Measured, &Measured)) -> Result<()> {
    let rate = median(rounds.iter().map(|round| of(round).0.per_second));
    let floor = median(rounds.iter().map(|round| of(round).1.per_second));
    let ratio = median(rounds.iter().map(|round| of(round).0.per_second / of(round).1.per_second));
    let p50 = median(rounds.iter().map(|round| of(round).0.p50_ms));
    let p99 = median(rounds.iter().map(|round| of(round).0.p99_ms));
    say(&format!("{name:<12}{rate:>12.0}{p50:>12.2}{p99:>12.2}{floor:>14.0}{ratio:>8.2}"))
}
