//! Who a call is about: known as soon as the request has been converted, noted in its span, and what
//! the caller's permission depends on.

use crate::access::{Asked, Call};
use crate::status;
use crate::wire::InvalidFields;
use crate::wire::events::EventWatch;
use crate::wire::request::AuthorizeWrite;
use claims::domain::{
    ClaimId, ConsumerId, Done, EntityKey, Epoch, Heartbeat, Mint, Revoke, Signal, TenantId,
};
use claims::store::{ClaimQuery, EventQuery};
use tonic::Status;
use tracing::Span;

/// A converted request that its caller may make, noted in the call's span; or the status of one that
/// does not fit or is not permitted.
pub(crate) fn checked<R: Subject>(
    call: &Call,
    converted: Result<R, InvalidFields>,
) -> Result<R, Status> {
    let request = converted.map_err(|fields| status::invalid(&fields))?;
    let (tenant, consumer, epoch) = request.subject();
    let span = Span::current();
    span.record("tenant", tenant.as_str());
    if let Some(consumer) = consumer {
        span.record("consumer", consumer.as_str());
    }
    if let Some(epoch) = epoch {
        span.record("epoch", epoch.get());
    }
    call.permit(tenant, request.asked())?;
    Ok(request)
}

/// One heartbeat of many: as [`checked`], but for the span, which is not about it alone.
pub(crate) fn checked_part(
    call: &Call,
    converted: Result<Heartbeat, InvalidFields>,
) -> Result<Heartbeat, Status> {
    let heartbeat = converted.map_err(|fields| status::invalid(&fields))?;
    call.permit(&heartbeat.id.tenant, heartbeat.asked())?;
    Ok(heartbeat)
}

/// Notes a batch in the call's span: how many heartbeats, and the first one's tenant.
pub(crate) fn note_batch(batch: &[Result<Heartbeat, InvalidFields>]) {
    let span = Span::current();
    span.record("heartbeats", batch.len());
    if let Some(first) = batch.iter().flatten().next() {
        span.record("tenant", first.id.tenant.as_str());
    }
}

/// The tenant that a call is about and, where it names them, the consumer and the epoch.
pub(crate) trait Subject {
    /// See the trait.
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>);

    /// What it asks for, as far as it matters who asks.
    fn asked(&self) -> Asked<'_> {
        Asked::Plain
    }
}

impl Subject for Mint {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.tenant, Some(&self.consumer), self.epoch)
    }

    fn asked(&self) -> Asked<'_> {
        Asked::Claim { runner: self.runner_id.as_str() }
    }
}

impl Subject for ClaimId {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.tenant, Some(&self.consumer), Some(self.epoch))
    }
}

impl Subject for Heartbeat {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        self.id.subject()
    }

    fn asked(&self) -> Asked<'_> {
        Asked::Held { with_token: self.token.is_some() }
    }
}

impl Subject for Done {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        self.id.subject()
    }

    fn asked(&self) -> Asked<'_> {
        Asked::Held { with_token: self.token.is_some() }
    }
}

impl Subject for Revoke {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        self.id.subject()
    }
}

impl Subject for Signal {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        self.entity.subject()
    }
}

impl Subject for AuthorizeWrite {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.tenant, None, None)
    }
}

impl Subject for EntityKey {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.tenant, None, None)
    }
}

impl Subject for ClaimQuery {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.tenant, None, None)
    }
}

impl Subject for EventQuery {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.filter.tenant, self.filter.consumer.as_ref(), None)
    }
}

impl Subject for EventWatch {
    fn subject(&self) -> (&TenantId, Option<&ConsumerId>, Option<Epoch>) {
        (&self.filter.tenant, self.filter.consumer.as_ref(), None)
    }
}
