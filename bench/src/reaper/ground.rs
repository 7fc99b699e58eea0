//! The database that is measured: many entities, live and finished claims, leases, marks, events, as
//! a busy installation has them after six days. Filled by set-based SQL; every constraint holds.

use crate::numbers::grouped;
use crate::progress;
use crate::sql::{Params, Sql};
use anyhow::{Result, ensure};
use serde::Serialize;

/// The tables that grow.
const LARGE: [&str; 5] =
    ["consumer_claims", "claim_leases", "entity_dispatch_state", "entity_epochs", "claim_events"];
/// Entities of one statement: bounds what it keeps in temporary files.
const CHUNK: i64 = 100_000;
/// More claims than this are inserted without indexes, which are made again afterwards.
const WITH_INDEXES_MAX: u32 = 200_000;

/// How many claims there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Claims {
    pub(crate) live: u32,
    pub(crate) finished: u32,
}

/// The filled database.
pub(crate) struct Ground {
    sql: Sql,
    /// What is in it.
    claims: Claims,
    /// The last entity's number.
    entities: i64,
    /// Ageings so far, each with a seed of its own.
    ageings: i64,
    /// Of each growth, so many of the newest finished claims have their events.
    with_events: u32,
    /// Finished claims without.
    without_events: i64,
}

impl Ground {
    /// An empty one.
    pub(crate) fn new(sql: Sql) -> Result<Self> {
        sql.batch(include_str!("../../sql/reaper/names.sql"))?;
        sql.batch("SET synchronous_commit = off; SET maintenance_work_mem = '512MB'")?;
        Ok(Self {
            sql,
            claims: Claims::default(),
            entities: 0,
            ageings: 0,
            with_events: u32::MAX,
            without_events: 0,
        })
    }

    /// From now on, only so many of the newest claims of each growth, or a few more, get their events:
    /// the others are left out as if they had been pruned.
    pub(crate) fn keep_events_of(&mut self, newest: u32) {
        self.with_events = newest;
    }

    /// Finished claims whose events were left out.
    pub(crate) fn without_events(&self) -> Result<u64> {
        Ok(u64::try_from(self.without_events)?)
    }

    /// A session for looking.
    pub(crate) fn sql(&self) -> &Sql {
        &self.sql
    }

    /// Adds what is missing.
    pub(crate) fn grow_to(&mut self, wanted: Claims) -> Result<()> {
        let live = wanted.live.saturating_sub(self.claims.live);
        let finished = wanted.finished.saturating_sub(self.claims.finished);
        self.add(Claims { live, finished })
    }

    /// Every second one of the new entities has a live claim; the finished ones are spread over all
    /// of them, one round after the other.
    fn add(&mut self, more: Claims) -> Result<()> {
        if more == Claims::default() {
            return Ok(());
        }
        let (before, count) = (self.entities, 2 * i64::from(more.live));
        let (each, first) = match count {
            0 => (0, 0),
            count => (i64::from(more.finished) / count, i64::from(more.finished) % count),
        };
        ensure!(
            count > 0,
            "finished claims belong to entities, of which there are two a live claim"
        );
        let rounds = each + i64::from(first > 0);
        let (live, finished) = (grouped(more.live.into()), grouped(more.finished.into()));
        progress(&format!("adding {live} live and {finished} finished claims"));

        let indexes = match more.live.saturating_add(more.finished) {
            0..=WITH_INDEXES_MAX => Vec::new(),
            _ => self.drop_indexes()?,
        };
        let mut later = i64::from(more.finished);
        for round in 1..=rounds {
            let claims = if round <= each { count } else { first };
            later -= claims;
            let has_events = later < i64::from(self.with_events);
            self.without_events += if has_events { 0 } else { claims };
            let filled = include_str!("../../sql/reaper/fill_finished.sql");
            let params: Params<'_> = &[&round, &rounds, &before, &count, &has_events];
            self.in_chunks(filled, before, before + claims, params)?;
            progress(&format!("finished claims: {round} of {rounds} rounds"));
        }
        let last = before + count;
        let live = include_str!("../../sql/reaper/fill_live.sql");
        self.in_chunks(live, before, last, &[&before, &each, &first])?;
        let entities = include_str!("../../sql/reaper/fill_entities.sql");
        self.in_chunks(entities, before, last, &[&before, &each, &first])?;
        for (number, index) in indexes.iter().enumerate() {
            progress(&format!("indexes: {number} of {}", indexes.len()));
            self.sql.batch(index)?;
        }
        self.entities = last;
        self.claims.live += more.live;
        self.claims.finished += more.finished;
        self.check()
    }

