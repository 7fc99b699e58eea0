//! The guard: as long as it lives, its claim is heartbeaten.

use crate::calls::Answered;
use crate::client::{ClaimId, Client};
use crate::done::Done;
use crate::error::Error;
use crate::handle::{ClaimHandle, HoldState, Minted};
use crate::heartbeats::{Hold, HoldId, Order};
use crate::lease::Lease;
use crate::limits::FIRST_BEAT_MAX;
use crate::mint::MintRequest;
use crate::progress::Progress;
use crate::retry::chance;
use crate::token::WriteToken;
use crate::wire;
use claim_proto::v1;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Holds a claim. It is heartbeaten for as long as this lives, while the work goes on and while it
/// winds down, suspended or asked to stop; only a definite loss ends the heartbeats.
///
/// [`ClaimGuard::done`] consumes it. Dropped without, it lets the lease lapse, the log says so, and the
/// cancellation token fires for whoever still works.
///
/// What there is to know and to wait for is at its [`ClaimHandle`], which it also derefs to.
#[derive(Debug)]
#[must_use = "a guard that is dropped lets the lease lapse"]
pub struct ClaimGuard {
    handle: ClaimHandle,
    hold: HoldId,
    client: Client,
}

/// A done that was not answered well. The guard is given back, and the claim still heartbeaten
/// unless it is lost: report again, or drop it and let the lease lapse.
#[derive(Debug, thiserror::Error)]
#[error("the claim is not reported done: {error}")]
pub struct DoneError {
    /// Why.
    pub error: Error,
    /// Boxed, since it is the rare case.
    pub guard: Box<ClaimGuard>,
}

impl ClaimGuard {
    /// Takes a granted claim into care.
    pub(crate) fn of(
        client: &Client,
        hold: HoldId,
        mint: &MintRequest,
        minted: Answered<v1::MintResponse>,
        write_margin_percent: u32,
    ) -> Result<Self, Error> {
        let Answered { sent_at, answer } = minted;
        let claim = answer.claim.ok_or(Error::Incomplete("claim"))?;
        let ttl = wire::length(claim.lease_ttl).ok_or(Error::Incomplete("lease_ttl"))?;
        let promised = wire::minted(&claim, answer.heartbeat_interval);
        let promised = promised.ok_or(Error::Incomplete("lease"))?;
        // Claims that are minted together do not send together.
        let first_beat_after = FIRST_BEAT_MAX.mul_f64(0.5 + chance() / 2.0);
        let lease = Lease::minted(sent_at, ttl, write_margin_percent, first_beat_after, &promised);
        let minted = Arc::new(Minted {
            id: ClaimId {
                tenant_id: claim.tenant_id.clone(),
                consumer_id: claim.consumer_id.clone(),
                epoch: claim.epoch,
            },
            claim,
            write_token: WriteToken::new(answer.write_token),
            is_remint: answer.reminted,
            ended_predecessor: answer.ended_predecessor,
            progress: Progress::default(),
            is_done: AtomicBool::new(false),
        });
        let (kept, told, cancellation) = Hold::new(Arc::clone(&minted), lease, mint.cancel_on);
        if !client.order(Order::Hold(hold, Box::new(kept))) {
            return Err(Error::Ended);
        }
        let handle = ClaimHandle::new(minted, told, cancellation);
        Ok(Self { handle, hold, client: client.clone() })
    }

    /// A handle for another task.
    #[must_use]
    pub fn handle(&self) -> ClaimHandle {
        self.handle.clone()
    }

    /// Reports that the work is over. The claim is heartbeaten until the service has answered.
    ///
    /// A claim that had ended already is answered well too: `already_ended` is true then, `claim`
    /// tells how it ended, and `acks_recorded` whether these very acks are stored. If it was an
    /// earlier attempt of the same report, it is `RELEASED` (or `FAILED`) with these acks. After a
    /// loss it is worth reporting all the same: a superseded claim, or one at its ceiling, is still
    /// ended as reported.
    ///
    /// A future that is dropped before its end leaves the report to run on, and the claim without
    /// heartbeats.
    ///
    /// # Errors
    /// [`DoneError`], with the guard: after a refusal (`ClaimNotFound`, `WriteTokenInvalid`), or if
    /// nobody answered within the client's call deadline; it may have been accepted then.
    pub async fn done(self, done: Done) -> Result<v1::DoneResponse, DoneError> {
        self.client.order(Order::DoneSent(self.hold));
        let token = Some(self.handle.write_token());
        match self.client.report_done(self.handle.id(), token, done).await {
            Ok(answer) => {
                self.handle.note_done();
                Ok(answer)
            }
            Err(error) => {
                self.client.order(Order::DoneGivenUp(self.hold));
                Err(DoneError { error, guard: Box::new(self) })
            }
        }
    }
}

impl Deref for ClaimGuard {
    type Target = ClaimHandle;

    fn deref(&self) -> &ClaimHandle {
        &self.handle
    }
}

impl Drop for ClaimGuard {
    fn drop(&mut self) {
        self.client.order(Order::Release(self.hold));
        if self.handle.is_done() {
            return;
        }
        let v1::Claim { entity_url: entity, consumer_id: consumer, epoch, .. } =
            self.handle.claim();
        match self.handle.state() {
            HoldState::Writing { .. } | HoldState::Suspended => tracing::warn!(
                entity,
                consumer,
                epoch,
                "the claim of {entity} by {consumer}, epoch {epoch}, was dropped without done; \
                 it is not heartbeaten any more and its lease lapses"
            ),
            HoldState::Lost(_) | HoldState::Over => tracing::debug!(
                entity,
                consumer,
                epoch,
                "the lost claim of {entity} by {consumer}, epoch {epoch}, was dropped without done"
            ),
        }
    }
}
