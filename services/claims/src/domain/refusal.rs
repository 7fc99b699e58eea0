//! Expected answers of no. A refusal is a value, not a failure; it changed nothing (I10).

use super::claim::ClaimState;
use super::entity::EntityState;
use super::epoch::Epoch;
use super::names::{ConsumerId, EntityUrl};
use super::time::Timestamp;
use std::time::Duration;

/// Why a call was refused, with what the caller needs to go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No claim has this identity (D1).
    #[error("no claim has this identity")]
    ClaimNotFound,
    /// The entity was never named by a mint or a signal.
    #[error("no such entity")]
    EntityNotFound,
    /// Somebody else holds the entity (M2, M3, M4).
    #[error("the entity is claimed by {holder}, epoch {epoch}")]
    AlreadyClaimed {
        /// Who holds it.
        holder: ConsumerId,
        /// The holder's epoch.
        epoch: Epoch,
        /// How long until the claim may be taken, if its holder stays silent.
        takeable_in: Duration,
    },
    /// The identity belongs to a claim of another entity, stream or authority (M2).
    #[error("this consumer and epoch already name a claim of {entity}")]
    IdentityInUse {
        /// The entity of that claim.
        entity: EntityUrl,
    },
    /// The epoch is not above the highest accepted one (M2, M3).
    #[error("the epoch is not above {highest}, the highest accepted one")]
    EpochFenced {
        /// The highest epoch ever accepted for the entity and authority.
        highest: Epoch,
    },
    /// The entity takes no claims in its state (M1).
    #[error("the entity is {} and takes no claims", .0.as_str())]
    EntityNotClaimable(EntityState),
    /// The entity has ended and takes no other signal.
    #[error("the entity is {} for good", .0.as_str())]
    EntityTerminal(EntityState),
    /// The signal has no meaning in the entity's state.
    #[error("the signal does not apply to an entity that is {}", .0.as_str())]
    SignalNotApplicable(EntityState),
    /// A newer claim took over (H1).
    #[error("the claim was superseded by {by_consumer}, epoch {by_epoch}")]
    ClaimSuperseded {
        /// Who took over.
        by_consumer: ConsumerId,
        /// The newer claim's epoch.
        by_epoch: Epoch,
    },
    /// The claim has ended (H1, M2).
    #[error("the claim has ended: {}, {end_reason}", state.as_str())]
    ClaimEnded {
        /// A terminal state.
        state: ClaimState,
        /// When it ended.
        end_time: Timestamp,
        /// Why it ended (D9).
        end_reason: String,
    },
    /// The claim's whole life is over (H4).
    #[error("the claim has reached its ceiling")]
    CeilingReached,
    /// The right token, but its lease has lapsed (W3).
    #[error("the claim's lease has lapsed")]
    LeaseLapsed,
    /// Not the token of a current claim; says no more than that (W3, H7, D2).
    #[error("the write token is not valid")]
    WriteTokenInvalid,
}
