//! The queue between callers and the lanes of one kind. Tenants take turns in it
//! ([`super::fair`]).

mod inbox;
mod shared;

use crate::domain::TenantId;
use crate::store::error::StoreError;
use crate::store::lane::deadline::deadline;
use crate::store::lane::weights::Weights;
use crate::store::metrics::LaneMetrics;
use crate::store::trace;
use shared::{Comes, Shared};
use std::sync::{Arc, Weak};
use std::time::Instant;
use tokio::sync::oneshot;
use tracing::Span;

pub(crate) use inbox::{Inbox, Waiting};

/// How often one call is tried before its caller is told that the database is unavailable. Each
/// try waits at most the lock timeout of 250 ms, so all of them outlast the second after which
/// Postgres frees the locks of a frozen server.
const TRIES_MAX: usize = 8;

/// Whose call it is.
pub(crate) trait OfTenant {
    /// Its tenant; none of what the server itself asks, which takes turns with the tenants.
    fn tenant(&self) -> Option<&TenantId>;
}

/// A call in a queue: what is asked, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Call<Ask, Answer> {
    pub(crate) ask: Ask,
    /// How often it has been tried in vain.
    tries: usize,
    /// When its caller's time is up.
    deadline: Option<Instant>,
    /// From its joining to its answer; none where nobody collects traces.
    span: Span,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl<Ask, Answer> Call<Ask, Answer> {
    /// Whether its caller's time is up.
    pub(crate) fn is_late(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Itself, if its caller still waits and has time; otherwise it is over.
    pub(crate) fn wanted(self) -> Option<Self> {
        if !self.is_late() && !self.reply.is_closed() {
            return Some(self);
        }
        self.answer(Err(StoreError::TimedOut));
        None
    }

    /// Its span.
    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Answers the caller, if it still waits.
    pub(crate) fn answer(self, answer: Result<Answer, StoreError>) {
        // A caller that left in the meantime needs no answer.
        let _ = self.reply.send(answer);
    }
}

/// The way into a kind of lane.
#[derive(Debug)]
pub(crate) struct Queue<Ask, Answer> {
    door: Arc<Door<Ask, Answer>>,
}

impl<Ask, Answer> Clone for Queue<Ask, Answer> {
    fn clone(&self) -> Self {
        Self { door: Arc::clone(&self.door) }
    }
}

/// Held by all ways into a queue; when the last is gone, no more calls will come.
#[derive(Debug)]
struct Door<Ask, Answer> {
    /// The kind of its lanes.
    kind: &'static str,
    shared: Arc<Shared<Ask, Answer>>,
}

impl<Ask, Answer> Drop for Door<Ask, Answer> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<Ask: OfTenant, Answer> Queue<Ask, Answer> {
    /// A queue in which at most `bound` calls wait, and tenants take turns by these weights.
    pub(crate) fn bounded(
        bound: usize,
        weights: &Weights,
        metrics: LaneMetrics,
    ) -> (Self, Waiting<Ask, Answer>) {
        let shared = Arc::new(Shared::bounded(bound, weights, metrics.depth.clone()));
        let kind = metrics.kind;
        let inbox = Inbox::of(&shared, metrics);
        (Self { door: Arc::new(Door { kind, shared }) }, Arc::new(inbox))
    }

    /// Whether a call of this tenant that can come later would be refused now: the tenant has no
    /// room, or the queue stands and those before it are as many as may be.
    pub(crate) fn refuses_newcomers_of(&self, tenant: &TenantId) -> bool {
        self.door.shared.lock().refuses_newcomer(&Some(tenant.clone()), Instant::now())
    }

    /// As [`Queue::call`], for one that can come later.
    pub(crate) async fn newcomer(&self, ask: Ask) -> Result<Answer, StoreError> {
        self.joined(ask, Comes::OrLater).await
    }

    /// Joins the queue and waits for the answer.
    pub(crate) async fn call(&self, ask: Ask) -> Result<Answer, StoreError> {
        self.joined(ask, Comes::Now).await
    }

    async fn joined(&self, ask: Ask, comes: Comes) -> Result<Answer, StoreError> {
        let (reply, answer) = oneshot::channel();
        let span = trace::waiting(self.door.kind);
        let call = Call { ask, tries: 0, deadline: deadline(), span, reply };
        self.door.shared.join(call, comes);
        // A lane that died without an answer has logged why.
        answer.await.unwrap_or(Err(StoreError::Internal))
    }

    /// The way back for calls that the lanes of this queue try in vain.
    pub(crate) fn way_back(&self) -> WayBack<Ask, Answer> {
        WayBack { door: Arc::downgrade(&self.door) }
    }

    /// Puts a call into this queue, keeping its caller; beyond the bound the caller is refused.
    pub(crate) fn pass_on(&self, call: Call<Ask, Answer>) {
        self.door.shared.join(call, Comes::Now);
    }
}

/// The way back into a queue for a call that was tried in vain. It does not keep the queue open.
pub(crate) struct WayBack<Ask, Answer> {
    door: Weak<Door<Ask, Answer>>,
}

impl<Ask, Answer> Clone for WayBack<Ask, Answer> {
    fn clone(&self) -> Self {
        Self { door: Weak::clone(&self.door) }
    }
}

impl<Ask: OfTenant, Answer> WayBack<Ask, Answer> {
    /// Puts a call behind those that wait, so that it does not keep them from their turn; after
    /// its last try its caller gets `answer`.
    pub(crate) fn try_again(&self, mut call: Call<Ask, Answer>, answer: StoreError) {
        call.tries += 1;
        match self.door.upgrade() {
            Some(door) if call.tries < TRIES_MAX => Queue { door }.pass_on(call),
            _ => {
                let tries = call.tries;
                tracing::error!(tries, error = %answer, "a call was tried {tries} times in vain");
                call.answer(Err(answer));
            }
        }
    }
}

#[cfg(test)]
mod tests;
