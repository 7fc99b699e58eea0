//! What a holder was told of its claim, and whether that was true: as long as its guard says that it may
//! write, nobody may end the claim.

use claim_client::{ClaimHandle, HoldState, Refusal};
use std::time::Instant;

/// What was seen of one claim.
#[derive(Debug)]
pub(crate) struct Sight {
    /// Before this instant the holder may write, as it was last told.
    until: Option<Instant>,
    /// The claim was found lost at an instant before that.
    was_lost_early: bool,
    loss: Option<Refusal>,
}

impl Sight {
    pub(crate) fn of(handle: &ClaimHandle) -> Self {
        let mut sight = Self { until: None, was_lost_early: false, loss: None };
        sight.look(handle);
        sight
    }

    /// Looks again.
    pub(crate) fn look(&mut self, handle: &ClaimHandle) {
        match handle.state() {
            HoldState::Writing { until } => self.until = Some(until),
            HoldState::Lost(refusal) if self.loss.is_none() => {
                self.was_lost_early = self.may_write();
                self.loss = Some(refusal);
            }
            HoldState::Lost(_) | HoldState::Suspended | HoldState::Over => {}
        }
    }

    /// Whether the holder may write at this instant, as it was last told.
    pub(crate) fn may_write(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    pub(crate) fn until(&self) -> Option<Instant> {
        self.until
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.loss.is_some()
    }

    /// The claim is known to be ended by somebody else: whether it ended while its holder could write.
    pub(crate) fn ended_early(&self) -> bool {
        self.was_lost_early || (self.loss.is_none() && self.may_write())
    }
}
