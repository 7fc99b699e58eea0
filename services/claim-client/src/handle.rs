//! What the work may know about its claim, and wait for.

use crate::client::ClaimId;
use crate::error::Error;
use crate::lease::Standing;
use crate::progress::Progress;
use crate::refusal::Refusal;
use crate::token::WriteToken;
use claim_proto::v1;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Where a claim stands, as far as its holder can know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// The lease runs for certain, and writing is allowed before `until`.
    Writing {
        /// The end of the lease that is known of, less the margin.
        until: Instant,
    },
    /// The lease may have run out. Do not write; the claim may come back, and heartbeats go on.
    Suspended,
    /// The service said so. It does not come back.
    Lost(Refusal),
    /// Done, dropped, or the client has ended: nobody heartbeats the claim any more.
    Over,
}

/// Why writing is not allowed and will not be again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotHeld {
    /// The claim is lost.
    #[error("the claim is lost: {0}")]
    Lost(Refusal),
    /// The guard is done or gone.
    #[error("the claim is not held any more")]
    Over,
}

/// What the thread that keeps a claim last told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) standing: Standing,
    pub(crate) write_until: Instant,
    pub(crate) is_suspended: bool,
    pub(crate) is_stop_requested: bool,
}

/// What a mint brought, and what goes with the heartbeats.
#[derive(Debug)]
pub(crate) struct Minted {
    pub(crate) id: ClaimId,
    pub(crate) claim: v1::Claim,
    pub(crate) write_token: WriteToken,
    pub(crate) is_remint: bool,
    pub(crate) ended_predecessor: Option<v1::Claim>,
    pub(crate) progress: Progress,
    /// Its done was answered. Shared, since the client may end before it has carried out an order.
    pub(crate) is_done: AtomicBool,
}

/// Looks at a claim that a [`ClaimGuard`](crate::ClaimGuard) holds. Clone it into every task that
/// works under the claim; it keeps nothing alive.
#[derive(Clone, Debug)]
pub struct ClaimHandle {
    minted: Arc<Minted>,
    told: watch::Receiver<Told>,
    cancellation: CancellationToken,
}

impl ClaimHandle {
    pub(crate) fn new(
        minted: Arc<Minted>,
        told: watch::Receiver<Told>,
        cancellation: CancellationToken,
    ) -> Self {
        Self { minted, told, cancellation }
    }

    /// Its done was answered: nobody has to stop because heartbeats end.
    pub(crate) fn note_done(&self) {
        self.minted.is_done.store(true, Ordering::Release);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.minted.is_done.load(Ordering::Acquire)
    }

    /// The claim as the mint left it.
    #[must_use]
    pub fn claim(&self) -> &v1::Claim {
        &self.minted.claim
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> &ClaimId {
        &self.minted.id
    }

    /// Authorizes writes to the claim's stream.
    #[must_use]
    pub fn write_token(&self) -> &WriteToken {
        &self.minted.write_token
    }

    /// Whether the mint was repeated: the caller held the claim already, and older tokens are dead.
    #[must_use]
    pub fn is_remint(&self) -> bool {
        self.minted.is_remint
    }

    /// The claim that the mint superseded or expired, if there was one.
    #[must_use]
    pub fn ended_predecessor(&self) -> Option<&v1::Claim> {
        self.minted.ended_predecessor.as_ref()
    }

    /// Where the claim stands now. The clock is read at once, so that a process that was stopped
    /// for a while does not take an old answer for a new one.
    #[must_use]
    pub fn state(&self) -> HoldState {
        state(&self.told.borrow(), Instant::now())
    }

    /// Waits until writing is allowed, and gives the instant before which the write has to be
    /// through. Ask before each write.
    ///
    /// # Errors
    /// If it will never be allowed again.
    pub async fn may_write(&self) -> Result<Instant, NotHeld> {
        let mut told = self.told.clone();
        loop {
            match state(&told.borrow_and_update(), Instant::now()) {
                HoldState::Writing { until } => return Ok(until),
                HoldState::Suspended => {}
                HoldState::Lost(refusal) => return Err(NotHeld::Lost(refusal)),
                HoldState::Over => return Err(NotHeld::Over),
            }
            if told.changed().await.is_err() {
                // The client's thread is gone, and with it whoever could renew the lease.
                return Err(not_held(&told.borrow()));
            }
        }
    }

    /// Waits until writing is not allowed, for whatever reason; [`ClaimHandle::state`] tells which.
    pub async fn suspended(&self) {
        let mut told = self.told.clone();
        let _ = told
            .wait_for(|told| told.is_suspended || !matches!(told.standing, Standing::Holding))
            .await;
    }

    /// Whether the service asks to finish at the next checkpoint: the entity was paused or is to
    /// stop. A request; the claim is heartbeaten as before.
    #[must_use]
    pub fn is_stop_requested(&self) -> bool {
        self.told.borrow().is_stop_requested
    }

    /// Waits until the service asks to finish at the next checkpoint. Never completes if it does
    /// not.
    pub async fn stop_requested(&self) {
        let mut told = self.told.clone();
        if told.wait_for(|told| told.is_stop_requested).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Notes how far the work has come. The latest note goes with the next heartbeat and is kept
    /// with the claim.
    ///
    /// # Errors
    /// [`Error::InvalidValue`] if it is longer than 256 bytes or has control characters other than
    /// tab and newline.
    pub fn set_progress(&self, note: impl Into<String>) -> Result<(), Error> {
        self.minted.progress.set(note.into())
    }

    /// Fires when the claim is definitely lost; with
    /// [`CancelOn::Suspension`](crate::CancelOn::Suspension) already when the lease may have run
    /// out. It fires too when the guard is dropped without done, since nobody heartbeats the claim
    /// from then on. A broken connection alone never fires it, and neither does a done.
    ///
    /// Each call gives a token of its own: to cancel one concerns nobody else.
    #[must_use]
    pub fn cancellation(&self) -> CancellationToken {
        self.cancellation.child_token()
    }
}

fn state(told: &Told, now: Instant) -> HoldState {
    match &told.standing {
        Standing::Holding if now < told.write_until => {
            HoldState::Writing { until: told.write_until }
        }
        Standing::Holding => HoldState::Suspended,
        Standing::Lost(refusal) => HoldState::Lost(refusal.clone()),
        Standing::Over => HoldState::Over,
    }
}

fn not_held(told: &Told) -> NotHeld {
    match &told.standing {
        Standing::Lost(refusal) => NotHeld::Lost(refusal.clone()),
        Standing::Holding | Standing::Over => NotHeld::Over,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn told(write_until: Instant) -> Told {
        Told {
            standing: Standing::Holding,
            write_until,
            is_suspended: false,
            is_stop_requested: false,
        }
    }

    #[test]
    fn writing_ends_by_the_clock_even_if_nobody_has_told_so() {
        let now = Instant::now();
        let told = told(now);
        assert_eq!(state(&told, now), HoldState::Suspended);
        assert_eq!(state(&told, now - Duration::from_nanos(1)), HoldState::Writing { until: now });
    }

    #[test]
    fn a_lost_claim_does_not_come_back_by_the_clock() {
        let now = Instant::now();
        let told = Told { standing: Standing::Lost(Refusal::CeilingReached), ..told(now) };
        let before = now - Duration::from_secs(1);
        assert_eq!(state(&told, before), HoldState::Lost(Refusal::CeilingReached));
    }
}
