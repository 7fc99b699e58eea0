//! Which calls may come next in an order that explains a history. There is little to choose:
//!
//! * A call that changes nothing and fits the rows gets its place at once: it is in nobody's way.
//! * A call that changed something tells when. The database decides about an entity in the order of its
//!   clock, so of the decisions about one only the earliest may come next; so it is with the renewals of
//!   one lease.
//! * Between a renewal and a decision that does not touch its lease the clock says nothing: a renewal that
//!   waits for a locked row, which then stays as it is, keeps the time at which it began to wait. It waits
//!   no longer than the lock timeout of its session (10 ms, and what a busy machine adds), and nobody is
//!   told anything that does not fit some order. So such a pair is tried both ways, within the bounds that
//!   call and answer set.
//! * A call without an answer is tried at the moments at which something was written, and left out.
//! * A heartbeat that lost its connection is sent again by the store (H6), so it may have taken effect
//!   more than once. It is tried again at moments of renewals that no answer tells.
//! * If there is no such order, mints that are to be given an epoch are tried also without what they may not
//!   know ([`numbering`](super::numbering)).

use super::check::Node;
use super::numbering::Meanwhile;
use super::record::{Call, History, Record, Said};
use super::spec::{effect, moments};
use claims::domain::{Answer, ClaimId, Command, EntityUrl, Timestamp, World};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What is written in the order of the clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Line<'a> {
    Entity(&'a EntityUrl),
    Lease(&'a ClaimId),
}

/// A call that may change the rows next, and when.
pub(crate) struct Step {
    pub(crate) place: usize,
    pub(crate) at: Timestamp,
    /// It takes effect once more than it is answered for.
    pub(crate) again: bool,
    /// The rows as it sees them, if it may not know all.
    pub(crate) seen: Option<World>,
}

pub(crate) struct Search<'a> {
    history: &'a History,
    /// What each call writes first, and when, if its answer tells.
    told: Vec<Option<(Line<'a>, Timestamp)>>,
    /// Renewals that no answer tells of.
    untold: BTreeMap<&'a ClaimId, BTreeSet<Timestamp>>,
    /// Where mints may not know all; none where they have to.
    meanwhile: Option<Meanwhile<'a>>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(history: &'a History, meanwhile: Option<Meanwhile<'a>>) -> Self {
        let told: Vec<_> = history.records.iter().map(|record| told(history, record)).collect();
        let mut untold: BTreeMap<&ClaimId, BTreeSet<Timestamp>> = BTreeMap::new();
        for (id, times) in &history.written.renewals {
            let told = |at: &&Timestamp| told.contains(&Some((Line::Lease(id), **at)));
            untold.insert(id, times.iter().filter(|at| !told(at)).copied().collect());
        }
        Self { history, told, untold, meanwhile }
    }

    fn left<'n>(&'n self, node: &'n Node) -> impl Iterator<Item = (usize, &'a Record)> {
        let records = self.history.records.iter().enumerate();
        records.filter(|(place, _)| !node.done.has(*place))
    }

    /// Calls that may come next: none that was asked after another was answered that has no place yet.
    pub(crate) fn callable<'n>(
        &'n self,
        node: &'n Node,
    ) -> impl Iterator<Item = (usize, &'a Record)> {
        let answers = self.left(node).filter_map(|(_, record)| record.said.as_ref());
        let first_answer = answers.map(|(answered, _)| *answered).min();
        self.left(node)
            .filter(move |(_, record)| first_answer.is_none_or(|first| record.invoked <= first))
    }

    /// Gives their places to all calls that fit and change nothing.
    pub(crate) fn settled(&self, mut node: Node) -> Node {
        loop {
            let fitting: Vec<_> = self
                .callable(&node)
                .filter_map(|(place, record)| {
                    let (_, said) = record.said.as_ref()?;
                    let fits_at = |at: &Timestamp| {
                        let expected = effect(&node.world, &record.call, *at);
                        expected.is_none() && expected.said == *said
                    };
                    if said.says_changed() {
                        return None;
                    }
                    Some((place, moments(&node.world, record).into_iter().find(fits_at)?))
                })
                .collect();
            if fitting.is_empty() {
                return node;
            }
            for (place, at) in fitting {
                node.place(self.history, place, at);
            }
        }
    }

    /// The calls that may change the rows next, and when; the likeliest first.
    pub(crate) fn steps(&self, node: &Node) -> Vec<Step> {
        let mut earliest: BTreeMap<Line<'_>, Timestamp> = BTreeMap::new();
        for (place, _) in self.left(node) {
            if let Some((line, at)) = self.told[place] {
                let first = earliest.entry(line).or_insert(at);
                *first = at.min(*first);
            }
        }
        let mut steps = vec![];
        for (place, record) in self.callable(node) {
            let meanwhile = self.meanwhile.as_ref();
            let views = meanwhile.map(|it| it.views(&node.world, &record.call, record.invoked));
            let views = views.unwrap_or_default();
            let mut push = |at, again| {
                steps.push(Step { place, at, again, seen: None });
                let views = views.iter().cloned().map(Some);
                steps.extend(views.map(|seen| Step { place, at, again, seen }));
            };
            match (&record.said, self.told[place]) {
                (Some((answered, said)), Some((line, at))) if said.says_changed() => {
                    let in_time = (record.invoked..=*answered).contains(&at);
                    if in_time && earliest.get(&line) == Some(&at) {
                        push(at, false);
                    }
                }
                (Some((answered, said)), _) if said.says_changed() => {
                    push(said.decided_at().unwrap_or(*answered), false);
                }
                (Some(_), _) => {}
                (None, _) => {
                    let bound = |line| earliest.get(&line).copied();
                    for at in self.moments_written(node, record, bound) {
                        push(at, false);
                    }
                }
            }
            if let Call::Beat(beat) = &record.call {
                let untold = self.untold.get(&beat.id).into_iter().flatten().copied();
                let answered = record.said.as_ref().map(|(answered, _)| *answered);
                let heard = node.world.claims.get(&beat.id).map(|claim| claim.lease.heard_at);
                untold
                    .filter(|at| *at >= record.invoked && answered.is_none_or(|end| *at <= end))
                    .filter(|at| heard.is_some_and(|heard| *at > heard))
                    .for_each(|at| push(at, true));
            }
        }
        // By the clock; what somebody was told before what is guessed.
        let is_guess = |step: &Step| self.history.records[step.place].said.is_none();
        steps.sort_by_key(|step| {
            (step.again, step.seen.is_some(), step.at, Reverse(!is_guess(step)))
        });
        steps
    }

    /// The moments at which a call without an answer may have taken effect.
    fn moments_written<'n>(
        &self,
        node: &'n Node,
        record: &'n Record,
        bound: impl Fn(Line<'n>) -> Option<Timestamp>,
    ) -> Vec<Timestamp> {
        let written = &self.history.written;
        let id = match &record.call {
            Call::Decide(Command::Mint(mint)) => {
                return self.between(node, record, &mint.entity, bound(Line::Entity(&mint.entity)));
            }
            Call::Decide(Command::Signal(signal)) => {
                let url = &signal.entity.url;
                return self.between(node, record, url, bound(Line::Entity(url)));
            }
            Call::Decide(Command::Done(done)) => &done.id,
            Call::Decide(Command::Revoke(revoke)) => &revoke.id,
            Call::Decide(Command::Expire(expire)) => &expire.id,
            Call::Beat(beat) => &beat.id,
            Call::Write(..) | Call::Prune(..) => return vec![],
        };
        let Some(claim) = node.world.claims.get(id) else {
            return vec![];
        };
        if !matches!(record.call, Call::Beat(_)) {
            return self.between(node, record, &claim.entity, bound(Line::Entity(&claim.entity)));
        }
        let from = record.invoked.max(claim.lease.heard_at);
        let bound = bound(Line::Lease(id));
        let renewals = written.renewals.get(id).into_iter().flat_map(|times| times.range(from..));
        renewals.take_while(|at| bound.is_none_or(|end| **at <= end)).copied().collect()
    }

    fn between(
        &self,
        node: &Node,
        record: &Record,
        url: &EntityUrl,
        bound: Option<Timestamp>,
    ) -> Vec<Timestamp> {
        let latest = node.reached.get(url).map(|reached| reached.latest);
        let from = record.invoked.max(latest.unwrap_or(Timestamp::BEFORE_ALL));
        let times = self.history.written.decisions.get(url).into_iter();
        let times = times.flat_map(|times| times.range(from..));
        times.take_while(|at| bound.is_none_or(|end| **at <= end)).copied().collect()
    }
}

