//! What Postgres counts of the whole database.

use crate::sql::Sql;
use anyhow::{Context, Result, ensure};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sessions of Postgres tell their counts at most ten seconds after their last statement.
pub(crate) const STATISTICS_LATE: Duration = Duration::from_millis(10_500);
/// How often it is looked whether others have left.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
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
        let all = self.since(before);
        Self {
            buffers: all.buffers / time,
            commits: all.commits / time,
            updates: all.updates / time,
            heap_only: all.heap_only / time,
            at: self.at,
        }
    }

    /// What happened since.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            buffers: self.buffers - before.buffers,
            commits: self.commits - before.commits,
            updates: self.updates - before.updates,
            heap_only: self.heap_only - before.heap_only,
            at: self.at,
        }
    }

    /// Of these updates of leases; none if there were none.
    pub(crate) fn heap_only_percent(&self) -> Option<f64> {
        (self.updates >= 1.0).then(|| 100.0 * self.heap_only / self.updates)
    }

    /// What happened since, less what happens in as many idle seconds.
    pub(crate) fn beyond(&self, before: &Self, idle: &Self) -> Self {
        let time = (self.at - before.at).as_secs_f64();
        let all = self.since(before);
        Self {
            buffers: all.buffers - idle.buffers * time,
            commits: all.commits - idle.commits * time,
            updates: all.updates - idle.updates * time,
            heap_only: all.heap_only - idle.heap_only * time,
            at: self.at,
        }
    }
}

/// Waits until nobody else is connected: whoever leaves tells its counts.
pub(crate) fn until_alone(sql: &Sql) -> Result<()> {
    const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity
        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    let began = Instant::now();
    while sql.value::<i64>(OTHERS)? > 0 {
        ensure!(began.elapsed() < STATISTICS_LATE, "somebody stays connected");
        sleep(LOOK_AGAIN);
    }
    Ok(())
}

/// Bytes of write-ahead log so far.
pub(crate) fn wal(sql: &Sql) -> Result<f64> {
    sql.value(WAL)
}
