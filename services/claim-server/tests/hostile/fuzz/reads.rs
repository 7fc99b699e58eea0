//! Requests that change nothing.

use super::request::Requests;
use claim_proto::v1;

impl Requests<'_> {
    pub(super) fn authorize_write(&mut self) -> v1::AuthorizeWriteRequest {
        let held = self.held();
        v1::AuthorizeWriteRequest {
            tenant_id: self.tenant(),
            stream_path: self.draw.path(&held.claim.stream_path),
            write_token: self.draw.text(&held.write_token),
        }
    }

    pub(super) fn get_claim(&mut self) -> v1::GetClaimRequest {
        let held = self.held();
        v1::GetClaimRequest {
            tenant_id: self.tenant(),
            consumer_id: held.claim.consumer_id,
            epoch: held.claim.epoch,
        }
    }

    pub(super) fn list_claims(&mut self) -> v1::ListClaimsRequest {
        let page_token = self.world.claim_page(self.draw.random);
        // A page fits the conditions that it was given out for, which are mostly none.
        let has_conditions = self.draw.chance(30);
        let state_count = self.draw.random.usize(0..4);
        v1::ListClaimsRequest {
            tenant_id: self.tenant(),
            entity_url: if has_conditions { self.entity() } else { String::new() },
            runner_id: if has_conditions { self.few("r") } else { String::new() },
            states: (0..if has_conditions { state_count } else { 0 })
                .map(|_| self.draw.enum_number(6))
                .collect(),
            lapsed_only: has_conditions && self.draw.chance(50),
            page_size: self.draw.number(7),
            page_token: self.draw.page_token(&page_token),
        }
    }

    pub(super) fn get_entity(&mut self) -> v1::GetEntityRequest {
        v1::GetEntityRequest { tenant_id: self.tenant(), entity_url: self.entity() }
    }

    pub(super) fn list_events(&mut self) -> v1::ListClaimEventsRequest {
        let page_token = self.world.event_page(self.draw.random);
        let has_conditions = self.draw.chance(30);
        v1::ListClaimEventsRequest {
            tenant_id: self.tenant(),
            entity_url: if has_conditions { self.entity() } else { String::new() },
            consumer_id: if has_conditions { self.few("w") } else { String::new() },
            page_size: self.draw.number(7),
            page_token: self.draw.page_token(&page_token),
        }
    }

    pub(super) fn watch(&mut self) -> v1::WatchClaimEventsRequest {
        let after = self.draw.number(self.world.sequence);
        v1::WatchClaimEventsRequest {
            tenant_id: self.tenant(),
            entity_url: if self.draw.chance(30) { self.entity() } else { String::new() },
            consumer_id: if self.draw.chance(30) { self.few("w") } else { String::new() },
            after_sequence: self.draw.chance(60).then_some(after),
        }
    }
}
