//! Whether a history can be explained: a search for an order of its calls, as Wing and Gong describe it,
//! that meets no situation twice, as Lowe does. Situations are few here; [`search`](super::search) says
//! why.

use super::bits::Bits;
use super::numbering::{Meanwhile, collides};
use super::record::{After, History, Record};
use super::search::{Search, Step};
use super::spec::{beginning, effect, fits};
use super::told;
use claims::domain::{EntityUrl, Event, Timestamp, World};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

/// Most situations of one search. A history of some hundred calls has little more than one for each of
/// them; what needs more is reported, never passed.
const SITUATIONS_MAX: usize = 10_000;

/// Calls in an order that explains a history, each with its moment.
pub(crate) type Order = Vec<(usize, Timestamp)>;

/// A history that nothing explains.
#[derive(Debug)]
pub(crate) struct Refuted {
    /// The longest beginning that could be explained.
    pub(crate) order: Order,
    /// The calls one of which had to come next.
    pub(crate) stuck: Vec<usize>,
    /// The rows at that point.
    pub(crate) world: World,
    /// What else there is to say.
    pub(crate) because: &'static str,
    /// Where the rows and events of the database are others, if they were asked for.
    pub(crate) differences: String,
}

/// A situation: some calls have their place.
pub(crate) struct Node {
    before: Option<Rc<Node>>,
    /// The calls that got their places since the situation before.
    pub(crate) placed: Order,
    pub(crate) done: Bits,
    /// How many of the calls that need a place have one.
    answered: usize,
    pub(crate) world: World,
    /// How far each entity has come.
    pub(crate) reached: BTreeMap<EntityUrl, Reached>,
}

/// How far an entity has come.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Reached {
    /// The moment of its last decision.
    pub(crate) latest: Timestamp,
    /// How many of its recorded events have been written.
    pub(crate) events: usize,
}

impl Reached {
    const NOTHING: Self = Self { latest: Timestamp::BEFORE_ALL, events: 0 };
}

/// Finds an order that explains the history; with `after`, one that also writes these events and ends
/// with these rows.
pub(crate) fn check(history: &History, after: Option<&After>) -> Result<Order, Box<Refuted>> {
    // What mints may not know is no excuse where none is needed.
    check_strictly(history, after)
        .or_else(|refuted| check_excused(history, after).map_err(|_| refuted))
}

/// As [`check`], in an order in which mints know all claims of their consumers.
pub(crate) fn check_strictly(
    history: &History,
    after: Option<&After>,
) -> Result<Order, Box<Refuted>> {
    find(history, after, &Search::new(history, None))
}

/// As [`check`], in an order in which mints may not know what their consumers are granted meanwhile.
pub(crate) fn check_excused(
    history: &History,
    after: Option<&After>,
) -> Result<Order, Box<Refuted>> {
    find(history, after, &Search::new(history, Some(Meanwhile::of(history))))
}

fn find(
    history: &History,
    after: Option<&After>,
    search: &Search<'_>,
) -> Result<Order, Box<Refuted>> {
    let entities = history.entities.iter();
    let first = Node {
        before: None,
        placed: vec![],
        done: Bits::none_of(history.records.len()),
        answered: 0,
        world: beginning(),
        reached: entities.map(|key| (key.url.clone(), Reached::NOTHING)).collect(),
    };
    let check = Check { history, after };
    let mut met = HashSet::new();
    let mut stack = vec![search.settled(first)];
    let mut deepest: Option<Rc<Node>> = None;
    while let Some(node) = stack.pop() {
        if check.is_explained(&node) {
            return Ok(node.order());
        }
        if met.len() >= SITUATIONS_MAX {
            return Err(check.refuted(search, &node, "the search was given up"));
        }
        if !met.insert(node.fingerprint()) {
            continue;
        }
        let node = Rc::new(node);
        // What got furthest by calls with an answer tells most, not what guessed most about the others.
        if deepest.as_ref().is_none_or(|most| node.answered > most.answered) {
            deepest = Some(Rc::clone(&node));
        }
        for step in search.steps(&node).into_iter().rev() {
            stack.extend(check.taken(&node, &step).map(|next| search.settled(next)));
        }
    }
    let node = deepest.expect("there is a first situation");
    let because = match check.is_answered(&node) {
        true => "every answer is explained, but not the events and rows",
        false => "no order gives these answers",
    };
    Err(check.refuted(search, &node, because))
}