    /// Runs a statement whose first two parameters are a range of entities.
    fn in_chunks(&self, statement: &str, before: i64, last: i64, rest: Params<'_>) -> Result<()> {
        let mut done = before;
        while done < last {
            let (from, to) = (done + 1, last.min(done + CHUNK));
            let mut params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&from, &to];
            params.extend(rest);
            self.sql.execute(statement, &params)?;
            done = to;
        }
        Ok(())
    }

    /// Drops every index; what makes them again.
    fn drop_indexes(&self) -> Result<Vec<String>> {
        let query = include_str!("../../sql/reaper/indexes.sql");
        let mut again = Vec::new();
        for row in self.sql.rows(query, &[&LARGE.as_slice()])? {
            self.sql.batch(row.try_get(0)?)?;
            again.push(row.try_get(1)?);
        }
        Ok(again)
    }

    /// A moment at which nothing is due nor will be for an hour, everything is vacuumed and written,
    /// and the planner knows.
    pub(crate) fn settle(&self) -> Result<()> {
        progress("renewing leases, vacuum, checkpoint");
        self.sql.execute(include_str!("../../sql/reaper/renew.sql"), &[])?;
        self.sql.batch("VACUUM (ANALYZE)")?;
        self.sql.batch("CHECKPOINT")
    }

    /// Lets that many claims lapse between `from` and `to` seconds from now, in the past where
    /// negative.
    pub(crate) fn age(&mut self, count: u32, from: f64, to: f64) -> Result<()> {
        self.ageings += 1;
        let age = include_str!("../../sql/reaper/age.sql");
        let aged = self.sql.execute(age, &[&i64::from(count), &self.ageings, &from, &to])?;
        ensure!(aged == u64::from(count), "aged {aged} claims of {count}");
        Ok(())
    }

    /// Holders of live claims that the next ageing spares, if there are enough.
    pub(crate) fn holders(&self, count: u32) -> Result<Vec<(String, String, i64)>> {
        let query = include_str!("../../sql/reaper/holders.sql");
        let rows = self.sql.rows(query, &[&i64::from(count), &(self.ageings + 1)])?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    /// Takes note of claims that have been minted and done since.
    pub(crate) fn lived(&mut self, count: u64) -> Result<()> {
        self.claims.finished += u32::try_from(count)?;
        Ok(())
    }

    /// Takes note of claims that a reaper has expired.
    pub(crate) fn expired(&mut self, count: u32) {
        self.claims.live -= count;
        self.claims.finished += count;
    }

    /// Fails if claims, leases, entities and events do not agree with each other and with what was
    /// put in.
    pub(crate) fn check(&self) -> Result<()> {
        let rows = self.sql.rows(include_str!("../../sql/reaper/counts.sql"), &[])?;
        let [row] = rows.as_slice() else { anyhow::bail!("one row of counts") };
        let counted = (0..5).map(|column| row.try_get(column)).collect::<Result<Vec<i64>, _>>()?;
        let (live, finished) = (i64::from(self.claims.live), i64::from(self.claims.finished));
        let events = live + 2 * (finished - self.without_events);
        let expected = [live, finished, live, live, events];
        ensure!(
            counted == expected,
            "live, finished, leases, running, events: {counted:?}, not {expected:?}"
        );
        Ok(())
    }

    /// Bytes of write-ahead log so far.
    pub(crate) fn wal(&self) -> Result<u64> {
        let position = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint";
        Ok(u64::try_from(self.sql.value::<i64>(position)?)?)
    }

    /// The size of the database on disk.
    pub(crate) fn bytes(&self) -> Result<u64> {
        let bytes: i64 = self.sql.value("SELECT pg_database_size(current_database())")?;
        Ok(u64::try_from(bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use claims::testing::TestDatabase;
    use tokio::runtime::Runtime;

    /// The test database's guards do not concern staging.
    fn ground(db: &TestDatabase) -> Ground {
        let sql = Sql::connect(db.url()).unwrap();
        sql.batch("SET session_replication_role = replica").unwrap();
        Ground::new(sql).unwrap()
    }

    #[test]
    fn a_fill_that_grows_and_ages_breaks_no_invariant() {
        let runtime = Runtime::new().unwrap();
        let db = runtime.block_on(TestDatabase::in_service());
        let mut ground = ground(&db);
        for (live, finished) in [(10, 53), (100, 500), (110, 500)] {
            ground.grow_to(Claims { live, finished }).unwrap();
            runtime.block_on(db.check_invariants());
        }
        ground.settle().unwrap();
        ground.age(30, -100.0, -50.0).unwrap();
        ground.check().unwrap();
        runtime.block_on(db.check_invariants());
        let lapsed = "SELECT count(*) FROM claim_leases WHERE lease_expires_at < now()";
        assert_eq!(ground.sql().value::<i64>(lapsed).unwrap(), 30);
    }

    #[test]
    fn indexes_are_made_again_as_they_were() {
        let runtime = Runtime::new().unwrap();
        let db = runtime.block_on(TestDatabase::new());
        let ground = ground(&db);
        let indexes = "SELECT string_agg(indexdef, ';' ORDER BY indexdef) FROM pg_indexes
            WHERE schemaname = 'public'";
        let before: String = ground.sql().value(indexes).unwrap();
        for index in ground.drop_indexes().unwrap() {
            ground.sql().batch(&index).unwrap();
        }
        assert_eq!(ground.sql().value::<String>(indexes).unwrap(), before);
    }

    #[test]
    fn holders_are_not_among_the_next_that_are_aged() {
        let runtime = Runtime::new().unwrap();
        let db = runtime.block_on(TestDatabase::new());
        let mut ground = ground(&db);
        ground.grow_to(Claims { live: 40, finished: 0 }).unwrap();
        let holders = ground.holders(10).unwrap();
        ground.age(30, -100.0, -50.0).unwrap();
        for (tenant, consumer, epoch) in holders {
            let lapsed = "SELECT FROM claim_leases WHERE tenant_id = $1 AND consumer_id = $2
                AND epoch = $3 AND lease_expires_at > now()";
            assert_eq!(ground.sql().rows(lapsed, &[&tenant, &consumer, &epoch]).unwrap().len(), 1);
        }
    }
}
