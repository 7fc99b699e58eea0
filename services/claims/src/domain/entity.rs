//! An entity: the thing claimed, and whether it may be.

use super::claim::ClaimId;
use super::epoch::{Epoch, Fence, NumberFloor};
use super::names::{ConsumerId, EntityUrl, TenantId};
use super::time::Timestamp;

/// Names one entity; the order is the lock order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntityKey {
    /// The tenant.
    pub tenant: TenantId,
    /// The entity within it.
    pub url: EntityUrl,
}

/// Where an entity stands; the last two are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EntityState {
    /// Nobody works on it.
    Idle,
    /// A claim is current.
    Running,
    /// Stopped for a while; may or may not have a current claim.
    Paused,
    /// Will be stopped when its current claim ends.
    Stopping,
    /// Ended in order.
    Stopped,
    /// Ended at once.
    Killed,
}

impl EntityState {
    /// Every state, in the order of the wire.
    pub const ALL: [Self; 6] =
        [Self::Idle, Self::Running, Self::Paused, Self::Stopping, Self::Stopped, Self::Killed];

    /// The name under which the state is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::Killed => "killed",
        }
    }

    /// The state of that stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Never changes again (I9).
    #[must_use]
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Stopped | Self::Killed)
    }

    /// A holder is asked to finish at its next checkpoint (H5).
    #[must_use]
    pub const fn asks_holder_to_stop(self) -> bool {
        matches!(self, Self::Paused | Self::Stopping)
    }

    /// The state after the end of the current claim: `running` becomes `idle`, `stopping` becomes
    /// `stopped`; `paused` is never left that way (I9).
    #[must_use]
    pub const fn after_end_of_current_claim(self) -> Self {
        match self {
            Self::Running => Self::Idle,
            Self::Stopping => Self::Stopped,
            other => other,
        }
    }
}

/// An entity row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Entity {
    /// Where it stands.
    pub state: EntityState,
    /// Fence of the last accepted mint or re-mint; zero if never claimed.
    pub fence: Fence,
    /// The one claim that may write.
    pub current: Option<(ConsumerId, Epoch)>,
    /// When it was last claimed.
    pub last_claimed_at: Option<Timestamp>,
    /// When a current claim last ended (D8).
    pub last_ended_at: Option<Timestamp>,
    /// When a done last completed it (D8).
    pub last_completed_at: Option<Timestamp>,
    /// What the last failed done of it said (D8).
    pub last_error: Option<String>,
}

impl Entity {
    /// An entity that nobody has named before, as far as this database knows.
    #[must_use]
    pub const fn unseen(floor: NumberFloor) -> Self {
        Self {
            state: EntityState::Idle,
            fence: floor.fence(),
            current: None,
            last_claimed_at: None,
            last_ended_at: None,
            last_completed_at: None,
            last_error: None,
        }
    }

    /// Identity of the current claim of this entity of `tenant`.
    #[must_use]
    pub fn current_id(&self, tenant: &TenantId) -> Option<ClaimId> {
        self.current.clone().map(|(consumer, epoch)| ClaimId {
            tenant: tenant.clone(),
            consumer,
            epoch,
        })
    }

    /// Whether `id` is the current claim.
    #[must_use]
    pub fn is_current(&self, id: &ClaimId) -> bool {
        self.current
            .as_ref()
            .is_some_and(|(consumer, epoch)| *consumer == id.consumer && *epoch == id.epoch)
    }
}
