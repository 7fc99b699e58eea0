//! Requests as a caller would make them, for every method, with odd values here and there.

use super::field::Draw;
use super::method::{
    AUTHORIZE_WRITE, DONE, GET_CLAIM, GET_ENTITY, GET_REAPER_STATUS, HEARTBEAT, HEARTBEAT_BATCH,
    KEEP_ALIVE, LIST_CLAIM_EVENTS, LIST_CLAIMS, MINT, Method, REVOKE_CLAIM, SIGNAL_ENTITY,
    WATCH_CLAIM_EVENTS,
};
use super::world::{Held, World};
use claim_proto::v1;
use prost::Message;

/// What a caller is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Lives claims, from mint to done.
    Honest,
    /// Does so with odd values now and then.
    Careless,
    /// Holds what it holds no longer, or never did.
    Stale,
    /// Sends little that makes sense.
    Wild,
}

impl Mood {
    const fn odd_percent(self) -> u8 {
        match self {
            Self::Honest | Self::Stale => 0,
            Self::Careless => 5,
            Self::Wild => 35,
        }
    }
}

/// How often each method is called, in an honest life; the rest of a hundred are reads.
const WEIGHTS: [(u8, &Method); 14] = [
    (22, &MINT),
    (14, &HEARTBEAT),
    (4, &HEARTBEAT_BATCH),
    (4, &KEEP_ALIVE),
    (14, &DONE),
    (12, &AUTHORIZE_WRITE),
    (5, &SIGNAL_ENTITY),
    (4, &REVOKE_CLAIM),
    (5, &GET_CLAIM),
    (4, &LIST_CLAIMS),
    (4, &GET_ENTITY),
    (4, &LIST_CLAIM_EVENTS),
    (3, &WATCH_CLAIM_EVENTS),
    (1, &GET_REAPER_STATUS),
];
/// Requests after which a caller turns to other entities: some of them are ended for good by then.
const ENTITIES_LAST: i64 = 1500;
/// Entities, consumers, authorities, runners, request ids: few, so that calls meet.
const ENTITIES: i64 = 12;
const FEW: i64 = 6;
/// Seconds of a lease: those of one lapse while the others go on.
const LEASES: [Option<i64>; 6] = [None, None, Some(1), Some(1), Some(60), Some(600)];
const CEILINGS: [Option<i64>; 6] = [None, None, None, None, Some(600), Some(86_400)];

/// Makes the requests of one caller.
pub(crate) struct Requests<'a> {
    pub(crate) world: &'a World,
    pub(crate) mood: Mood,
    draw: Draw<'a>,
}

impl<'a> Requests<'a> {
    pub(crate) fn new(world: &'a World, mood: Mood, random: &'a mut fastrand::Rng) -> Self {
        Self { world, mood, draw: Draw { random, odd_percent: mood.odd_percent() } }
    }

    /// The next one: whom it is sent to, and its messages, of which only a stream has several.
    pub(crate) fn next(&mut self) -> (&'static Method, Vec<Vec<u8>>) {
        let mut at = self.draw.random.u8(0..WEIGHTS.iter().map(|(weight, _)| weight).sum::<u8>());
        let method = WEIGHTS.iter().find(|(weight, _)| {
            let is_it = at < *weight;
            at = at.saturating_sub(*weight);
            is_it
        });
        let (_, method) = method.expect("a method for each number");
        (method, self.messages(method))
    }

    fn messages(&mut self, method: &Method) -> Vec<Vec<u8>> {
        let one = |message: Vec<u8>| vec![message];
        match method {
            m if *m == MINT => one(self.mint().encode_to_vec()),
            m if *m == HEARTBEAT => one(self.heartbeat().encode_to_vec()),
            m if *m == HEARTBEAT_BATCH => one(self.batch().encode_to_vec()),
            m if *m == KEEP_ALIVE => {
                let count = self.draw.random.usize(0..6);
                (0..count).map(|_| self.kept_alive().encode_to_vec()).collect()
            }
            m if *m == DONE => one(self.done().encode_to_vec()),
            m if *m == AUTHORIZE_WRITE => one(self.authorize_write().encode_to_vec()),
            m if *m == GET_CLAIM => one(self.get_claim().encode_to_vec()),
            m if *m == LIST_CLAIMS => one(self.list_claims().encode_to_vec()),
            m if *m == GET_ENTITY => one(self.get_entity().encode_to_vec()),
            m if *m == LIST_CLAIM_EVENTS => one(self.list_events().encode_to_vec()),
            m if *m == WATCH_CLAIM_EVENTS => one(self.watch().encode_to_vec()),
            m if *m == REVOKE_CLAIM => one(self.revoke().encode_to_vec()),
            m if *m == SIGNAL_ENTITY => one(self.signal().encode_to_vec()),
            _ => one(vec![]),
        }
    }

