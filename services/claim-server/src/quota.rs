//! Quotas: what a tenant and what a caller may use at most, so that one leaves something for the others.
//!
//! * [`limits`] says what can be limited, [`table`] whose limits are which, and [`file`] where that is
//!   written down and how it changes without a restart.
//! * Calls a second are counted on each server by itself, in buckets by name and by [`kind`] of call
//!   ([`bucket`]): whoever mints too much can still keep and end what it has.
//! * Weights say how many calls of a tenant are served in its turn; the store's queues know them.
//! * Live claims are counted by tenant over all servers, as the rows tell ([`live`]).
//! * KeepAlive streams are counted by caller when they are opened, since they are about no tenant before
//!   their first heartbeat, and watches by tenant and caller ([`open`]), on each server by itself.
//!
//! A quota is looked at when the request has been converted and is known to be permitted, so that nobody
//! learns by it of a tenant that is none of its business. A tenant that is far beyond its quota is then
//! refused at the entrance, on connections where that has been seen ([`crate::calls::admission`]).
//!
//! Not counted are the acts of operators, who may have to stop a flood, and calls that are no request.

pub(crate) mod bucket;
pub(crate) mod exceeded;
pub(crate) mod file;
pub(crate) mod kind;
pub(crate) mod limits;
pub(crate) mod live;
pub(crate) mod open;
pub(crate) mod table;

use crate::calls::admission::Memory;
use crate::status;
use crate::subject::Subject;
use bucket::Buckets;
use claims::domain::{Heartbeat, Mint, Minted, TenantId};
use claims::store::{ClaimStore, StoreError, Weights};
use exceeded::Exceeded;
use http::Extensions;
use kind::{Counted, Kind};
use limits::QuotaLimits;
use live::Live;
use open::{Open, Place};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use table::QuotaTable;
use tonic::Status;

/// When to come back to a limit on what is open: that is closed at its holder's pace.
const RETRY_OPEN: Duration = Duration::from_secs(1);

/// The quotas of this server, and how much of them is used. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Quotas(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    table: RwLock<QuotaTable>,
    weights: Weights,
    tenants: Buckets,
    callers: Buckets,
    live: Live,
    streams: Open,
    watchers_of_tenants: Open,
    watchers_of_callers: Open,
}

impl Quotas {
    /// Nothing is used yet. The tenants' weights are told to the store.
    pub(crate) fn new(table: QuotaTable, weights: &Weights) -> Self {
        let now = Instant::now();
        weights.replace(table.weights());
        Self(Arc::new(Shared {
            table: RwLock::new(table),
            weights: weights.clone(),
            tenants: Buckets::new(now),
            callers: Buckets::new(now),
            live: Live::default(),
            streams: Open::default(),
            watchers_of_tenants: Open::default(),
            watchers_of_callers: Open::default(),
        }))
    }

    /// Other limits from now on. What is used stays used.
    pub(crate) fn replace(&self, table: QuotaTable) {
        self.0.weights.replace(table.weights());
        *self.0.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    /// The quotas as one call meets them, whose caller has that name.
    pub(crate) fn of(&self, caller: Arc<str>, request: &Extensions) -> Quota {
        Quota { quotas: self.clone(), caller, memory: request.get::<Memory>().cloned() }
    }

    /// How long it takes until the tenant may call; none if it may now.
    pub(crate) fn exceeds(&self, tenant: &TenantId, kind: Kind) -> Option<Duration> {
        let pace = self.of_tenant(tenant).pace()?;
        self.0.tenants.look(tenant.as_str(), kind, pace, Instant::now())
    }

    fn of_tenant(&self, tenant: &TenantId) -> QuotaLimits {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).of_tenant(tenant)
    }

    fn of_caller(&self, caller: &str) -> QuotaLimits {
        self.0.table.read().unwrap_or_else(PoisonError::into_inner).of_caller(caller)
    }
}

/// The quotas as one call meets them, or all that comes on one stream.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    quotas: Quotas,
    caller: Arc<str>,
    /// Of the connection; none where there is no connection.
    memory: Option<Memory>,
}

