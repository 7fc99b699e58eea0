//! Requests that change something, or would if they could.

use super::request::{Mood, Requests};
use claim_proto::v1;

/// Seconds of a lease: those of one lapse while the others go on.
const LEASES: [Option<i64>; 6] = [None, None, Some(1), Some(1), Some(60), Some(600)];
const CEILINGS: [Option<i64>; 6] = [None, None, None, None, Some(600), Some(86_400)];

impl Requests<'_> {
    pub(super) fn mint(&mut self) -> v1::MintRequest {
        if self.mood == Mood::Stale || self.draw.chance(15) {
            return self.mint_again();
        }
        let entity_url = self.entity();
        let has_epoch = self.draw.chance(50);
        // Mostly the highest of its authority so far, but many are under way at a time.
        let epoch = self.world.age + 1 - self.draw.random.i64(0..20).min(self.world.age);
        let stream = format!("{entity_url}/{}", self.draw.one(&["main", "side"]));
        v1::MintRequest {
            tenant_id: self.tenant(),
            stream_path: if self.draw.chance(70) { String::new() } else { self.draw.path(&stream) },
            consumer_id: self.few("w"),
            epoch: has_epoch.then(|| self.draw.number(epoch)),
            authority: if has_epoch { self.few("a") } else { self.draw.text("") },
            wake_id: self.few("k"),
            runner_id: self.few("r"),
            request_id: self.few("q"),
            lease_ttl: self.draw.length(&LEASES),
            max_duration: self.draw.length(&CEILINGS),
            supersede: self.draw.chance(25),
            entity_url,
        }
    }

    /// For a claim that was minted before, by the same caller or as another's.
    pub(super) fn mint_again(&mut self) -> v1::MintRequest {
        let held = self.held();
        let claim = held.claim;
        let is_other = self.draw.chance(20);
        v1::MintRequest {
            tenant_id: self.tenant(),
            entity_url: if is_other { self.entity() } else { claim.entity_url },
            consumer_id: claim.consumer_id,
            epoch: Some(claim.epoch),
            authority: claim.authority,
            runner_id: claim.runner_id,
            request_id: self.draw.text(&held.request_id),
            ..Default::default()
        }
    }

    pub(super) fn heartbeat(&mut self) -> v1::HeartbeatRequest {
        let held = self.held();
        let progress = self.draw.chance(30).then(|| self.draw.text("half"));
        v1::HeartbeatRequest {
            tenant_id: self.tenant(),
            write_token: self.supplied(&held),
            consumer_id: held.claim.consumer_id,
            epoch: held.claim.epoch,
            lease_ttl: self.draw.length(&LEASES),
            progress,
        }
    }

    pub(super) fn batch(&mut self) -> v1::HeartbeatBatchRequest {
        let usual = self.draw.random.usize(1..9);
        let count = if self.draw.odd_percent > 0 && self.draw.chance(5) {
            self.draw.one(&[0, 499, 500, 501])
        } else {
            usual
        };
        v1::HeartbeatBatchRequest { heartbeats: (0..count).map(|_| self.heartbeat()).collect() }
    }

    pub(super) fn kept_alive(&mut self) -> v1::KeepAliveRequest {
        let usual = self.draw.random.i64(1..10);
        let tag = self.draw.number(usual).cast_unsigned();
        let is_empty = self.mood == Mood::Wild && self.draw.chance(10);
        v1::KeepAliveRequest { tag, heartbeat: (!is_empty).then(|| self.heartbeat()) }
    }

    pub(super) fn done(&mut self) -> v1::DoneRequest {
        let held = self.held();
        let usual = self.draw.random.usize(0..3);
        let acks = if self.draw.chance(self.draw.odd_percent / 4) {
            self.draw.one(&[255, 256, 257])
        } else {
            usual
        };
        v1::DoneRequest {
            tenant_id: self.tenant(),
            write_token: self.supplied(&held),
            consumer_id: held.claim.consumer_id,
            epoch: held.claim.epoch,
            acked_streams: (0..acks)
                .map(|_| v1::AckedStream {
                    path: self.draw.text("/in/main"),
                    offset: self.draw.text("7"),
                })
                .collect(),
            outcome: self.draw.enum_number(2),
            error_message: self.draw.text("it broke"),
        }
    }

    pub(super) fn revoke(&mut self) -> v1::RevokeClaimRequest {
        let held = self.held();
        v1::RevokeClaimRequest {
            tenant_id: self.tenant(),
            consumer_id: held.claim.consumer_id,
            epoch: held.claim.epoch,
            reason: self.draw.text("because"),
        }
    }

    pub(super) fn signal(&mut self) -> v1::SignalEntityRequest {
        // STOP and CONT, so that entities come back; now and then an end.
        let signal = if self.draw.chance(80) { self.draw.random.i32(1..=2) } else { 0 };
        let signal = if signal == 0 { self.draw.enum_number(4) } else { signal };
        v1::SignalEntityRequest {
            tenant_id: self.tenant(),
            entity_url: self.entity(),
            signal,
            reason: self.draw.text("because"),
        }
    }
}
