//! What a call costs, by one caller and by many: statements and round trips, WAL, heap-only updates,
//! shared buffers, commits, and processor time of the server and of Postgres.

pub(crate) mod claims;
pub(crate) mod counts;
mod steps;

use super::alone::Call;
use super::settings::Settings;
use crate::fleet::meter::Meter;
use crate::numbers::{Spread, float};
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::wire::Relay;
use anyhow::{Context, Result};
use counts::{Counts, STATISTICS_LATE, wal};
use serde::Serialize;
use std::thread::sleep;
use tokio::runtime::Runtime;

/// What is charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum What {
    Call(Call),
    /// Over streams, with so many of each under way.
    KeepAlive(u32),
    Batch,
}

/// What each of these calls cost; of a heartbeat in a batch, the heartbeat.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Charge {
    pub(crate) calls: u64,
    pub(crate) wal_bytes: f64,
    pub(crate) server_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
    /// None in the short form: Postgres takes its time to tell.
    pub(crate) counted: Option<Counted>,
}

/// What Postgres counted of each of them.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Counted {
    pub(crate) buffers: f64,
    pub(crate) commits: f64,
    /// Of the updates of leases; none if there were none.
    pub(crate) heap_only_percent: Option<f64>,
}

/// What each of them sent to Postgres.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Wire {
    pub(crate) statements: f64,
    pub(crate) round_trips: f64,
}

/// The same in all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Charged {
    pub(crate) what: What,
    pub(crate) callers: u32,
    pub(crate) wire: Wire,
    pub(crate) rounds: Vec<Charge>,
}

impl Charged {
    /// A number of every round.
    pub(crate) fn spread(&self, of: impl Fn(&Charge) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
    }

    /// A number of every round that Postgres counted, if it was asked.
    pub(crate) fn counted(&self, of: impl Fn(&Counted) -> Option<f64>) -> Option<Spread> {
        let of = |charge: &Charge| charge.counted.as_ref().and_then(&of);
        let all: Option<Vec<f64>> = self.rounds.iter().map(of).collect();
        all.map(|all| Spread::of(all.into_iter()))
    }

    /// Of the updates of leases, if these are heartbeats.
    pub(crate) fn heap_only_percent(&self) -> Option<Spread> {
        let is_heartbeat = !matches!(self.what, What::Call(call) if call != Call::Heartbeat);
        self.counted(|counted| counted.heap_only_percent.filter(|_| is_heartbeat))
    }
}

struct Till<'a> {
    server: &'a Server,
    sql: &'a Sql,
    /// What happens in a second when nobody calls; none if Postgres is not asked for its counts.
    idle: Option<Counts>,
}

/// Measures, several rounds.
pub(crate) fn measure(
    settings: &Settings,
    stage: &Stage,
    sql: &Sql,
    server: &Server,
    runtime: &Runtime,
) -> Result<Vec<Charged>> {
    let mut all = sent(settings, stage, runtime)?;
    progress("what calls cost; waiting for statistics in between");
    sql.batch("VACUUM (ANALYZE)")?;
    sql.batch("CHECKPOINT")?;
    let idle = if settings.quick {
        None
    } else {
        sleep(STATISTICS_LATE);
        Some(Counts::idle(sql)?)
    };
    let till = Till { server, sql, idle };
    for round in 0..settings.rounds {
        let names = format!("k{round}");
        steps::each(settings, runtime, server.address(), &names, |what, callers, step| {
            progress(&format!("{what:?} by {callers}, round {} of {}", round + 1, settings.rounds));
            let charge = till.charge(step)?;
            let is_it = |known: &&mut Charged| (known.what, known.callers) == (what, callers);
            all.iter_mut().find(is_it).context("a known step")?.rounds.push(charge);
            Ok(())
        })?;
    }
    Ok(all)
}

/// What goes over the wire, on a server of its own; nothing else is measured there.
fn sent(settings: &Settings, stage: &Stage, runtime: &Runtime) -> Result<Vec<Charged>> {
    let relay = Relay::before(stage.url(), runtime)?;
    let server = Server::start(relay.url(), &[])?;
    let mut all = Vec::new();
    steps::each(settings, runtime, server.address(), "kw", |what, callers, step| {
        progress(&format!("{what:?} by {callers}, statements and round trips"));
        let before = relay.sent();
        let calls = float(step()?)?;
        let after = relay.sent();
        let wire = Wire {
            statements: float(after.statements - before.statements)? / calls,
            round_trips: float(after.round_trips - before.round_trips)? / calls,
        };
        all.push(Charged { what, callers, wire, rounds: Vec::new() });
        Ok(())
    })?;
    Ok(all)
}

impl Till<'_> {
    fn charge(&self, step: steps::Step<'_>) -> Result<Charge> {
        let (before, began) = (Counts::read(self.sql)?, wal(self.sql)?);
        let meter = Meter::begin(self.server, self.sql)?;
        let calls = step()?;
        let used = meter.used()?;
        let wal = wal(self.sql)? - began;
        let each = |all: f64| Ok::<_, anyhow::Error>((all / float(calls)?).max(0.0));
        let counted = match &self.idle {
            None => None,
            Some(idle) => {
                sleep(STATISTICS_LATE);
                let counts = Counts::read(self.sql)?.beyond(&before, idle);
                Some(Counted {
                    buffers: each(counts.buffers)?,
                    commits: each(counts.commits)?,
                    heap_only_percent: counts.heap_only_percent(),
                })
            }
        };
        Ok(Charge {
            calls,
            wal_bytes: each(wal)?,
            server_cpu_us: each(used.server.as_secs_f64() * 1e6)?,
            postgres_cpu_us: each(used.postgres.as_secs_f64() * 1e6)?,
            counted,
        })
    }
}
