//! A claim: who works on an entity, with what right, and how that ended.

use super::command::EndReason;
use super::entity::EntityKey;
use super::epoch::{Epoch, Fence};
use super::lease::Lease;
use super::names::{
    Authority, ConsumerId, EntityUrl, InvalidField, RequestId, RunnerId, StreamPath, TenantId,
    WakeId, check_ack,
};
use super::refusal::Refusal;
use super::time::Timestamp;
use super::token::TokenDigest;
use std::fmt;

/// Most streams that one done acknowledges.
pub const ACKED_STREAMS_MAX: usize = 256;
/// Most bytes of an acknowledged stream's path.
pub const ACKED_PATH_BYTES_MAX: usize = 1280;
/// Most bytes of an acknowledged stream's offset.
pub const ACKED_OFFSET_BYTES_MAX: usize = 256;

/// What it takes to heartbeat or finish a claim; nothing in process memory is needed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClaimId {
    /// The tenant.
    pub tenant: TenantId,
    /// Who holds the claim.
    pub consumer: ConsumerId,
    /// The claim's generation number.
    pub epoch: Epoch,
}

impl fmt::Display for ClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tenant, self.consumer, self.epoch)
    }
}

/// Where a claim stands: `active → superseded | released | failed | expired | revoked`,
/// `superseded → released | failed | expired | revoked`; the last four are terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClaimState {
    /// The holder works.
    Active,
    /// A newer claim took over; the holder may still say done.
    Superseded,
    /// Done, completed.
    Released,
    /// Done, failed.
    Failed,
    /// Ended by the reaper or a newer mint after its lease lapsed.
    Expired,
    /// Ended by an operator.
    Revoked,
}

impl ClaimState {
    /// Every state, in the order of the wire.
    pub const ALL: [Self; 6] = [
        Self::Active,
        Self::Superseded,
        Self::Released,
        Self::Failed,
        Self::Expired,
        Self::Revoked,
    ];

    /// The name under which the state is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Superseded => "superseded",
            Self::Released => "released",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// The state of that stored name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == name)
    }

    /// Still has a lease.
    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Active | Self::Superseded)
    }
}

/// A stream and how far it was read; the offset is opaque (D7).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AckedStream {
    /// Path of the stream, at most 1280 bytes.
    pub path: String,
    /// Opaque offset, at most 256 bytes.
    pub offset: String,
}

impl AckedStream {
    /// Checks the limits; the error names `acked_streams.path` or `acked_streams.offset`.
    pub fn parse(path: String, offset: String) -> Result<Self, InvalidField> {
        check_ack("acked_streams.path", &path, ACKED_PATH_BYTES_MAX)?;
        check_ack("acked_streams.offset", &offset, ACKED_OFFSET_BYTES_MAX)?;
        Ok(Self { path, offset })
    }
}

/// How a claim ended; written once, never changed (I4).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ending {
    /// When.
    pub at: Timestamp,
    /// Why (D9).
    pub reason: EndReason,
    /// Whether the claim was its entity's current one when it ended (D4).
    pub entity_cleared: bool,
    /// The acks of the accepted done; none if it ended otherwise (D5).
    pub acked_streams: Option<Vec<AckedStream>>,
    /// What the accepted done said went wrong.
    pub error_message: String,
}

/// A claim row, its lease included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The claim's identity.
    pub id: ClaimId,
    /// What is claimed.
    pub entity: EntityUrl,
    /// The stream that the token authorizes writes to.
    pub stream: StreamPath,
    /// Who numbered the epoch.
    pub authority: Authority,
    /// The wake the claim answers.
    pub wake_id: WakeId,
    /// The process that works.
    pub runner_id: RunnerId,
    /// The mint that made the claim.
    pub request_id: RequestId,
    /// When it was minted.
    pub claimed_at: Timestamp,
    /// The entity's fence at the last accepted mint or re-mint.
    pub fence: Fence,
    /// Digest of the one valid write token; kept after the end (D2).
    pub token_digest: TokenDigest,
    /// Where the claim stands.
    pub state: ClaimState,
    /// The newer claim that took over, if one did.
    pub superseded_by: Option<(ConsumerId, Epoch)>,
    /// The lease, or the final one of an ended claim.
    pub lease: Lease,
    /// What the holder last said of its work.
    pub progress: Option<String>,
    /// How it ended; present exactly when the state is terminal.
    pub ending: Option<Ending>,
}

impl Claim {
    /// The entity's key.
    #[must_use]
    pub fn entity_key(&self) -> EntityKey {
        EntityKey { tenant: self.id.tenant.clone(), url: self.entity.clone() }
    }

    /// The claim's state as the reason of a refusal; none while it is active.
    #[must_use]
    pub fn refusal_by_state(&self) -> Option<Refusal> {
        if let Some(ending) = &self.ending {
            return Some(Refusal::ClaimEnded {
                state: self.state,
                end_time: ending.at,
                end_reason: ending.reason.to_string(),
            });
        }
        let (consumer, epoch) = self.superseded_by.clone()?;
        Some(Refusal::ClaimSuperseded { by_consumer: consumer, by_epoch: epoch })
    }

    /// D2, H7: a token, if one was supplied, must be the claim's.
    pub fn check_token(&self, supplied: Option<&TokenDigest>) -> Result<(), Refusal> {
        match supplied {
            Some(digest) if *digest != self.token_digest => Err(Refusal::WriteTokenInvalid),
            _ => Ok(()),
        }
    }
}