/// A stream or a watch, until this is dropped.
#[derive(Debug)]
pub(crate) struct Opened(
    #[expect(dead_code, reason = "counts while it lives")] (Place, Option<Place>),
);

impl Quota {
    /// One without limits, for tests.
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Quotas::new(QuotaTable::default(), &Weights::default())
            .of("anonymous".into(), &Extensions::new())
    }

    /// Counts a request; refused if its tenant or its caller has sent too many.
    pub(crate) fn charge<R: Counted + Subject>(&self, request: &R) -> Result<(), Status> {
        let (tenant, ..) = request.subject();
        let now = Instant::now();
        self.charge_caller(R::KIND, now)?;
        let Some(pace) = self.quotas.of_tenant(tenant).pace() else { return Ok(()) };
        let taken = self.quotas.0.tenants.take(tenant.as_str(), R::KIND, pace, now);
        taken.map_err(|wait| {
            if let Some(memory) = &self.memory {
                memory.exceeded(tenant);
            }
            status::quota_exceeded(&Exceeded::calls(wait))
        })
    }

    /// One heartbeat of many: counts those that come so far.
    pub(crate) fn charged(&self, part: Result<Heartbeat, Status>) -> Result<Heartbeat, Status> {
        let heartbeat = part?;
        self.charge(&heartbeat)?;
        Ok(heartbeat)
    }

    /// Mints, if there is room for one more live claim or the mint would add none.
    pub(crate) async fn minted(&self, store: &ClaimStore, mint: Mint) -> Result<Minted, Status> {
        let tenant = mint.tenant.clone();
        let room = match self.quotas.of_tenant(&tenant).live_claims {
            Some(limit) => Some(self.quotas.0.live.room(store, &mint, limit).await?),
            None => None,
        };
        let minted = store.mint(mint).await;
        if let Some(room) = room {
            room.used(&minted);
        }
        if let (Some(memory), Err(StoreError::Overloaded)) = (&self.memory, &minted) {
            memory.overloaded(&tenant);
        }
        minted.map_err(status::of)
    }

    /// Opens a KeepAlive stream.
    pub(crate) fn open_stream(&self) -> Result<Opened, Status> {
        self.charge_caller(Kind::Begin, Instant::now())?;
        let limit = self.quotas.of_caller(&self.caller).streams;
        let place = self.quotas.0.streams.open(&self.caller, limit);
        let exceeded = || status::quota_exceeded(&Exceeded::of_caller("streams", RETRY_OPEN));
        Ok(Opened((place.ok_or_else(exceeded)?, None)))
    }

    /// Opens a watch of a tenant's events.
    pub(crate) fn open_watch(&self, tenant: &TenantId) -> Result<Opened, Status> {
        let Shared { watchers_of_tenants, watchers_of_callers, .. } = &*self.quotas.0;
        let limit = self.quotas.of_tenant(tenant).watchers;
        let of_tenant = watchers_of_tenants
            .open(tenant.as_str(), limit)
            .ok_or_else(|| status::quota_exceeded(&Exceeded::of_tenant("watchers", RETRY_OPEN)))?;
        let limit = self.quotas.of_caller(&self.caller).watchers;
        let of_caller = watchers_of_callers
            .open(&self.caller, limit)
            .ok_or_else(|| status::quota_exceeded(&Exceeded::of_caller("watchers", RETRY_OPEN)))?;
        Ok(Opened((of_tenant, Some(of_caller))))
    }

    fn charge_caller(&self, kind: Kind, now: Instant) -> Result<(), Status> {
        let Some(pace) = self.quotas.of_caller(&self.caller).pace() else { return Ok(()) };
        let taken = self.quotas.0.callers.take(&self.caller, kind, pace, now);
        taken.map_err(|wait| status::quota_exceeded(&Exceeded::of_caller("calls_per_second", wait)))
    }
}

#[cfg(test)]
mod tests;
