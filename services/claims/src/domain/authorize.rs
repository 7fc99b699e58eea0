//! AuthorizeWrite: rules W1 … W4. Reads, never writes.

use super::claim::{Claim, ClaimId, ClaimState};
use super::entity::{Entity, EntityState};
use super::epoch::Fence;
use super::names::{EntityUrl, StreamPath};
use super::refusal::Refusal;
use super::time::Timestamp;
use super::token::TokenDigest;
use std::time::Duration;

/// The one claim that can write to streams of an entity: its current one, while it is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The claim.
    pub id: ClaimId,
    /// The stream that it may write to.
    pub stream: StreamPath,
    /// The claim's fence.
    pub fence: Fence,
    /// Digest of the claim's token.
    pub token_digest: TokenDigest,
    /// When the claim's lease lapses.
    pub lease_expires_at: Timestamp,
    /// Where the entity stands.
    pub entity_state: EntityState,
}

impl Writer {
    /// The writer of an entity whose row and current claim these are.
    #[must_use]
    pub fn of(entity: &Entity, current: Option<&Claim>) -> Option<Self> {
        let claim = current
            .filter(|claim| claim.state == ClaimState::Active && entity.is_current(&claim.id))?;
        Some(Self {
            id: claim.id.clone(),
            stream: claim.stream.clone(),
            fence: claim.fence,
            token_digest: claim.token_digest,
            lease_expires_at: claim.lease.expires_at,
            entity_state: entity.state,
        })
    }
}

/// A write is allowed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authorization {
    /// The claim that may write.
    pub id: ClaimId,
    /// Its entity.
    pub entity: EntityUrl,
    /// Its fence, for stores that refuse older ones (W4).
    pub fence: Fence,
    /// How long the lease still runs.
    pub lease_remaining: Duration,
}

/// Whether the holder of a token may write to a stream at `now`, given the writer of the stream's
/// entity.
///
/// A refusal discloses nothing (W3): only a lapsed lease with the right token is told apart. Time
/// decides strictly, outage or not (W1).
pub fn authorize(
    writer: Option<&Writer>,
    stream: &StreamPath,
    token: &TokenDigest,
    now: Timestamp,
) -> Result<Authorization, Refusal> {
    let allowed = writer.filter(|writer| {
        let token_matches = writer.token_digest == *token;
        token_matches && writer.stream == *stream && !writer.entity_state.is_terminal()
    });
    let writer = allowed.ok_or(Refusal::WriteTokenInvalid)?;
    if writer.lease_expires_at <= now {
        return Err(Refusal::LeaseLapsed);
    }
    Ok(Authorization {
        id: writer.id.clone(),
        entity: writer.stream.entity(),
        fence: writer.fence,
        lease_remaining: writer.lease_expires_at.since(now),
    })
}
