//! A quiet tenant beside a noisy one: what the first feels of the second, which sends a hundred times its
//! quota, or as much where there is no quota and only turns in the queues keep it from taking all.
//!
//! The two share the cores with the server, Postgres and the generator, so a part of what is felt is that
//! another program runs at all.

mod quiet;
#[cfg(test)]
mod tests;

use crate::compare::overload::Flood;
use crate::numbers::{Spread, float, rounded};
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{progress, say};
use anyhow::{Context, Result, ensure};
use claims::program::parse_length;
use clap::Args;
use quiet::Quiet;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::runtime::Runtime;

const NOISY: &str = "noisy";
/// Claims that the noisy tenant was given.
const MINTED: &str = "SELECT count(*) FROM consumer_claims WHERE tenant_id = 'noisy'";

/// A tenant far beyond its quota of calls, and what another one feels of it.
///
/// In each round, on a server with the quota and on one without: the quiet tenant alone, then beside the
/// noisy one.
#[derive(Clone, Debug, Args)]
pub(crate) struct Settings {
    /// Calls a second that the noisy tenant may send
    #[arg(long, default_value_t = 100)]
    quota: u32,

    /// How many times as many it sends
    #[arg(long, default_value_t = 100)]
    times: u32,

    /// Claims a second that the quiet tenant mints, heartbeats and ends
    #[arg(long, default_value_t = 50)]
    lives: u32,

    /// Length of each measurement
    #[arg(long, default_value = "5s", value_parser = parse_length)]
    length: Duration,

    /// Rounds
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// One measurement of a quiet tenant, alone and beside a noisy one.
struct Round {
    alone: Quiet,
    beside: Quiet,
    flood: Flood,
}

/// Measures and prints.
pub(crate) fn run(settings: &Settings) -> Result<()> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let runtime = Runtime::new()?;
    let file = stage.folder().join("quotas.toml");
    std::fs::create_dir_all(stage.folder())?;
    std::fs::write(&file, quotas(settings))?;
    let file = file.to_str().context("a path")?;
    let mut limited = Server::start(stage.url(), &[("CLAIM_QUOTA_FILE", file)])?;
    let mut unlimited = Server::start(stage.url(), &[])?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 1..=settings.rounds {
        progress(&format!("round {round} of {}", settings.rounds));
        let measured = measure(settings, limited.address(), &format!("l{round}_"), &sql, &runtime)?;
        check_limited(settings, &measured)?;
        with.push(measured);
        let measured =
            measure(settings, unlimited.address(), &format!("u{round}_"), &sql, &runtime)?;
        ensure!(measured.flood.names_quota == 0, "a quota where there is none");
        without.push(measured);
    }
    limited.check()?;
    unlimited.check()?;
    say(&text(settings, &with, &without)?)
}

/// The file of quotas.
fn quotas(settings: &Settings) -> String {
    format!("[tenant.{NOISY}]\ncalls_per_second = {}\n", settings.quota)
}

fn measure(
    settings: &Settings,
    address: &str,
    prefix: &str,
    sql: &Sql,
    runtime: &Runtime,
) -> Result<Round> {
    let Settings { lives, length, .. } = *settings;
    let alone = runtime.block_on(Quiet::watch(address, lives, length, &format!("{prefix}a")))?;
    let before: i64 = sql.value(MINTED)?;
    let rate = f64::from(settings.quota) * f64::from(settings.times);
    let flood = {
        let (address, prefix) = (address.to_owned(), prefix.to_owned());
        runtime.spawn_blocking(move || Flood::send_of(NOISY, &prefix, &address, rate, length))
    };
    let beside = runtime.block_on(Quiet::watch(address, lives, length, &format!("{prefix}b")))?;
    let flood = runtime.block_on(flood)??;
    let minted: i64 = sql.value(MINTED)?;
    ensure!(u64::try_from(minted - before)? == flood.minted.count(), "mints that are in the table");
    ensure!(flood.failed == 0, "some calls failed with {:?}", flood.failed_with);
    ensure!(flood.says_when == flood.refused.count(), "a refusal that does not say when");
    Ok(Round { alone, beside, flood })
}

/// Whether the noisy tenant was kept to its quota, by it alone.
fn check_limited(settings: &Settings, round: &Round) -> Result<()> {
    let flood = &round.flood;
    ensure!(flood.names_quota == flood.refused.count(), "a refusal for another reason");
    // A burst, and what comes in the time; a second more for whatever was late.
    let seconds = settings.length.as_secs().saturating_add(2);
    let allowed = u64::from(settings.quota).saturating_mul(seconds);
    ensure!(flood.minted.count() <= allowed, "{} mints, more than {allowed}", flood.minted.count());
    Ok(())
}

fn text(settings: &Settings, with: &[Round], without: &[Round]) -> Result<String> {
    let Settings { quota, times, lives, length, rounds, .. } = settings;
    let mut out = format!(
        "\nA quiet tenant mints, heartbeats and ends {lives} claims a second; beside it another sends {} mints \
         a second, {times} times a quota of {quota}.\nMedian of {rounds} rounds of {length:?} each (least … \
         greatest); milliseconds from when a call was due.\n\n\
         | noisy tenant | share | alone | beside it | ratio |\n|---|---|---|---|---|\n",
        quota * times
    );
    for (name, rounds) in [("with the quota", with), ("without", without)] {
        for (share, quantile) in [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)] {
            let of = |quiet: fn(&Round) -> &Quiet| {
                let all = rounds.iter().map(|round| quiet(round).calls.quantile_ms(quantile));
                all.collect::<Result<Vec<f64>>>()
            };
            let (alone, beside) = (of(|round| &round.alone)?, of(|round| &round.beside)?);
            let ratios = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone);
            writeln!(
                out,
                "| {name} | {share} | {} | {} | {} |",
                Spread::of(alone.iter().copied()),
                Spread::of(beside.iter().copied()),
                Spread::of(ratios),
            )?;
        }
    }
    out.push('\n');
    for (name, rounds) in [("with the quota", with), ("without", without)] {
        let a_second = |of: fn(&Flood) -> u64| {
            let all = rounds.iter().map(|round| Ok(float(of(&round.flood))? / round.flood.seconds));
            Ok::<_, anyhow::Error>(Spread::of(all.collect::<Result<Vec<f64>>>()?.into_iter()))
        };
        let refused = rounds.iter().map(|round| round.flood.refused.quantile_ms(0.99));
        writeln!(
            out,
            "{name}: the noisy one sent {} a second, was given {}, was refused {} (p99 {} ms); each \
             refusal said when to come back{}",
            a_second(|flood| flood.sent)?,
            a_second(|flood| flood.in_time)?,
            a_second(|flood| flood.refused.count())?,
            rounded(Spread::of(refused.collect::<Result<Vec<f64>>>()?.into_iter()).median),
            if rounds.iter().all(|round| round.flood.names_quota > 0) {
                ", by QUOTA_EXCEEDED"
            } else {
                ""
            },
        )?;
    }
    Ok(out)
}
