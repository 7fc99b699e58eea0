//! Requests as a caller would make them, for every method, with odd values here and there.

use super::field::Draw;
use super::method::{
    AUTHORIZE_WRITE, DONE, GET_CLAIM, GET_ENTITY, GET_REAPER_STATUS, HEARTBEAT, HEARTBEAT_BATCH,
    KEEP_ALIVE, LIST_CLAIM_EVENTS, LIST_CLAIMS, MINT, Method, REVOKE_CLAIM, SIGNAL_ENTITY,
    WATCH_CLAIM_EVENTS,
};
use super::world::{Held, World};
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

/// Makes the requests of one caller.
pub(crate) struct Requests<'a> {
    pub(super) world: &'a World,
    pub(super) mood: Mood,
    pub(super) draw: Draw<'a>,
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

    pub(super) fn tenant(&mut self) -> String {
        self.draw.text(&self.world.tenant)
    }

    /// One of few names.
    pub(super) fn few(&mut self, letter: &str) -> String {
        let number = self.draw.random.i64(0..FEW);
        let usual = format!("{letter}{number}");
        self.draw.text(&usual)
    }

    pub(super) fn entity(&mut self) -> String {
        let number = self.draw.random.i64(0..ENTITIES);
        let usual = format!("/e/{}/{number}", self.world.age / ENTITIES_LAST);
        self.draw.path(&usual)
    }

    /// The claim that a request is about: one that lives, unless the caller is stale.
    pub(super) fn held(&mut self) -> Held {
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
    pub(super) fn supplied(&mut self, held: &Held) -> String {
        if self.mood != Mood::Stale && self.draw.chance(20) {
            return String::new();
        }
        self.draw.text(&held.write_token)
    }
}
