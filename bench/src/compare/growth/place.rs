//! A database with so many claims and a server of its own.

use super::{Call, lives};
use crate::compare::cost::counts::{Counts, wal};
use crate::compare::crowd::Crowd;
use crate::compare::settings::Settings;
use crate::fleet::heartbeats::{self, Sizes, Way};
use crate::fleet::holders;
use crate::fleet::meter::Meter;
use crate::load::Measured;
use crate::numbers::float;
use crate::programs::Server;
use crate::reaper::ground::{Claims, Ground};
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::Result;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::runtime::Runtime;

/// Of all claims, one in so many is live.
const LIVE_SHARE: u32 = 20;
/// Of each growth, at least so many of the newest claims have their events. With all of them, ten million
/// claims would take half as much time and disk again.
const WITH_EVENTS: u32 = 2_000_000;
const NOW: &str = "SELECT clock_timestamp()";

/// The database; what uses it ends first.
pub(super) struct Place<'a> {
    settings: &'a Settings,
    runtime: &'a Runtime,
    server: Server,
    ground: Ground,
    _stage: Stage,
    tokens: Arc<Vec<String>>,
    /// Whether what a measurement has minted is taken away again.
    forgets: bool,
    /// Measurements so far.
    measurements: u64,
}

/// One measurement, with processor time and log of each call.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Once {
    pub(crate) measured: Measured,
    pub(crate) calls: u64,
    pub(crate) server_cpu_us: f64,
    pub(crate) postgres_cpu_us: f64,
    pub(crate) wal_bytes: f64,
}

/// What has to be in the tables after a measurement.
#[derive(Clone, Copy)]
pub(super) struct Expected {
    since: SystemTime,
    calls: u64,
    /// Claims that were heard of.
    touched: u64,
}

impl<'a> Place<'a> {
    /// An empty one.
    pub(super) fn new(settings: &'a Settings, runtime: &'a Runtime, forgets: bool) -> Result<Self> {
        let stage = Stage::over_tcp()?;
        let mut ground = Ground::new(Sql::connect(stage.url())?)?;
        ground.keep_events_of(WITH_EVENTS);
        Ok(Self {
            settings,
            runtime,
            server: Server::start(stage.url(), &[])?,
            ground,
            _stage: stage,
            tokens: Arc::default(),
            forgets,
            measurements: 0,
        })
    }

    /// Grows to so many claims in all, and mints those of the holders anew.
    pub(super) fn grow(&mut self, rows: u32) -> Result<()> {
        self.ground.sql().batch(include_str!("../../../sql/compare/forget_held.sql"))?;
        let live = rows / LIVE_SHARE;
        self.ground.grow_to(Claims { live, finished: rows - live })?;
        self.ground.check()?;
        let minted = holders::mint(self.server.address(), self.held());
        self.tokens = Arc::new(self.runtime.block_on(minted)?);
        self.settle()
    }

    /// Has everything vacuumed and written, and the planner know.
    pub(super) fn settle(&self) -> Result<()> {
        self.ground.sql().batch("VACUUM (ANALYZE)")?;
        self.ground.sql().batch("CHECKPOINT")
    }

    /// As many as there may be heartbeats under way.
    fn held(&self) -> u32 {
        (self.settings.streams * self.settings.under_way).max(self.settings.callers)
    }

    /// Counts of Postgres so far.
    pub(super) fn counts(&self) -> Result<Counts> {
        Counts::read(self.ground.sql())
    }

    /// Bytes of the database, and finished claims without events.
    pub(super) fn size(&self) -> Result<(u64, u64)> {
        Ok((self.ground.bytes()?, self.ground.without_events()?))
    }

    /// Measures calls for a while.
    pub(super) fn measure(&mut self, call: Call, length: Duration) -> Result<(Once, Expected)> {
        self.measurements += 1;
        let (sql, address) = (self.ground.sql(), self.server.address());
        let (since, began) = (sql.value(NOW)?, wal(sql)?);
        let meter = Meter::begin(&self.server, sql)?;
        let (measured, calls, touched) = match call {
            Call::MintAndDone => {
                let callers = self.settings.callers;
                let lives = lives::measure(address, callers, length, self.measurements);
                let (measured, count) = self.runtime.block_on(lives)?;
                (measured, count, 0)
            }
            Call::Heartbeat => {
                let Settings { streams, under_way, batch_callers, .. } = *self.settings;
                let sizes = Sizes { callers: streams, batch_callers, claims: self.held(), length };
                let beats = heartbeats::send(Way::KeepAlive(under_way), sizes, address);
                let beaten = self.runtime.block_on(beats)?;
                (beaten.measured, beaten.accepted, beaten.touched)
            }
            Call::Authorize => {
                let crowd = Crowd { address, callers: self.settings.callers, length };
                let asked = crowd.authorizations(&self.tokens);
                let (measured, count) = self.runtime.block_on(asked)?;
                (measured, count, 0)
            }
        };
        let used = meter.used()?;
        let each = |all: f64| Ok::<_, anyhow::Error>(all / float(calls)?);
        let once = Once {
            measured,
            calls,
            server_cpu_us: each(used.server.as_secs_f64() * 1e6)?,
            postgres_cpu_us: each(used.postgres.as_secs_f64() * 1e6)?,
            wal_bytes: each(wal(sql)? - began)?,
        };
        Ok((once, Expected { since, calls, touched }))
    }

    /// Fails unless the tables are as the measurement should have left them; then takes away what it
    /// minted, or takes note of it.
    pub(super) fn check(&mut self, call: Call, expected: Expected) -> Result<()> {
        let (sql, Expected { since, calls, touched }) = (self.ground.sql(), expected);
        match call {
            Call::Authorize => {}
            Call::Heartbeat => heartbeats::check_moved(sql, since, touched)?,
            Call::MintAndDone => {
                lives::check_ended(sql, since, calls)?;
                if self.forgets {
                    sql.execute(include_str!("../../../sql/compare/forget_ended.sql"), &[&since])?;
                    self.settle()?;
                } else {
                    self.ground.lived(calls)?;
                }
            }
        }
        self.server.check()
    }
}
