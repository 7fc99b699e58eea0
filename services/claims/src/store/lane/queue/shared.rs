//! What both ends of a queue have: the calls that wait, and what is known of their pace.

use super::{Call, OfTenant};
use crate::domain::TenantId;
use crate::store::error::StoreError;
use crate::store::lane::fair::Fair;
use crate::store::lane::standing::Standing;
use crate::store::lane::weights::Weights;
use crate::store::metrics::signed;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;

/// When a call can come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comes {
    /// Only now: there is something to keep or to end.
    Now,
    /// Later would do.
    OrLater,
}

/// What both ends of a queue have.
#[derive(Debug)]
pub(super) struct Shared<Ask, Answer> {
    /// Held for a moment: nothing is waited for, nor any caller answered meanwhile.
    state: Mutex<State<Ask, Answer>>,
    /// Told when the first call comes, and when no more will.
    arrived: Notify,
}

#[derive(Debug)]
pub(super) struct State<Ask, Answer> {
    calls: Fair<Option<TenantId>, Joined<Ask, Answer>>,
    weights: Weights,
    /// Calls that have been taken, ever.
    taken: u64,
    pub(super) standing: Standing,
    /// How many wait, for whoever looks from outside.
    depth: Gauge,
    /// There is a way in.
    is_open: bool,
    /// There are lanes.
    pub(super) is_served: bool,
}

/// A call that waits.
#[derive(Debug)]
pub(super) struct Joined<Ask, Answer> {
    pub(super) call: Call<Ask, Answer>,
    pub(super) at: Instant,
    /// How many had been taken when it joined.
    taken_before: u64,
}

impl<Ask, Answer> Shared<Ask, Answer> {
    /// Nobody waits yet, and at most so many will.
    pub(super) fn bounded(bound: usize, weights: &Weights, depth: Gauge) -> Self {
        let state = State {
            calls: Fair::bounded(bound),
            weights: weights.clone(),
            taken: 0,
            standing: Standing::new(Instant::now()),
            depth,
            is_open: true,
            is_served: true,
        };
        Self { state: Mutex::new(state), arrived: Notify::new() }
    }

    /// No more calls will come.
    pub(super) fn close(&self) {
        self.lock().is_open = false;
        self.arrived.notify_one();
    }

    /// Waits until a call waits, and leaves it there. False means that no more will come. Only one may
    /// wait at a time.
    pub(super) async fn wait(&self) -> bool {
        loop {
            // Who comes between the look and the wait is remembered.
            let arrived = self.arrived.notified();
            {
                let state = self.lock();
                if !state.calls.is_empty() || !state.is_open {
                    return !state.calls.is_empty();
                }
            }
            arrived.await;
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State<Ask, Answer>> {
        // Nothing panics in between that leaves it half-done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Ask: OfTenant, Answer> Shared<Ask, Answer> {
    /// Adds a call that finds room, or answers its caller.
    pub(super) fn join(&self, call: Call<Ask, Answer>, comes: Comes) {
        let tenant = call.ask.tenant().cloned();
        let now = Instant::now();
        let mut state = self.lock();
        let refusal = if !state.is_served {
            StoreError::Unavailable
        } else if comes == Comes::OrLater && state.refuses_newcomer(&tenant, now)
            || !state.calls.has_room(&tenant)
        {
            StoreError::Overloaded
        } else {
            let is_first = state.calls.is_empty();
            if is_first {
                state.standing.is_empty(now);
            }
            let taken_before = state.taken;
            let weight = state.weights.of(tenant.as_ref());
            state.calls.push(tenant, weight, Joined { call, at: now, taken_before });
            state.depth.set(signed(state.calls.len()));
            drop(state);
            if is_first {
                self.arrived.notify_one();
            }
            return;
        };
        drop(state);
        call.answer(Err(refusal));
    }
}

impl<Ask, Answer> State<Ask, Answer> {
    /// Whether a call of the tenant that can come later is refused.
    pub(super) fn refuses_newcomer(&self, tenant: &Option<TenantId>, now: Instant) -> bool {
        let ahead = || self.calls.ahead(tenant, self.weights.of(tenant.as_ref()));
        !self.calls.has_room(tenant) || self.standing.refuses(ahead(), now)
    }

    /// Takes the calls whose turn it is, at most so many.
    pub(super) fn take(&mut self, most: usize, now: Instant) -> Vec<Joined<Ask, Answer>> {
        let taken = self.calls.take(most);
        self.depth.set(signed(self.calls.len()));
        if self.calls.is_empty() {
            self.standing.is_empty(now);
        }
        // The one that waited longest tells most of the pace.
        if let Some(first) = taken.iter().min_by_key(|joined| joined.taken_before) {
            self.standing.taken(first.at, self.taken - first.taken_before, now);
        }
        self.taken += u64::try_from(taken.len()).unwrap_or(u64::MAX);
        taken
    }
}
