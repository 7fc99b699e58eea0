//! Renewals as Postgres counts them: what a heartbeat answers must be in the table.

use crate::numbers::float;
use crate::sql::Sql;
use anyhow::{Result, bail};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sessions hand in what they have counted at most once a second.
const COUNTING: Duration = Duration::from_millis(1_200);
/// Longest wait until they have.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
/// Updates of leases, and how many of them were heap-only.
const UPDATES: &str = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
    WHERE relname = 'claim_leases'";

/// A count that has begun.
pub(crate) struct Renewals<'s> {
    sql: &'s Sql,
    before: (i64, i64),
}

/// Renewals since then.
pub(crate) struct Renewed {
    updates: u64,
    heap_only: u64,
}

impl<'s> Renewals<'s> {
    /// Begins when everything that happened before is counted.
    pub(crate) fn count(sql: &'s Sql) -> Result<Self> {
        sleep(COUNTING);
        // The first look may be answered from what the session saw before.
        counted(sql)?;
        Ok(Self { sql, before: counted(sql)? })
    }

    /// Waits until so many are counted; fails if they are not there.
    pub(crate) fn await_at_least(&self, expected: u64) -> Result<Renewed> {
        let began = Instant::now();
        loop {
            let (updates, heap_only) = counted(self.sql)?;
            let updates = u64::try_from(updates - self.before.0)?;
            if updates >= expected {
                return Ok(Renewed {
                    updates,
                    heap_only: u64::try_from(heap_only - self.before.1)?,
                });
            }
            if began.elapsed() > PATIENCE {
                bail!("{expected} heartbeats were accepted, but only {updates} leases updated");
            }
            sleep(LOOK);
        }
    }
}

impl Renewed {
    /// How many of a hundred touched no index.
    pub(crate) fn heap_only_percent(&self) -> Result<f64> {
        Ok(100.0 * float(self.heap_only)? / float(self.updates)?)
    }
}

fn counted(sql: &Sql) -> Result<(i64, i64)> {
    let rows = sql.rows(UPDATES, &[])?;
    let [row] = rows.as_slice() else { bail!("no statistics of the leases") };
    Ok((row.try_get(0)?, row.try_get(1)?))
}