    fn tenant(&mut self) -> String {
        self.draw.text(&self.world.tenant)
    }

    /// One of few names.
    fn few(&mut self, letter: &str) -> String {
        let number = self.draw.random.i64(0..FEW);
        let usual = format!("{letter}{number}");
        self.draw.text(&usual)
    }

    fn entity(&mut self) -> String {
        let number = self.draw.random.i64(0..ENTITIES);
        let usual = format!("/e/{}/{number}", self.world.age / ENTITIES_LAST);
        self.draw.path(&usual)
    }

    /// The claim that a request is about: one that lives, unless the caller is stale.
    fn held(&mut self) -> Held {
        let stale = match self.mood {
            Mood::Stale => 80,
            Mood::Honest => 5,
            Mood::Careless | Mood::Wild => 15,
        };
        let is_stale = self.draw.chance(stale);
        let world = self.world;
        let mut held =
            if is_stale { world.ended(self.draw.random) } else { world.live(self.draw.random) };
        if self.mood == Mood::Stale && !is_stale {
            held.write_token = world.ended(self.draw.random).write_token;
        }
        held.claim.consumer_id = self.draw.text(&held.claim.consumer_id);
        held.claim.epoch = self.draw.number(held.claim.epoch);
        held
    }

    /// A token to present with a request about a claim that may be named without.
    fn supplied(&mut self, held: &Held) -> String {
        if self.mood != Mood::Stale && self.draw.chance(20) {
            return String::new();
        }
        self.draw.text(&held.write_token)
    }

    fn mint(&mut self) -> v1::MintRequest {
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
    fn mint_again(&mut self) -> v1::MintRequest {
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

    fn heartbeat(&mut self) -> v1::HeartbeatRequest {
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

    fn batch(&mut self) -> v1::HeartbeatBatchRequest {
        let usual = self.draw.random.usize(1..9);
        let count = if self.draw.odd_percent > 0 && self.draw.chance(5) {
            self.draw.one(&[0, 499, 500, 501])
        } else {
            usual
        };
        v1::HeartbeatBatchRequest { heartbeats: (0..count).map(|_| self.heartbeat()).collect() }
    }

    fn kept_alive(&mut self) -> v1::KeepAliveRequest {
        let usual = self.draw.random.i64(1..10);
        let tag = self.draw.number(usual).cast_unsigned();
        let is_empty = self.mood == Mood::Wild && self.draw.chance(10);
        v1::KeepAliveRequest { tag, heartbeat: (!is_empty).then(|| self.heartbeat()) }
    }

    fn done(&mut self) -> v1::DoneRequest {
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

    fn authorize_write(&mut self) -> v1::AuthorizeWriteRequest {
        let held = self.held();
        v1::AuthorizeWriteRequest {
            tenant_id: self.tenant(),
            stream_path: self.draw.path(&held.claim.stream_path),
            write_token: self.draw.text(&held.write_token),
        }
    }

    fn get_claim(&mut self) -> v1::GetClaimRequest {
        let held = self.held();
        v1::GetClaimRequest {
            tenant_id: self.tenant(),
            consumer_id: held.claim.consumer_id,
            epoch: held.claim.epoch,
        }
    }

    fn list_claims(&mut self) -> v1::ListClaimsRequest {
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

    fn get_entity(&mut self) -> v1::GetEntityRequest {
        v1::GetEntityRequest { tenant_id: self.tenant(), entity_url: self.entity() }
    }

    fn list_events(&mut self) -> v1::ListClaimEventsRequest {
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

    fn watch(&mut self) -> v1::WatchClaimEventsRequest {
        let after = self.draw.number(self.world.sequence);
        v1::WatchClaimEventsRequest {
            tenant_id: self.tenant(),
            entity_url: if self.draw.chance(30) { self.entity() } else { String::new() },
            consumer_id: if self.draw.chance(30) { self.few("w") } else { String::new() },
            after_sequence: self.draw.chance(60).then_some(after),
        }
    }

    fn revoke(&mut self) -> v1::RevokeClaimRequest {
        let held = self.held();
        v1::RevokeClaimRequest {
            tenant_id: self.tenant(),
            consumer_id: held.claim.consumer_id,
            epoch: held.claim.epoch,
            reason: self.draw.text("because"),
        }
    }

    fn signal(&mut self) -> v1::SignalEntityRequest {
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
