//! What a call costs, by one caller and by many: WAL, heap-only updates, shared buffers, commits, and
//! processor time of the server and of Postgres.

pub(crate) mod claims;

use super::alone::Call;
use super::settings::Settings;
use crate::fleet::heartbeats::{Way, send};
use crate::fleet::meter::Meter;
use crate::numbers::float;
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use anyhow::{Context, Result};
use claims::Claims;
use serde::Serialize;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Sessions of Postgres tell their counts at most ten seconds after their last statement.
const STATISTICS_LATE: Duration = Duration::from_millis(10_500);
const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
const COUNTS: &str = "SELECT
        (SELECT (blks_hit + blks_read)::float8 FROM pg_stat_database WHERE datname = current_database()),
        (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()),
        (SELECT n_tup_upd::float8 FROM pg_stat_user_tables WHERE relname = 'claim_leases'),
        (SELECT n_tup_hot_upd::float8 FROM pg_stat_user_tables WHERE relname = 'claim_leases')";

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

#[derive(Clone, Copy)]
struct Counts {
    buffers: f64,
    commits: f64,
    updates: f64,
    heap_only: f64,
    at: Instant,
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
    let till = Till { server, sql, idle: idle(sql)? };
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
        let (before, wal) = (counts(self.sql)?, self.sql.value::<f64>(WAL)?);
        let meter = Meter::begin(self.server, self.sql)?;
        let calls = step()?;
        let used = meter.used()?;
        let wal = self.sql.value::<f64>(WAL)? - wal;
        sleep(STATISTICS_LATE);
        let after = counts(self.sql)?;
        let time = (after.at - before.at).as_secs_f64();
        let each = |all: f64| Ok::<_, anyhow::Error>((all / float(calls)?).max(0.0));
        let updates = after.updates - before.updates;
        Ok(Charge {
            what,
            callers,
            calls,
            wal_bytes: each(wal)?,
            buffers: each(after.buffers - before.buffers - self.idle.buffers * time)?,
            commits: each(after.commits - before.commits - self.idle.commits * time)?,
            server_cpu_us: each(used.server.as_secs_f64() * 1e6)?,
            postgres_cpu_us: each(used.postgres.as_secs_f64() * 1e6)?,
            heap_only_percent: (updates >= 1.0)
                .then(|| 100.0 * (after.heap_only - before.heap_only) / updates),
        })
    }
}

fn idle(sql: &Sql) -> Result<Counts> {
    let before = counts(sql)?;
    sleep(STATISTICS_LATE);
    let after = counts(sql)?;
    let time = (after.at - before.at).as_secs_f64();
    Ok(Counts {
        buffers: (after.buffers - before.buffers) / time,
        commits: (after.commits - before.commits) / time,
        ..after
    })
}

fn counts(sql: &Sql) -> Result<Counts> {
    let rows = sql.rows(COUNTS, &[])?;
    let row = rows.first().context("the counts")?;
    Ok(Counts {
        buffers: row.try_get(0)?,
        commits: row.try_get(1)?,
        updates: row.try_get(2)?,
        heap_only: row.try_get(3)?,
        at: Instant::now(),
    })
}
