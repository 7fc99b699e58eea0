//! Processor time of the server and of Postgres over some time.

use crate::cpu;
use crate::programs::Server;
use crate::sql::Sql;
use anyhow::Result;
use serde::Serialize;
use std::time::{Duration, Instant};

/// A measurement that has begun.
pub(crate) struct Meter {
    server: u32,
    postgres: u32,
    before: (Duration, Duration),
    began: Instant,
}

/// Processor time since then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Used {
    pub(crate) server: Duration,
    pub(crate) postgres: Duration,
    time: Duration,
}

/// Shares of one core.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Shares {
    pub(crate) server_percent: f64,
    pub(crate) postgres_percent: f64,
}

impl Meter {
    /// Begins.
    pub(crate) fn begin(server: &Server, sql: &Sql) -> Result<Self> {
        let (server, postgres) = (server.id(), sql.postmaster()?);
        let before = (cpu::of_process(server)?, cpu::of_family(postgres)?);
        Ok(Self { server, postgres, before, began: Instant::now() })
    }

    /// What was used so far.
    pub(crate) fn used(&self) -> Result<Used> {
        Ok(Used {
            server: cpu::of_process(self.server)?.saturating_sub(self.before.0),
            postgres: cpu::of_family(self.postgres)?.saturating_sub(self.before.1),
            time: self.began.elapsed(),
        })
    }
}

impl Used {
    /// As shares of one core.
    pub(crate) fn shares(&self) -> Shares {
        let (server_percent, postgres_percent) =
            (self.percent(self.server), self.percent(self.postgres));
        Shares { server_percent, postgres_percent }
    }

    /// What another used in the same time, as a share of one core.
    pub(crate) fn percent(&self, used: Duration) -> f64 {
        100.0 * used.as_secs_f64() / self.time.as_secs_f64()
    }
}