impl Node {
    fn order(&self) -> Order {
        let mut parts = vec![&self.placed];
        let mut before = &self.before;
        while let Some(node) = before {
            parts.push(&node.placed);
            before = &node.before;
        }
        parts.into_iter().rev().flatten().copied().collect()
    }

    /// Two situations with one fingerprint are taken for one. If they ever differ, a history is refused
    /// that should not be; none is passed.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.done, &self.world, &self.reached).hash(&mut hasher);
        hasher.finish()
    }

    /// Gives a call its place.
    pub(crate) fn place(&mut self, history: &History, place: usize, at: Timestamp) {
        self.done.add(place);
        self.placed.push((place, at));
        self.answered += usize::from(history.needs(&history.records[place]));
    }
}

struct Check<'a> {
    history: &'a History,
    after: Option<&'a After>,
}

impl Check<'_> {
    /// The situation after a call that changes something; none if it does not fit.
    fn taken(&self, node: &Rc<Node>, step: &Step) -> Option<Node> {
        let (place, at) = (step.place, step.at);
        let record = &self.history.records[place];
        let seen = step.seen.as_ref().unwrap_or(&node.world);
        let effect = effect(seen, &record.call, at);
        let fits_answer = match &record.said {
            Some((_, said)) if !step.again => {
                fits(&node.world, &record.call, &effect.said, said, at)
            }
            _ => true,
        };
        if effect.is_none() || !fits_answer || collides(&effect, seen, &node.world) {
            return None;
        }
        let mut next = Node {
            before: Some(Rc::clone(node)),
            placed: vec![],
            done: node.done.clone(),
            answered: node.answered,
            world: node.world.clone(),
            reached: node.reached.clone(),
        };
        for event in &effect.events {
            let reached = next.reached.get_mut(&event.entity.url)?;
            // The database decides about an entity in the order of its clock.
            let recorded = (event.clone(), at);
            if at < reached.latest || !self.is_recorded(&recorded, reached.events) {
                return None;
            }
            *reached = Reached { latest: at, events: reached.events + 1 };
        }
        match step.again {
            true => next.placed.push((place, at)),
            false => next.place(self.history, place, at),
        }
        effect.apply_to(&mut next.world);
        Some(next)
    }

    /// Whether that is the event which was recorded there, as far as that is known.
    fn is_recorded(&self, event: &(Event, Timestamp), place: usize) -> bool {
        self.after.is_none_or(|after| {
            let recorded = after.events.get(&event.0.entity.url);
            recorded.and_then(|recorded| recorded.get(place)) == Some(event)
        })
    }

    fn is_answered(&self, node: &Node) -> bool {
        let records = self.history.records.iter().enumerate();
        records.filter(|(place, _)| !node.done.has(*place)).all(|(_, it)| !self.history.needs(it))
    }

    fn is_explained(&self, node: &Node) -> bool {
        // A beginning has events, and its rows are gone.
        let after = self.after.filter(|_| self.history.until.is_none());
        self.is_answered(node)
            && after.is_none_or(|after| {
                // The row of an entity may come into being without a change (I10).
                let mut keys = self.history.entities.iter();
                keys.all(|key| {
                    let events = after.events.get(&key.url).map_or(0, Vec::len);
                    after.world.entity(key) == node.world.entity(key)
                        && node.reached.get(&key.url).is_some_and(|it| it.events == events)
                }) && after.world.claims == node.world.claims
                    && after.world.marks == node.world.marks
            })
    }

    fn refuted(&self, search: &Search<'_>, node: &Node, because: &'static str) -> Box<Refuted> {
        let is_stuck = |(place, record): (usize, &Record)| {
            (self.history.needs(record) || self.is_answered(node)).then_some(place)
        };
        let whole = |_: &&After| self.history.until.is_none();
        let differs = |after| told::differences(after, node);
        Box::new(Refuted {
            order: node.order(),
            stuck: search.callable(node).filter_map(is_stuck).collect(),
            world: node.world.clone(),
            because,
            differences: self.after.filter(whole).map(differs).unwrap_or_default(),
        })
    }
}
