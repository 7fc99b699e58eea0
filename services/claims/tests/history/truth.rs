//! Histories that are true, as the specification answers them: what [`tampered`](super::tampered) begins
//! with.

use super::check::check;
use super::record::{After, Call, History, Record, Said, Written};
use super::spec::{beginning, effect};
use claims::domain::{
    Answer, ClaimId, Command, EntityUrl, StreamPath, Timestamp, TokenDigest, World,
};
use claims::testing::{MintBuilder, done, entity_key, heartbeat, mint, tenant};
use std::collections::BTreeMap;
use std::time::Duration;

const BEGIN: Timestamp = Timestamp::from_unix_micros(1_800_000_000_000_000);

/// A history in the making: each call is answered by the specification, a second after the one before.
#[derive(Clone)]
pub(crate) struct Truth {
    pub(crate) now: Timestamp,
    pub(crate) world: World,
    pub(crate) history: History,
    pub(crate) events: Vec<(claims::domain::Event, Timestamp)>,
}

impl Truth {
    pub(crate) fn new() -> Self {
        let entity = entity_key("/e");
        let (entities, written) = (vec![entity], Written::default());
        let history = History { entities, records: vec![], written, until: None };
        Self { now: BEGIN, world: beginning(), history, events: vec![] }
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(crate) fn call(&mut self, call: Call) -> Said {
        self.pass(Duration::from_secs(1));
        let effect = effect(&self.world, &call, self.now);
        effect.apply_to(&mut self.world);
        let (now, written) = (self.now, &mut self.history.written);
        if let (Call::Beat(beat), false) = (&call, effect.is_none()) {
            written.renewals.entry(beat.id.clone()).or_default().insert(now);
        }
        for event in &effect.events {
            written.decisions.entry(event.entity.url.clone()).or_default().insert(now);
        }
        self.events.extend(effect.events.into_iter().map(|event| (event, now)));
        let around = Duration::from_millis(10);
        self.history.records.push(Record {
            call,
            invoked: self.now - around,
            said: Some((self.now + around, effect.said.clone())),
        });
        effect.said
    }

    pub(crate) fn mint(&mut self, asked: MintBuilder) -> (ClaimId, TokenDigest) {
        let token = asked.token.digest();
        let Said::Decided(Ok(Answer::Minted(minted))) =
            self.call(Call::Decide(Command::Mint(asked.mint)))
        else {
            panic!("the mint was refused");
        };
        (minted.claim.id, token)
    }

    pub(crate) fn done(&mut self, id: &ClaimId) {
        self.call(Call::Decide(Command::Done(done(id))));
    }

    pub(crate) fn prune(&mut self, id: &ClaimId) {
        self.call(Call::Prune([id.clone()].into(), Duration::ZERO));
    }

    pub(crate) fn beat(&mut self, id: &ClaimId) {
        self.call(Call::Beat(heartbeat(id)));
    }

    pub(crate) fn write(&mut self, token: TokenDigest) {
        let stream = StreamPath::parse("/e/main").expect("a stream");
        self.call(Call::Write(tenant(), stream, token));
    }

    pub(crate) fn after(&self) -> After {
        let mut events: BTreeMap<EntityUrl, Vec<_>> = BTreeMap::new();
        for (event, at) in &self.events {
            events.entry(event.entity.url.clone()).or_default().push((event.clone(), *at));
        }
        After { world: self.world.clone(), events }
    }

    /// A call was answered only after all that there are so far.
    pub(crate) fn answered_last(&mut self, place: usize) {
        let answer = self.history.records[place].said.as_mut().expect("an answer");
        answer.0 = self.now + Duration::from_millis(20);
    }

    /// What the last call was told is replaced by what another would have been told.
    pub(crate) fn instead(&mut self, place: usize, said: Said) {
        self.history.records[place].said.as_mut().expect("an answer").1 = said;
    }

    pub(crate) fn said(&self, place: usize) -> Said {
        self.history.records[place].said.clone().expect("an answer").1
    }

    pub(crate) fn assert_explained(&self) {
        assert!(check(&self.history, None).is_ok(), "the truth is explained");
        assert!(check(&self.history, Some(&self.after())).is_ok(), "and so are its rows");
    }

    pub(crate) fn assert_refused(&self) {
        assert!(check(&self.history, None).is_err());
    }
}

/// A claim of a minute that is minted, renewed, written with, done, and minted anew.
pub(crate) fn a_life() -> Truth {
    let mut truth = Truth::new();
    let (id, token) = truth.mint(mint("/e", "w1").lengths(Some(60), None));
    truth.beat(&id);
    truth.write(token);
    truth.done(&id);
    let (next, token) = truth.mint(mint("/e", "w2").lengths(Some(60), None));
    truth.write(token);
    truth.beat(&next);
    truth.assert_explained();
    truth
}
