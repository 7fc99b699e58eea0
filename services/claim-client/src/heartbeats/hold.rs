//! One claim in care: its lease, and what its holder has been told.

use crate::handle::{Minted, Told};
use crate::lease::{Event, Lease, Standing};
use crate::mint::CancelOn;
use crate::retry::Backoff;
use claim_proto::v1;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Tells one claim in care from another; not reused.
pub(crate) type HoldId = u64;

/// A claim in care.
#[derive(Debug)]
pub(crate) struct Hold {
    minted: Arc<Minted>,
    lease: Lease,
    cancel_on: CancelOn,
    told: watch::Sender<Told>,
    cancellation: CancellationToken,
    /// Failures since the last good answer.
    backoff: Backoff,
}

impl Hold {
    /// A claim with its first lease, and what its handle listens to.
    pub(crate) fn new(
        minted: Arc<Minted>,
        lease: Lease,
        cancel_on: CancelOn,
    ) -> (Self, watch::Receiver<Told>, CancellationToken) {
        let (told, listener) = watch::channel(tell(&lease, Instant::now()));
        let cancellation = CancellationToken::new();
        let hold = Self {
            minted,
            lease,
            cancel_on,
            told,
            cancellation: cancellation.clone(),
            backoff: Backoff::default(),
        };
        (hold, listener, cancellation)
    }

    pub(crate) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Whether an answer or a push about that consumer and epoch may be about this claim.
    pub(crate) fn is_of(&self, consumer_id: &str, epoch: i64) -> bool {
        self.minted.id.consumer_id == consumer_id && self.minted.id.epoch == epoch
    }

    /// The heartbeat to send now, and the number of the note that it carries.
    pub(crate) fn heartbeat(&self) -> (v1::HeartbeatRequest, u64) {
        let id = &self.minted.id;
        let (progress, number) = self.minted.progress.to_send();
        let heartbeat = v1::HeartbeatRequest {
            tenant_id: id.tenant_id.clone(),
            consumer_id: id.consumer_id.clone(),
            epoch: id.epoch,
            // Always, so that a holder whose claim was minted again finds out (H7).
            write_token: self.minted.write_token.reveal().to_owned(),
            lease_ttl: None,
            progress,
        };
        (heartbeat, number)
    }

    /// The note of that number has arrived.
    pub(crate) fn progress_arrived(&self, number: u64) {
        self.minted.progress.arrived(number);
    }

    pub(crate) fn backoff(&mut self) -> &mut Backoff {
        &mut self.backoff
    }

    /// Takes note of what happened, and tells the holder.
    pub(crate) fn apply(&mut self, event: Event, now: Instant) {
        if matches!(event, Event::Renewed { .. }) && self.backoff.failures() > 0 {
            self.log_recovery();
            self.backoff.reset();
        }
        self.lease.apply(event, now);
        self.tell(now);
    }

    /// Tells the holder what has changed, be it by the clock alone.
    pub(crate) fn tell(&mut self, now: Instant) {
        let new = tell(&self.lease, now);
        let is_lost = matches!(new.standing, Standing::Lost(_));
        let is_cancelled = is_lost || new.is_suspended && self.cancel_on == CancelOn::Suspension;
        let old = self.told.borrow().clone();
        if new != old {
            self.log_change(&old, &new);
            self.told.send_replace(new);
        }
        // Last: who is woken by the token looks for the reason.
        if is_cancelled {
            self.cancellation.cancel();
        }
    }

    fn log_change(&self, old: &Told, new: &Told) {
        let (entity, consumer, epoch) = self.names();
        match &new.standing {
            Standing::Lost(refusal) => tracing::warn!(
                entity,
                consumer,
                epoch,
                "the claim of {entity} by {consumer}, epoch {epoch}, is lost: {refusal}"
            ),
            Standing::Over => {}
            Standing::Holding if new.is_suspended && !old.is_suspended => tracing::warn!(
                entity,
                consumer,
                epoch,
                "writing is suspended: the lease of {entity} by {consumer}, epoch {epoch}, may \
                 have run out unanswered"
            ),
            Standing::Holding if old.is_suspended && !new.is_suspended => tracing::info!(
                entity,
                consumer,
                epoch,
                "writing is allowed again: the claim of {entity} by {consumer}, epoch {epoch}, \
                 was renewed"
            ),
            Standing::Holding => {}
        }
        if new.is_stop_requested && !old.is_stop_requested {
            tracing::info!(
                entity,
                consumer,
                epoch,
                "{consumer}, epoch {epoch}, is asked to finish {entity} at its next checkpoint"
            );
        }
    }

    fn log_recovery(&self) {
        let (entity, consumer, epoch) = self.names();
        let failures = self.backoff.failures();
        tracing::info!(
            entity,
            consumer,
            epoch,
            "the claim of {entity} by {consumer}, epoch {epoch}, was heard after {failures} \
             failed heartbeats"
        );
    }

    /// A failed heartbeat is no loss; the first in a row is worth a line, the others are not.
    pub(crate) fn log_failure(&self, failure: &dyn std::fmt::Display, pause: Duration) {
        let (entity, consumer, epoch) = self.names();
        if self.backoff.failures() == 1 {
            tracing::warn!(
                entity,
                consumer,
                epoch,
                "a heartbeat for {entity} by {consumer}, epoch {epoch}, failed: {failure}; \
                 again in {pause:?}"
            );
        }
    }

    fn names(&self) -> (&str, &str, i64) {
        let claim = &self.minted.claim;
        (&claim.entity_url, &claim.consumer_id, claim.epoch)
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        // Whoever still looks learns that nobody heartbeats the claim any more.
        self.told.send_if_modified(|told| {
            let is_held = told.standing == Standing::Holding;
            if is_held {
                told.standing = Standing::Over;
            }
            is_held
        });
        if !self.minted.is_done.load(Ordering::Acquire) {
            // Work that goes on under a guard that is gone goes on unheld.
            self.cancellation.cancel();
        }
    }
}

fn tell(lease: &Lease, now: Instant) -> Told {
    Told {
        standing: lease.standing().clone(),
        write_until: lease.write_until(),
        is_suspended: !lease.may_write(now),
        is_stop_requested: lease.is_stop_requested(),
    }
}
