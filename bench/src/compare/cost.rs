//! What a call costs, by one caller and by many: WAL, heap-only updates, shared buffers, commits, and
//! processor time of the server and of Postgres.

pub(crate) mod claims;
pub(crate) mod counts;

use super::alone::Call;
use super::settings::Settings;
use crate::fleet::heartbeats::{Way, send};
use crate::fleet::meter::Meter;
use crate::numbers::float;
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
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Charge {
    pub(crate) what: What,
    pub(crate) callers: u32,
    pub(crate) calls: u64,
    pub(crate) wal_bytes: f64,
    pub(crate) buffers: f64,
    pub(crate) commits: f64,
    pub(crate) server_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
    /// Of the updates of leases; none if there were none.
    pub(crate) heap_only_percent: Option<f64>,
}

struct Till<'a> {
    server: &'a Server,
    sql: &'a Sql,
    /// What happens in a second when nobody calls.
    idle: Counts,
}

/// Measures.
pub(crate) fn measure(
    settings: &Settings,
    sql: &Sql,
    server: &Server,
    runtime: &Runtime,
) -> Result<Vec<Charge>> {
    progress("what calls cost; waiting for statistics in between");
    sql.batch("VACUUM (ANALYZE)")?;
    sql.batch("CHECKPOINT")?;
    sleep(STATISTICS_LATE);
    let till = Till { server, sql, idle: Counts::idle(sql)? };
    let address = server.address();
    let mut charges = Vec::new();
    for (callers, count) in
        [(1, settings.charged.div_ceil(4)), (settings.callers, settings.charged)]
    {
        let mut claims = runtime.block_on(Claims::new(address, callers, count))?;
        for call in [Call::Mint, Call::Heartbeat, Call::Authorize, Call::Done] {
            progress(&format!("{call:?} by {callers}"));
            let step = || runtime.block_on(claims.step(call));
            charges.push(till.charge(What::Call(call), callers, step)?);
        }
    }
    for (what, way) in [
        (What::KeepAlive(settings.under_way), Way::KeepAlive(settings.under_way)),
        (What::Batch, Way::Batch),
    ] {
        progress(&format!("{what:?}"));
        let sizes = settings.sizes(settings.streams);
        let callers = if what == What::Batch { settings.batch_callers } else { settings.streams };
        let step = || Ok(runtime.block_on(send(way, sizes, address))?.accepted);
        charges.push(till.charge(what, callers, step)?);
    }
    Ok(charges)
}

impl Till<'_> {
    fn charge(
        &self,
        what: What,
        callers: u32,
        step: impl FnOnce() -> Result<u64>,
    ) -> Result<Charge> {
        let (before, began) = (Counts::read(self.sql)?, wal(self.sql)?);
        let meter = Meter::begin(self.server, self.sql)?;
        let calls = step()?;
        let used = meter.used()?;
        let wal = wal(self.sql)? - began;
        sleep(STATISTICS_LATE);
        let counted = Counts::read(self.sql)?.beyond(&before, &self.idle);
        let each = |all: f64| Ok::<_, anyhow::Error>((all / float(calls)?).max(0.0));
        Ok(Charge {
            what,
            callers,
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
