//! How many claims of a tenant are live, as far as a limit needs to know.
//!
//! The rows are the authority, and all servers write them, so they have to be counted; but to count a
//! tenant's claims for each of its mints would cost more than the mint. So a server counts now and then,
//! and adds what it has minted itself since. It uses a tenth of the room that it found, or is
//! [`COUNT_AGE_MAX`] old, and then it counts again: rarely while the limit is far, with almost every mint
//! where it is near. Mints that wait for a count share it, and between two counts of a tenant is a pause,
//! so that a tenant at its limit does not occupy the database.
//!
//! One server alone never exceeds the limit. Of several, each may mint within a pause, or out of a tenth
//! of the room, what it does not know to be taken: by that much they can exceed it together.
//!
//! A mint at the limit that takes the place of another claim is let through: a re-mint, or one that ends
//! or supersedes the entity's current claim. That is seen from the entity, which has a current claim;
//! whether the mint may have it is for the store to decide. A superseded claim is live until it ends or
//! is reaped, so superseding can lift the number above the limit for a while.

mod estimate;

use crate::quota::exceeded::Exceeded;
use crate::status;
use claims::domain::{Mint, Minted, Refusal, TenantId};
use claims::store::{ClaimStore, StoreError};
use estimate::Estimate;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tonic::Status;

/// How old a count may be: other servers mint, too.
const COUNT_AGE_MAX: Duration = Duration::from_secs(5);
/// Least pause between two counts of a tenant.
const COUNT_PAUSE: Duration = Duration::from_millis(250);
/// How many times as long as a count took the pause after it is at least.
const COUNT_PAUSE_TIMES: u32 = 10;
/// When to come back to a limit on live claims: claims end at their own pace.
const RETRY: Duration = Duration::from_secs(1);
/// Most mints of a tenant at its limit that wait for a look at their entity. Each is one read by key.
const LOOKS_MAX: usize = 16;
/// So many tenants are known before it is looked which may be forgotten.
const TENANTS_KEPT: usize = 1_024;

/// What is known of the live claims of tenants.
#[derive(Debug, Default)]
pub(super) struct Live(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    tenants: HashMap<TenantId, Arc<Tenant>>,
    forget_beyond: usize,
}

#[derive(Debug)]
struct Tenant {
    estimate: Mutex<Estimate>,
    /// Held by the one that counts.
    counting: tokio::sync::Mutex<()>,
    looks: Semaphore,
}

/// Room for one more live claim, until this is dropped.
#[derive(Debug)]
pub(super) struct Room {
    tenant: Arc<Tenant>,
    /// The mint may have added a claim.
    may_have_added: bool,
}

impl Live {
    /// Room for a claim of a tenant that may have so many.
    pub(super) async fn room(
        &self,
        store: &ClaimStore,
        mint: &Mint,
        limit: u32,
    ) -> Result<Room, Status> {
        let tenant = self.tenant(&mint.tenant);
        tenant.count_if_due(store, &mint.tenant, limit).await.map_err(status::of)?;
        if tenant.lock().enter(limit) {
            return Ok(Room::of(tenant));
        }
        let Ok(_look) = tenant.looks.try_acquire() else {
            return Err(status::of(StoreError::Overloaded));
        };
        match store.get_entity(mint.entity_key()).await {
            Ok(entity) if entity.current.is_some() => {
                tenant.lock().enter_regardless();
                Ok(Room::of(Arc::clone(&tenant)))
            }
            Ok(_) | Err(StoreError::Refused(Refusal::EntityNotFound)) => {
                Err(status::quota_exceeded(&Exceeded::of_tenant("live_claims", RETRY)))
            }
            Err(error) => Err(status::of(error)),
        }
    }

    fn tenant(&self, id: &TenantId) -> Arc<Tenant> {
        // Nothing panics in between that leaves it half-done.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tenant) = known.tenants.get(id) {
            return Arc::clone(tenant);
        }
        if known.tenants.len() >= known.forget_beyond.max(TENANTS_KEPT) {
            let now = Instant::now();
            // Who has only an old count has to be counted anyway.
            known.tenants.retain(|_, tenant| {
                Arc::strong_count(tenant) > 1 || !tenant.lock().is_worthless(now)
            });
            known.forget_beyond = known.tenants.len() * 2;
        }
        Arc::clone(known.tenants.entry(id.clone()).or_insert_with(|| Arc::new(Tenant::new())))
    }
}

impl Tenant {
    fn new() -> Self {
        Self {
            estimate: Mutex::default(),
            counting: tokio::sync::Mutex::default(),
            looks: Semaphore::new(LOOKS_MAX),
        }
    }

    async fn count_if_due(
        &self,
        store: &ClaimStore,
        id: &TenantId,
        limit: u32,
    ) -> Result<(), StoreError> {
        if !self.lock().is_due(limit, Instant::now()) {
            return Ok(());
        }
        let _counting = self.counting.lock().await;
        let began = Instant::now();
        let since_before = {
            let estimate = self.lock();
            if !estimate.is_due(limit, began) {
                return Ok(());
            }
            estimate.since()
        };
        let count = store.count_live_claims(id.clone(), limit).await?;
        self.lock().counted(count, since_before, began, Instant::now());
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Estimate> {
        self.estimate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    fn of(tenant: Arc<Tenant>) -> Self {
        Self { tenant, may_have_added: true }
    }

    /// Tells how the mint went. One of which nothing is told may have been written.
    pub(super) fn used(mut self, minted: &Result<Minted, StoreError>) {
        self.may_have_added = match minted {
            Ok(minted) => !minted.reminted && minted.ended_predecessor.is_none(),
            Err(StoreError::Refused(_) | StoreError::Overloaded | StoreError::TimedOut) => false,
            Err(StoreError::Unavailable | StoreError::Internal) => true,
        };
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.tenant.lock().leave(self.may_have_added);
    }
}
