//! Retention (T1): what ended or happened long ago is removed in bounded steps. High-water marks,
//! entities and fences never are (T2).

use super::statements::{PruneClaims, PruneEvents};
use super::{ReapError, Reaper};
use crate::store::connect::round_trip;
use crate::store::rows::millis;
use diesel_async::RunQueryDsl;
use std::time::Duration;

/// What one step removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Terminal claims.
    pub claims: u64,
    /// Events.
    pub events: u64,
}

impl Pruned {
    /// Rows of both kinds.
    #[must_use]
    pub const fn rows(self) -> u64 {
        self.claims + self.events
    }
}

impl Reaper {
    /// Removes some terminal claims and events that are older than the retention, at most a
    /// thousand of each, so that its transactions keep nobody waiting; nothing once none is left,
    /// or while others hold them.
    pub async fn prune_step(&mut self, retention: Duration) -> Result<Pruned, ReapError> {
        let retention_ms = millis(retention);
        let connection = self.connect().await?;
        let statement = PruneClaims { retention_ms, ..Default::default() };
        let removed = round_trip(false, statement.execute(&mut &connection)).await;
        let claims = self.keep(connection, removed)?;

        let connection = self.connect().await?;
        let statement = PruneEvents { retention_ms, ..Default::default() };
        let removed = round_trip(false, statement.get_result::<i64>(&mut &connection)).await;
        let events = self.keep(connection, removed)?;
        Ok(Pruned {
            claims: u64::try_from(claims).unwrap_or(u64::MAX),
            events: u64::try_from(events).unwrap_or(0),
        })
    }
}