/// What a call wrote and when, if its answer tells that it wrote anything.
fn told<'a>(history: &'a History, record: &'a Record) -> Option<(Line<'a>, Timestamp)> {
    let (_, said) = record.said.as_ref()?;
    let at = said.decided_at().filter(|_| said.says_changed())?;
    let url = match (&record.call, said) {
        (Call::Beat(beat), _) => return Some((Line::Lease(&beat.id), at)),
        (_, Said::Decided(Ok(Answer::Minted(minted)))) => &minted.claim.entity,
        (_, Said::Decided(Ok(Answer::Ended(ended)))) => &ended.claim.entity,
        (_, Said::Decided(Ok(Answer::Signaled(signaled)))) => &signaled.key.url,
        (Call::Decide(Command::Expire(expire)), _) => home(history, &expire.id)?,
        _ => return None,
    };
    Some((Line::Entity(url), at))
}

/// The entity of a claim, as far as answers tell it.
fn home<'a>(history: &'a History, id: &ClaimId) -> Option<&'a EntityUrl> {
    if let [only] = history.entities.as_slice() {
        return Some(&only.url);
    }
    let minted = |record: &'a Record| match &record.said {
        Some((_, Said::Decided(Ok(Answer::Minted(minted))))) if minted.claim.id == *id => {
            Some(&minted.claim.entity)
        }
        _ => None,
    };
    history.records.iter().find_map(minted)
}
