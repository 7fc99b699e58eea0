//! I5: a token is accepted only under W1, and is refused without a word more than W3 allows.

use super::{Row, Violation, require};
use crate::domain::authorize::Authorization;
use crate::domain::claim::{Claim, ClaimState};
use crate::domain::entity::{EntityKey, EntityState};
use crate::domain::names::{StreamPath, TenantId};
use crate::domain::refusal::Refusal;
use crate::domain::time::Timestamp;
use crate::domain::token::TokenDigest;
use crate::domain::world::World;

/// Checks one answer of AuthorizeWrite against the rows: accepted under W1 and only then, told
/// apart only if the right token's lease has lapsed (W3).
pub fn check_authorization(
    world: &World,
    tenant: &TenantId,
    stream: &StreamPath,
    token: &TokenDigest,
    outcome: Result<&Authorization, &Refusal>,
    now: Timestamp,
) -> Result<(), Violation> {
    let key = EntityKey { tenant: tenant.clone(), url: stream.entity() };
    let holder = holder_by_rows(world, &key, stream, token);
    let rows: &[&dyn Row] = &[&key];
    match (outcome, holder) {
        (Ok(authorization), Some(holder)) => {
            let named = authorization.id == holder.id
                && authorization.entity == key.url
                && authorization.fence == holder.fence;
            require(named, "I5", "another claim's write was allowed", rows)?;
            let runs = now < holder.lease.expires_at
                && authorization.lease_remaining == holder.lease.expires_at.since(now);
            require(runs, "I5", "a write was allowed beyond its lease", rows)
        }
        (Ok(_), None) => require(false, "I5", "a dead token was accepted", rows),
        (Err(Refusal::LeaseLapsed), Some(holder)) => {
            let lapsed = holder.lease.expires_at <= now;
            require(lapsed, "W1", "a running lease was called lapsed", rows)
        }
        (Err(Refusal::WriteTokenInvalid), None) => Ok(()),
        (Err(_), Some(_)) => require(false, "W1", "the holder's token was refused", rows),
        (Err(_), None) => require(false, "W3", "a refusal tells too much", rows),
    }
}

/// The claim for which the token is right, lapsed or not: by W1, but for the time.
fn holder_by_rows<'a>(
    world: &'a World,
    key: &EntityKey,
    stream: &StreamPath,
    token: &TokenDigest,
) -> Option<&'a Claim> {
    let entity = world.entities.get(key)?;
    let ended = matches!(entity.state, EntityState::Stopped | EntityState::Killed);
    let current = entity.current.clone()?;
    world.claims.values().find(|claim| {
        !ended
            && claim.id.tenant == key.tenant
            && claim.entity == key.url
            && (claim.id.consumer.clone(), claim.id.epoch) == current
            && claim.state == ClaimState::Active
            && claim.stream == *stream
            && claim.token_digest == *token
    })
}
