//! What operators ask, and what they are told.

use super::answer::{claim, entity};
use super::request::{claim_id, unknown_number};
use super::violations::{InvalidFields, Violations};
use claim_proto::v1;
use claims::domain::{
    Ended, EntityKey, EntitySignal, EntityUrl, InvalidField, Revoke, Signal, Signaled, TenantId,
    Text,
};
use std::sync::Arc;

/// Asks to end a claim from outside.
pub(crate) fn revoke(
    asked: &v1::RevokeClaimRequest,
    actor: Arc<str>,
) -> Result<Revoke, InvalidFields> {
    let mut fields = Violations::default();
    let id = claim_id(&mut fields, &asked.tenant_id, &asked.consumer_id, asked.epoch);
    let reason = fields.check(Text::parse("reason", &asked.reason));
    fields.or(|| Some(Revoke { id: id?, reason: reason?, actor }))
}

/// The answer to a revocation.
pub(crate) fn revoked(ended: &Ended) -> v1::RevokeClaimResponse {
    let ending = ended.claim.ending.as_ref();
    // Of an ended claim, nothing told depends on the time.
    let now = ending.map_or(ended.claim.lease.heard_at, |ending| ending.at);
    v1::RevokeClaimResponse {
        claim: Some(claim(&ended.claim, now)),
        entity_cleared: ending.is_some_and(|ending| ending.entity_cleared),
        already_ended: ended.already_ended,
    }
}

/// Asks to pause, continue or end an entity.
pub(crate) fn signal(
    asked: &v1::SignalEntityRequest,
    actor: Arc<str>,
) -> Result<Signal, InvalidFields> {
    let mut fields = Violations::default();
    let tenant = fields.check(TenantId::parse_or_default(&asked.tenant_id));
    let url = fields.check(EntityUrl::parse(&asked.entity_url));
    let signal = fields.check(entity_signal(asked.signal));
    let reason = fields.check(Text::parse("reason", &asked.reason));
    fields.or(|| {
        let entity = EntityKey { tenant: tenant?, url: url? };
        Some(Signal { entity, signal: signal?, reason: reason?, actor })
    })
}

fn entity_signal(number: i32) -> Result<EntitySignal, InvalidField> {
    match v1::EntitySignal::try_from(number) {
        Ok(v1::EntitySignal::Stop) => Ok(EntitySignal::Stop),
        Ok(v1::EntitySignal::Cont) => Ok(EntitySignal::Cont),
        Ok(v1::EntitySignal::Term) => Ok(EntitySignal::Term),
        Ok(v1::EntitySignal::Kill) => Ok(EntitySignal::Kill),
        Ok(v1::EntitySignal::Unspecified) => Err(InvalidField::new("signal", "is missing")),
        Err(_) => Err(unknown_number("signal", number)),
    }
}

/// The answer to a signal.
pub(crate) fn signaled(signaled: &Signaled) -> v1::SignalEntityResponse {
    let current = signaled.current_claim.as_ref();
    let entity = entity(&signaled.key, &signaled.entity, current, signaled.decided_at);
    v1::SignalEntityResponse { entity: Some(entity), changed: signaled.changed }
}
