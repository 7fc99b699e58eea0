//! Calls at their times, half as many as the server manages: what a caller meets on an ordinary day.

use super::call;
use super::crowd::{Crowd, check_ended};
use super::section::Section;
use super::settings::Settings;
use crate::fleet::heartbeats::{self, Way};
use crate::fleet::holders;
use crate::load::{OpenLoad, open};
use crate::numbers::{Spread, float, rounded};
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write as _;
use tokio::runtime::Runtime;

/// Of what a closed loop reaches just before.
const SHARE: f64 = 0.5;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Open {
    /// Mints with their dones; of the whole cycle.
    pub(crate) lives: Vec<Round>,
    pub(crate) heartbeats: Vec<Round>,
}

/// In one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    /// Of the closed loop.
    pub(crate) peak_per_second: f64,
    pub(crate) asked_per_second: f64,
    /// From when a call was to be sent.
    pub(crate) load: OpenLoad,
}

/// Measures.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Open> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let mut server = Server::start(stage.url(), &[])?;
    let address = server.address();
    runtime.block_on(holders::mint(address, settings.claims))?;
    sql.batch("VACUUM (ANALYZE)")?;
    let Settings { callers, length, claims, .. } = *settings;
    let mut measured = Open { lives: Vec::new(), heartbeats: Vec::new() };
    for round in 0..settings.rounds {
        progress(&format!("at their times: round {} of {}", round + 1, settings.rounds));
        let crowd = Crowd { address, callers, length };
        let (peak, _) = runtime.block_on(crowd.lives(&format!("q{round}_"), false))?;
        let asked = peak.per_second * SHARE;
        let lives = open(address, asked, length, |mut client, number| async move {
            let name = format!("l{round}_{number}");
            let token = call::mint(&mut client, &name).await?;
            call::done(&mut client, &name, &token).await
        });
        let load = OpenLoad::of(&runtime.block_on(lives)?)?;
        check_ended(&sql, &format!("l{round}_"), load.sent)?;
        let entry = Round { peak_per_second: peak.per_second, asked_per_second: asked, load };
        measured.lives.push(entry);

        let peak = heartbeats::send(Way::Unary, settings.sizes(callers), address);
        let peak = runtime.block_on(peak)?.measured.per_second;
        let asked = peak * SHARE;
        let since = sql.value("SELECT clock_timestamp()")?;
        let beats = open(address, asked, length, |mut client, number| async move {
            let holder = u32::try_from(number % u64::from(claims))?;
            holders::accept(client.heartbeat(holders::heartbeat(holder)).await?.get_ref())
        });
        let load = OpenLoad::of(&runtime.block_on(beats)?)?;
        heartbeats::check_moved(&sql, since, load.sent.min(u64::from(claims)))?;
        let entry = Round { peak_per_second: peak, asked_per_second: asked, load };
        measured.heartbeats.push(entry);
    }
    server.check()?;
    Ok(measured)
}

impl Section for Open {
    fn text(&self, settings: &Settings) -> Result<String> {
        let mut table =
            "| | closed loop, a second | sent a second | p50 ms | p99 ms | p99.9 ms | most ms |\n\
                         |---|---|---|---|---|---|---|\n"
                .to_owned();
        for (what, rounds) in [("mint + done", &self.lives), ("heartbeat", &self.heartbeats)] {
            let spread = |of: fn(&Round) -> f64| {
                Spread::of(rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
            };
            let sent = rounds.iter().map(|round| float(round.load.sent));
            let sent = sent.collect::<Result<Vec<f64>>>()?;
            let seconds = settings.length.as_secs_f64();
            writeln!(
                table,
                "| {what} | {} | {} | {} | {} | {} | {} |",
                spread(|round| round.peak_per_second),
                Spread::of(sent.iter().map(|sent| sent / seconds)),
                rounded(spread(|round| round.load.p50_ms).median),
                spread(|round| round.load.p99_ms),
                spread(|round| round.load.p999_ms),
                spread(|round| round.load.max_ms),
            )?;
        }
        Ok(format!(
            "## At half the peak

In each round first a closed loop of {callers} callers, then half as many calls a second as it reached, each \
sent at its time for {length:?}, whether or not others are answered. Latencies are counted from that time, \
those of mint and done over the whole cycle.

{table}",
            callers = settings.callers,
            length = settings.length,
        ))
    }
}
