//! What to ask of a mint.

use crate::error::Error;
use claim_proto::v1;
use std::time::Duration;

/// When the cancellation token of a guard fires, besides on a definite loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CancelOn {
    /// Only on a definite loss. Work that may wait loses nothing by an outage (H3).
    #[default]
    Loss,
    /// Already when the lease may have run out unanswered: for work that must not go on unheld,
    /// whatever it costs. The claim is heartbeaten all the same, and may be held while the work
    /// winds down; a token that has fired stays so.
    Suspension,
}

/// Asks for a claim of an entity. Lengths are bounded by the contract; the service checks them.
#[derive(Clone, Debug)]
#[must_use]
pub struct MintRequest {
    pub(crate) wire: v1::MintRequest,
    pub(crate) cancel_on: CancelOn,
}

impl MintRequest {
    /// A claim of `entity_url`, a path such as `/chat/a`, for the consumer `consumer_id`: a fresh
    /// id for each wake, or a stable one.
    pub fn new(entity_url: impl Into<String>, consumer_id: impl Into<String>) -> Self {
        let wire = v1::MintRequest {
            entity_url: entity_url.into(),
            consumer_id: consumer_id.into(),
            ..v1::MintRequest::default()
        };
        Self { wire, cancel_on: CancelOn::default() }
    }

    /// In that tenant, instead of `default`.
    pub fn tenant_id(mut self, tenant_id: impl Into<String>) -> Self {
        self.wire.tenant_id = tenant_id.into();
        self
    }

    /// To write to that stream of the entity, instead of `<entity>/main`.
    pub fn stream_path(mut self, stream_path: impl Into<String>) -> Self {
        self.wire.stream_path = stream_path.into();
        self
    }

    /// With an epoch given by an authority, instead of one issued by the service. At least 1, and
    /// higher than any before from that authority for the entity.
    pub fn epoch(mut self, authority: impl Into<String>, epoch: i64) -> Self {
        self.wire.authority = authority.into();
        self.wire.epoch = Some(epoch);
        self
    }

    /// The wake that the claim answers; kept with it.
    pub fn wake_id(mut self, wake_id: impl Into<String>) -> Self {
        self.wire.wake_id = wake_id.into();
        self
    }

    /// This worker process; claims can be listed by it.
    pub fn runner_id(mut self, runner_id: impl Into<String>) -> Self {
        self.wire.runner_id = runner_id.into();
        self
    }

    /// Names the mint, so that another process can repeat it. Without one the client draws its own,
    /// so that it can repeat the call when an answer is lost.
    pub fn request_id(mut self, request_id: impl Into<String>) -> Self {
        self.wire.request_id = request_id.into();
        self
    }

    /// Length of the lease, 1 s to 10 min; 30 s if not given.
    pub fn lease_ttl(mut self, length: Duration) -> Self {
        self.wire.lease_ttl = Some(wire_duration(length));
        self
    }

    /// Ceiling: the longest life of the claim, up to 24 h; none if not given.
    pub fn max_duration(mut self, length: Duration) -> Self {
        self.wire.max_duration = Some(wire_duration(length));
        self
    }

    /// Supersedes a current claim whose lease still runs, whoever holds it.
    pub fn supersede(mut self) -> Self {
        self.wire.supersede = true;
        self
    }

    /// When the guard's cancellation token fires, besides on a definite loss.
    pub fn cancel_on(mut self, cancel_on: CancelOn) -> Self {
        self.cancel_on = cancel_on;
        self
    }

    /// With a request id, drawn if none was given.
    pub(crate) fn named(mut self) -> Result<Self, Error> {
        if self.wire.request_id.is_empty() {
            let mut id = [0; 16];
            getrandom::fill(&mut id).map_err(|_| Error::NoRandomness)?;
            self.wire.request_id = format!("{:032x}", u128::from_be_bytes(id));
        }
        Ok(self)
    }
}

fn wire_duration(length: Duration) -> prost_types::Duration {
    // Beyond its range the service refuses it by name.
    length.try_into().unwrap_or(prost_types::Duration { seconds: i64::MAX, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_drawn_once_and_never_twice_the_same() {
        let mint = || MintRequest::new("/chat/a", "w_1").named().unwrap().wire.request_id;
        assert_eq!(mint().len(), 32);
        assert_ne!(mint(), mint());
    }

    #[test]
    fn a_given_request_id_is_kept() {
        let mint = MintRequest::new("/chat/a", "w_1").request_id("mine").named().unwrap();
        assert_eq!(mint.wire.request_id, "mine");
    }
}
