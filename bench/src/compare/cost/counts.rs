//! What Postgres counts of the whole database.

use crate::sql::Sql;
use anyhow::{Context, Result};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sessions of Postgres tell their counts at most ten seconds after their last statement.
pub(crate) const STATISTICS_LATE: Duration = Duration::from_millis(10_500);
const WAL: &str = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8";
const COUNTS: &str = "SELECT
        (SELECT (blks_hit + blks_read)::float8 FROM pg_stat_database WHERE datname = current_database()),
        (SELECT xact_commit::float8 FROM pg_stat_database WHERE datname = current_database()),
        (SELECT n_tup_upd::float8 FROM pg_stat_user_tables WHERE relname = 'claim_leases'),
        (SELECT n_tup_hot_upd::float8 FROM pg_stat_user_tables WHERE relname = 'claim_leases')";

/// Counts so far, or over some time, or in a second.
#[derive(Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) buffers: f64,
    pub(crate) commits: f64,
    /// Of leases.
    pub(crate) updates: f64,
    pub(crate) heap_only: f64,
    at: Instant,
}

impl Counts {
    /// Those so far.
    pub(crate) fn read(sql: &Sql) -> Result<Self> {
        let rows = sql.rows(COUNTS, &[])?;
        let row = rows.first().context("the counts")?;
        Ok(Self {
            buffers: row.try_get(0)?,
            commits: row.try_get(1)?,
            updates: row.try_get(2)?,
            heap_only: row.try_get(3)?,
            at: Instant::now(),
        })
    }

    /// What happens in a second when nobody calls; waits for a while.
    pub(crate) fn idle(sql: &Sql) -> Result<Self> {
        let before = Self::read(sql)?;
        sleep(STATISTICS_LATE);
        Ok(Self::read(sql)?.a_second_since(&before))
    }

    /// What happened in each second since.
    pub(crate) fn a_second_since(&self, before: &Self) -> Self {
        let time = (self.at - before.at).as_secs_f64();
        Self {
            buffers: (self.buffers - before.buffers) / time,
            commits: (self.commits - before.commits) / time,
            updates: (self.updates - before.updates) / time,
            heap_only: (self.heap_only - before.heap_only) / time,
            at: self.at,
        }
    }

    /// What happened since, less what happens in as many idle seconds.
    pub(crate) fn beyond(&self, before: &Self, idle: &Self) -> Self {
        let time = (self.at - before.at).as_secs_f64();
        let less = |after: f64, before: f64, idle: f64| after - before - idle * time;
        Self {
            buffers: less(self.buffers, before.buffers, idle.buffers),
            commits: less(self.commits, before.commits, idle.commits),
            updates: less(self.updates, before.updates, idle.updates),
            heap_only: less(self.heap_only, before.heap_only, idle.heap_only),
            at: self.at,
        }
    }
}

/// Bytes of write-ahead log so far.
pub(crate) fn wal(sql: &Sql) -> Result<f64> {
    sql.value(WAL)
}
