//! A claim as small numbers, its times counted from now and cut off where no rule tells one from the
//! next.

use super::names::{
    Caller, NOW, Names, REAP_GRACE_TICKS, at, epoch_of, from_now, token, token_number,
};
use super::state::{RESUMED_LONG_AGO, fence_of, small};
use claims::domain::{
    AckedStream, Claim, ClaimState, ConsumerId, EndReason, Ending, Epoch, Lease, WakeId,
};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ClaimRow {
    /// Consumer and epoch.
    pub(crate) id: (u8, u8),
    pub(crate) entity: u8,
    pub(crate) authority: u8,
    pub(crate) caller: Caller,
    pub(crate) fence: u8,
    pub(crate) token: u8,
    pub(crate) state: ClaimState,
    pub(crate) superseded_by: Option<(u8, u8)>,
    pub(crate) lease: LeaseRow,
    /// Why it ended, whether that cleared its entity, whether acks were stored.
    pub(crate) ending: Option<(EndReason, bool, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct LeaseRow {
    pub(crate) expires: i16,
    pub(crate) ceiling: Option<i16>,
    pub(crate) heard_age: i16,
    pub(crate) stop: bool,
}

/// A lease that lapsed as long ago as this is due unless an outage protects it, and so is an older
/// one.
const LAPSED_LONG_AGO: i16 = -REAP_GRACE_TICKS;
impl ClaimRow {
    pub(crate) fn of(claim: &Claim, passed: i16, resumed_age: i16, names: &Names) -> Self {
        let number = |(consumer, epoch): &(ConsumerId, Epoch)| {
            (names.consumer_number(consumer), small(epoch.get()))
        };
        Self {
            id: (names.consumer_number(&claim.id.consumer), small(claim.id.epoch.get())),
            entity: names.entity_number(&claim.entity_key()),
            authority: names.authority_number(&claim.authority),
            caller: names.caller(&claim.request_id),
            fence: small(claim.fence.get()),
            token: token_number(&claim.token_digest),
            state: claim.state,
            superseded_by: claim.superseded_by.as_ref().map(number),
            lease: LeaseRow::of(claim, passed, resumed_age),
            ending: claim.ending.as_ref().map(|ending| {
                (ending.reason.clone(), ending.entity_cleared, ending.acked_streams.is_some())
            }),
        }
    }

    pub(crate) fn claim(&self, names: &Names) -> Claim {
        let entity = names.entity(self.entity);
        let ending = self.ending.clone().map(|(reason, entity_cleared, acked)| Ending {
            at: NOW,
            reason,
            entity_cleared,
            acked_streams: acked.then(acks),
            error_message: String::new(),
        });
        Claim {
            id: names.claim(self.id),
            stream: names.stream(self.entity, false),
            entity: entity.url,
            authority: names.authority(self.authority),
            wake_id: WakeId::parse("").expect("no wake"),
            runner_id: names.runner(self.caller),
            request_id: names.request(self.caller),
            claimed_at: NOW,
            fence: fence_of(self.fence),
            token_digest: token(self.entity, self.token),
            state: self.state,
            superseded_by: self
                .superseded_by
                .map(|(consumer, epoch)| (names.consumer(consumer), epoch_of(epoch))),
            lease: Lease {
                expires_at: at(self.lease.expires),
                ttl: names.ttl,
                ceiling_at: self.lease.ceiling.map(at),
                last_heartbeat_at: None,
                heard_at: at(-self.lease.heard_age),
                stop: self.lease.stop,
            },
            progress: None,
            ending,
        }
    }
}

impl LeaseRow {
    fn of(claim: &Claim, passed: i16, resumed_age: i16) -> Self {
        let lease = &claim.lease;
        let at_ceiling = lease.ceiling_at == Some(lease.expires_at);
        if claim.ending.is_some() {
            // The final lease is a record; of it D9 asks only whether it ended at the ceiling.
            let ceiling = at_ceiling.then_some(LAPSED_LONG_AGO);
            return Self { expires: LAPSED_LONG_AGO, ceiling, heard_age: 0, stop: false };
        }
        let expires = (from_now(lease.expires_at) - passed).max(LAPSED_LONG_AGO);
        let ceiling = lease.ceiling_at.map(|ceiling| {
            // Reached is reached; but it stays apart from a lease that lapsed before it (D9).
            let lowest = if at_ceiling { LAPSED_LONG_AGO } else { LAPSED_LONG_AGO + 1 };
            (from_now(ceiling) - passed).max(lowest)
        });
        // Only whether it was heard of before the end of an outage matters: of the last one while that
        // protects, of the next one ever since the tick after.
        let heard_age = passed - from_now(lease.heard_at);
        let protected = resumed_age < RESUMED_LONG_AGO && heard_age > resumed_age;
        let heard_age = if protected { resumed_age + 1 } else { heard_age.min(1) };
        Self { expires, ceiling, heard_age, stop: lease.stop }
    }
}

/// What every done acknowledges.
pub(crate) fn acks() -> Vec<AckedStream> {
    vec![AckedStream { path: "/in".to_owned(), offset: "7".to_owned() }]
}
