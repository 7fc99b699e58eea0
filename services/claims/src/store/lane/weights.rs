//! How much of the lanes each tenant gets when they are short.

use crate::domain::TenantId;
use std::collections::HashMap;
use std::num::NonZeroU16;
use std::sync::{Arc, PoisonError, RwLock};

/// How many calls of a tenant are taken when its turn in a queue has come; one of who is not named.
/// Shared by all queues of a store, and can be replaced while they serve. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Weights(Arc<RwLock<HashMap<TenantId, NonZeroU16>>>);

impl Weights {
    /// These from now on. A tenant that has calls waiting gets its new one with its next call.
    pub fn replace(&self, weights: HashMap<TenantId, NonZeroU16>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = weights;
    }

    /// That of a tenant; none is the server itself, which takes turns with the tenants.
    #[must_use]
    pub fn of(&self, tenant: Option<&TenantId>) -> usize {
        let weights = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let weight = tenant.and_then(|tenant| weights.get(tenant));
        weight.map_or(1, |weight| usize::from(weight.get()))
    }
}
