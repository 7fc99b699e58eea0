//! What one caller remembers of its calls, so that requests concern what there is: claims that live
//! and claims that have ended, with their tokens; pages and positions that were given out.

use super::method::{
    self, DONE, HEARTBEAT, HEARTBEAT_BATCH, KEEP_ALIVE, LIST_CLAIM_EVENTS, LIST_CLAIMS, MINT,
    Method, REVOKE_CLAIM, SIGNAL_ENTITY,
};
use crate::support::raw::Answer;
use crate::support::streams::{answers_in, batch_outcome, outcome};
use claim_proto::v1;
use fastrand::Rng;
use prost::Message;
use std::collections::VecDeque;
use std::fmt::Debug;

/// Claims of each kind that are remembered.
const CLAIMS_MAX: usize = 64;
/// Page tokens of each kind that are remembered.
const PAGES_MAX: usize = 8;

/// A claim as its holder knows it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) claim: v1::Claim,
    pub(crate) request_id: String,
    pub(crate) write_token: String,
}

/// What is remembered.
#[derive(Debug)]
pub(crate) struct World {
    /// Nobody else's.
    pub(crate) tenant: String,
    live: VecDeque<Held>,
    ended: VecDeque<Held>,
    claim_pages: VecDeque<String>,
    event_pages: VecDeque<String>,
    /// The last sequence that was seen.
    pub(crate) sequence: i64,
    /// Grows with each request; the names of entities and the epochs of authorities go with it.
    pub(crate) age: i64,
}

impl World {
    pub(crate) fn new(tenant: String) -> Self {
        Self {
            tenant,
            live: VecDeque::new(),
            ended: VecDeque::new(),
            claim_pages: VecDeque::new(),
            event_pages: VecDeque::new(),
            sequence: 0,
            age: 0,
        }
    }

    /// A claim that lives, as far as is known; a made-up one if there is none.
    pub(crate) fn live(&self, random: &mut Rng) -> Held {
        one(random, &self.live).unwrap_or_else(made_up)
    }

    /// A claim that has ended; a made-up one if there is none.
    pub(crate) fn ended(&self, random: &mut Rng) -> Held {
        one(random, &self.ended).unwrap_or_else(made_up)
    }

    /// A token of a page of claims.
    pub(crate) fn claim_page(&self, random: &mut Rng) -> String {
        one(random, &self.claim_pages).unwrap_or_default()
    }

    /// A token of a page of events.
    pub(crate) fn event_page(&self, random: &mut Rng) -> String {
        one(random, &self.event_pages).unwrap_or_default()
    }

    /// Remembers what a good answer says; `request` is the message that it answers. Returns whether
    /// the answer says that something was changed.
    pub(crate) fn learn(&mut self, method: &Method, request: &[u8], answer: &Answer) -> bool {
        if method.is_endless || !method::of_the_contract().any(|known| known == method) {
            return false;
        }
        match method {
            m if *m == MINT => {
                self.minted(v1::MintRequest::decode(request).ok(), message(answer));
                true
            }
            m if *m == DONE => {
                let said: v1::DoneResponse = message(answer);
                self.gone(said.claim.as_ref());
                !said.already_ended
            }
            m if *m == REVOKE_CLAIM => {
                let said: v1::RevokeClaimResponse = message(answer);
                self.gone(said.claim.as_ref());
                !said.already_ended
            }
            m if *m == SIGNAL_ENTITY => message::<v1::SignalEntityResponse>(answer).changed,
            m if *m == HEARTBEAT => true,
            m if *m == HEARTBEAT_BATCH => {
                let said: v1::HeartbeatBatchResponse = message(answer);
                let outcomes = said.results.into_iter().map(batch_outcome);
                // All of them, so that each refusal is looked at.
                outcomes.filter(Result::is_ok).count() > 0
            }
            m if *m == KEEP_ALIVE => {
                let outcomes = answers_in(&answer.body).into_iter().map(outcome);
                outcomes.filter(Result::is_ok).count() > 0
            }
            m if *m == LIST_CLAIMS => {
                let said: v1::ListClaimsResponse = message(answer);
                keep(&mut self.claim_pages, said.next_page_token, PAGES_MAX);
                false
            }
            m if *m == LIST_CLAIM_EVENTS => {
                let said: v1::ListClaimEventsResponse = message(answer);
                self.sequence = said.events.last().map_or(self.sequence, |event| event.sequence);
                keep(&mut self.event_pages, said.next_page_token, PAGES_MAX);
                false
            }
            _ => false,
        }
    }

    fn minted(&mut self, asked: Option<v1::MintRequest>, said: v1::MintResponse) {
        let request_id = asked.map(|asked| asked.request_id).unwrap_or_default();
        let claim = said.claim.expect("a mint answers with its claim");
        assert_eq!(said.write_token.len(), 43, "a mint answers with a token");
        self.gone(said.ended_predecessor.as_ref());
        let held = Held { claim, request_id, write_token: said.write_token };
        keep(&mut self.live, held, CLAIMS_MAX);
    }

    fn gone(&mut self, claim: Option<&v1::Claim>) {
        let Some(claim) = claim else { return };
        let is_it = |held: &Held| {
            (&held.claim.consumer_id, held.claim.epoch) == (&claim.consumer_id, claim.epoch)
        };
        if let Some(place) = self.live.iter().position(is_it) {
            let held = self.live.remove(place).expect("it was there");
            keep(&mut self.ended, held, CLAIMS_MAX);
        }
    }
}

fn one<T: Clone>(random: &mut Rng, of: &VecDeque<T>) -> Option<T> {
    random.choice(of).cloned()
}

fn keep<T>(among: &mut VecDeque<T>, new: T, max: usize) {
    among.push_back(new);
    if among.len() > max {
        among.pop_front();
    }
}

/// A claim that nobody has minted.
fn made_up() -> Held {
    let claim = v1::Claim {
        consumer_id: "w_nobody".into(),
        epoch: 1,
        entity_url: "/nothing".into(),
        stream_path: "/nothing/main".into(),
        ..Default::default()
    };
    Held { claim, request_id: String::new(), write_token: "x".repeat(43) }
}

/// The message of a good answer.
fn message<M: Message + Default + Debug>(answer: &Answer) -> M {
    M::decode(answer.message()).expect("an answer of its type")
}
