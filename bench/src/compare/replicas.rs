//! Several servers on one Postgres, over which the callers are spread.

use super::crowd::{Crowd, check_ended};
use super::section::Section;
use super::settings::Settings;
use crate::fleet::heartbeats::{self, Way};
use crate::fleet::holders;
use crate::load::Measured;
use crate::numbers::{Spread, rounded};
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write as _;
use tokio::runtime::Runtime;

/// Numbers of servers.
const SERVERS: [usize; 3] = [1, 2, 4];

/// What came of it, by the number of servers.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Replicas {
    pub(crate) servers: Vec<Replica>,
}

/// With so many.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Replica {
    pub(crate) servers: usize,
    /// Mints with their dones.
    pub(crate) lives: Vec<Measured>,
    /// Unary heartbeats.
    pub(crate) heartbeats: Vec<Measured>,
}

/// Measures; the servers that are not called sign their liveness and are otherwise idle.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Replicas> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let most = SERVERS.iter().max().copied().unwrap_or(1);
    let started = (0..most).map(|_| Server::start(stage.url(), &[])).collect::<Result<Vec<_>>>();
    let mut servers = started?;
    let addresses: Vec<String> = servers.iter().map(|server| server.address().to_owned()).collect();
    let of = |count: usize| addresses.get(..count).map(|some| some.join(",")).context("servers");
    runtime.block_on(holders::mint(&of(1)?, settings.claims))?;
    sql.batch("VACUUM (ANALYZE)")?;
    let empty = |servers| Replica { servers, lives: Vec::new(), heartbeats: Vec::new() };
    let mut all = Vec::from(SERVERS.map(empty));
    for round in 0..settings.rounds {
        progress(&format!("replicas: round {} of {}", round + 1, settings.rounds));
        for place in 0..all.len() {
            let first = usize::try_from(round)?;
            let some = all.get_mut((first + place) % SERVERS.len()).context("a number")?;
            let address = of(some.servers)?;
            let Settings { callers, length, .. } = *settings;
            let names = format!("n{round}_{}_", some.servers);
            let crowd = Crowd { address: &address, callers, length };
            let (measured, count) = runtime.block_on(crowd.lives(&names, false))?;
            check_ended(&sql, &names, count)?;
            some.lives.push(measured);
            let since = sql.value("SELECT clock_timestamp()")?;
            let sizes = settings.sizes(callers);
            let beaten = runtime.block_on(heartbeats::send(Way::Unary, sizes, &address))?;
            heartbeats::check_moved(&sql, since, beaten.touched)?;
            some.heartbeats.push(beaten.measured);
        }
    }
    for server in &mut servers {
        server.check()?;
    }
    Ok(Replicas { servers: all })
}

impl Section for Replicas {
    fn text(&self, settings: &Settings) -> Result<String> {
        let mut table = "| servers | mint + done, a second | p50 ms | p99 ms | unary heartbeats, a second | p50 ms \
                         | p99 ms |\n|---|---|---|---|---|---|---|\n"
            .to_owned();
        for some in &self.servers {
            let (lives, beats) = (told(&some.lives), told(&some.heartbeats));
            writeln!(table, "| {} | {lives} | {beats} |", some.servers)?;
        }
        Ok(format!(
            "## Several servers

{callers} callers, spread over one server, two, and four on one Postgres, in turns. The servers, Postgres \
and the generator share the cores of this machine, so this shows what several servers cost each other, not \
what more machines would bring.

{table}",
            callers = settings.callers,
        ))
    }
}

fn told(rounds: &[Measured]) -> String {
    let spread = |of: fn(&Measured) -> f64| {
        Spread::of(rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
    };
    format!(
        "{} | {} | {}",
        spread(|measured| measured.per_second),
        rounded(spread(|measured| measured.p50_ms).median),
        rounded(spread(|measured| measured.p99_ms).median),
    )
}
