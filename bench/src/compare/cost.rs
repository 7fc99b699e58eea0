//! What a call costs, by one caller and by many: WAL, heap-only updates, shared buffers, commits, and
//! processor time of the server and of Postgres.

pub(crate) mod claims;
pub(crate) mod counts;

use super::alone::Call;
use super::settings::Settings;
use crate::fleet::heartbeats::{Way, send};
use crate::fleet::meter::Meter;
use crate::numbers::{Spread, float};
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use anyhow::Result;
use claims::Claims;
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
    pub(crate) buffers: f64,
    pub(crate) commits: f64,
    pub(crate) server_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
    /// Of the updates of leases; none if there were none.
    pub(crate) heap_only_percent: Option<f64>,
}

/// The same in all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Charged {
    pub(crate) what: What,
    pub(crate) callers: u32,
    pub(crate) rounds: Vec<Charge>,
}

impl Charged {
    /// A number of every round.
    pub(crate) fn spread(&self, of: impl Fn(&Charge) -> f64) -> Spread {
        Spread::of(self.rounds.iter().map(of).collect::<Vec<f64>>().into_iter())
    }

    /// Of the updates of leases, if these are heartbeats.
    pub(crate) fn heap_only_percent(&self) -> Option<Spread> {
        let is_heartbeat = !matches!(self.what, What::Call(call) if call != Call::Heartbeat);
        let all: Option<Vec<f64>> =
            self.rounds.iter().map(|charge| charge.heap_only_percent).collect();
        all.filter(|_| is_heartbeat).map(|all| Spread::of(all.into_iter()))
    }
}

struct Till<'a> {
    server: &'a Server,
    sql: &'a Sql,
    /// What happens in a second when nobody calls.
    idle: Counts,
}

/// Measures, several rounds.
pub(crate) fn measure(
    settings: &Settings,
    sql: &Sql,
    server: &Server,
    runtime: &Runtime,
) -> Result<Vec<Charged>> {
    progress("what calls cost; waiting for statistics in between");
    sql.batch("VACUUM (ANALYZE)")?;
    sql.batch("CHECKPOINT")?;
    sleep(STATISTICS_LATE);
    let till = Till { server, sql, idle: Counts::idle(sql)? };
    let mut all: Vec<Charged> = Vec::new();
    for round in 0..settings.rounds {
        for (what, callers, charge) in till.round(settings, runtime, round)? {
            match all.iter_mut().find(|known| (known.what, known.callers) == (what, callers)) {
                Some(known) => known.rounds.push(charge),
                None => all.push(Charged { what, callers, rounds: vec![charge] }),
            }
        }
    }
    Ok(all)
}

impl Till<'_> {
    fn round(
        &self,
        settings: &Settings,
        runtime: &Runtime,
        round: u32,
    ) -> Result<Vec<(What, u32, Charge)>> {
        let address = self.server.address();
        let tell =
            |what: &str| progress(&format!("{what}, round {} of {}", round + 1, settings.rounds));
        let mut charges = Vec::new();
        for (callers, count) in
            [(1, settings.charged.div_ceil(4)), (settings.callers, settings.charged)]
        {
            let names = format!("k{round}_{callers}_");
            let mut claims = runtime.block_on(Claims::new(address, &names, callers, count))?;
            for call in [Call::Mint, Call::Heartbeat, Call::Authorize, Call::Done] {
                tell(&format!("{call:?} by {callers}"));
                let charge = self.charge(|| runtime.block_on(claims.step(call)))?;
                charges.push((What::Call(call), callers, charge));
            }
        }
        for (what, way, callers) in [
            (
                What::KeepAlive(settings.under_way),
                Way::KeepAlive(settings.under_way),
                settings.streams,
            ),
            (What::Batch, Way::Batch, settings.batch_callers),
        ] {
            tell(&format!("{what:?}"));
            let sizes = settings.sizes(settings.streams);
            let step = || Ok(runtime.block_on(send(way, sizes, address))?.accepted);
            charges.push((what, callers, self.charge(step)?));
        }
        Ok(charges)
    }

    fn charge(&self, step: impl FnOnce() -> Result<u64>) -> Result<Charge> {
        let (before, began) = (Counts::read(self.sql)?, wal(self.sql)?);
        let meter = Meter::begin(self.server, self.sql)?;
        let calls = step()?;
        let used = meter.used()?;
        let wal = wal(self.sql)? - began;
        sleep(STATISTICS_LATE);
        let counted = Counts::read(self.sql)?.beyond(&before, &self.idle);
        let each = |all: f64| Ok::<_, anyhow::Error>((all / float(calls)?).max(0.0));
        Ok(Charge {
            calls,
            wal_bytes: each(wal)?,
            buffers: each(counted.buffers)?,
            commits: each(counted.commits)?,
            server_cpu_us: each(used.server.as_secs_f64() * 1e6)?,
            postgres_cpu_us: each(used.postgres.as_secs_f64() * 1e6)?,
            heap_only_percent: (counted.updates >= 1.0)
                .then(|| 100.0 * counted.heap_only / counted.updates),
        })
    }
}
