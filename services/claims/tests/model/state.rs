//! A state of the model: the rows of a [`World`] as small numbers, times counted from now.
//!
//! Rules compare times with now, with each other and with the graces; they never look at a clock.
//! So two worlds that differ only in when they are have the same future, and a state holds how far
//! each time lies from now, cut off where no rule tells one from the next. That makes a finite
//! number of states out of unlimited time. Forgotten too is what is recorded and never read by a
//! rule: when a claim was minted or ended, when an entity last was, the final lease of a claim that
//! has ended. Each call is checked on whole worlds before anything is forgotten.
//!
//! That nothing is forgotten that matters is tested, not only said: [`super::walks`] goes long ways
//! through worlds that forget nothing, and finds itself in these states at every step.

use super::names::{
    AUTHORITY_COUNT, Names, OUTAGE_GRACE_TICKS, REAP_GRACE_TICKS, at, epoch_of, from_now, ticks,
};
use super::rows::ClaimRow;
use claims::domain::{Claim, Entity, EntityState, Fence, Liveness, NumberFloor, World};

/// Everything that there is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// Steps of time so far, where a scope counts them.
    pub(crate) clock: u8,
    /// Some server signs the liveness record.
    pub(crate) signing: bool,
    /// Ages of the last signature and of the end of the last outage.
    pub(crate) signed: Option<(i16, i16)>,
    pub(crate) entities: Vec<EntityRow>,
    /// By consumer and epoch.
    pub(crate) claims: Vec<ClaimRow>,
    /// The highest epoch in the table, per entity and authority; 0 is none.
    pub(crate) marks: Vec<[u8; AUTHORITY_COUNT]>,
    /// Up to here numbers may have been handed out that no row knows of (after a restore).
    pub(crate) floor: u8,
    /// What was answered to callers, which no row can take back.
    pub(crate) promised: Vec<Promised>,
    /// The rule that the last call broke.
    pub(crate) broken: Option<Broken>,
}

/// The highest numbers ever handed out for an entity.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Promised {
    pub(crate) fence: u8,
    pub(crate) epochs: [u8; AUTHORITY_COUNT],
}

impl Promised {
    /// After a restore: anything up to there may have been handed out.
    pub(crate) fn up_to(floor: u8) -> Self {
        let mut epochs = [0; AUTHORITY_COUNT];
        epochs[0] = floor;
        Self { fence: floor, epochs }
    }
}

/// A rule that does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Broken {
    pub(crate) rule: &'static str,
    pub(crate) problem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct EntityRow {
    pub(crate) state: EntityState,
    pub(crate) fence: u8,
    pub(crate) current: Option<(u8, u8)>,
}

/// An outage that ended as long ago as this protects nobody any more.
pub(crate) const RESUMED_LONG_AGO: i16 = OUTAGE_GRACE_TICKS + REAP_GRACE_TICKS;
/// A signature of this age shows nothing any more; one of a tick just does.
const SIGNED_LONG_AGO: i16 = 2;

impl State {
    pub(crate) fn new(entities: u8) -> Self {
        let count = usize::from(entities);
        let idle = EntityRow { state: EntityState::Idle, fence: 0, current: None };
        Self {
            clock: 0,
            signing: true,
            signed: Some((0, RESUMED_LONG_AGO)),
            entities: vec![idle; count],
            claims: vec![],
            marks: vec![[0; AUTHORITY_COUNT]; count],
            floor: 0,
            promised: vec![Promised::default(); count],
            broken: None,
        }
    }

    /// Whether anything tells this entity from one that nobody has named.
    pub(crate) fn knows_entity(&self, number: u8) -> bool {
        let at = usize::from(number);
        let unseen = EntityRow { state: EntityState::Idle, fence: self.floor, current: None };
        self.entities[at] != unseen || self.promised[at] != Promised::default()
    }

    /// The world that this is, at [`NOW`].
    pub(crate) fn world(&self, names: &Names) -> World {
        let floor = NumberFloor::parse(i64::from(self.floor)).expect("not negative");
        let mut world = World { floor, ..World::default() };
        for (number, row) in (0_u8..).zip(&self.entities) {
            let entity = Entity {
                state: row.state,
                fence: fence_of(row.fence),
                current: row
                    .current
                    .map(|(consumer, epoch)| (names.consumer(consumer), epoch_of(epoch))),
                ..Entity::unseen(floor)
            };
            // An entity that nobody has named has no row.
            if entity != Entity::unseen(floor) {
                world.entities.insert(names.entity(number), entity);
            }
            for (authority, mark) in (0_u8..).zip(self.marks[usize::from(number)]) {
                if mark > 0 {
                    let key = (names.entity(number), names.authority(authority));
                    world.marks.insert(key, epoch_of(mark));
                }
            }
        }
        for row in &self.claims {
            let claim = row.claim(names);
            world.claims.insert(claim.id.clone(), claim);
        }
        world.liveness = self.signed.map(|(signed_age, resumed_age)| Liveness {
            last_signed_at: at(-signed_age),
            resumed_at: at(-resumed_age),
            outage_grace: ticks(OUTAGE_GRACE_TICKS),
        });
        world
    }

    /// This state with the rows of a world that is looked at `passed` ticks after [`NOW`].
    pub(crate) fn with_rows(&self, world: &World, passed: i16, names: &Names) -> Self {
        let signed = world.liveness.map(|liveness| {
            let signed_age = passed - from_now(liveness.last_signed_at);
            let resumed_age = passed - from_now(liveness.resumed_at);
            if signed_age >= SIGNED_LONG_AGO {
                // The next signature says when the outage ended; until then it has not.
                (SIGNED_LONG_AGO, RESUMED_LONG_AGO)
            } else {
                (signed_age, resumed_age.min(RESUMED_LONG_AGO))
            }
        });
        let resumed_age = signed.map_or(RESUMED_LONG_AGO, |(_, resumed_age)| resumed_age);
        let row = |claim: &Claim| ClaimRow::of(claim, passed, resumed_age, names);
        let mut entities = Vec::with_capacity(self.entities.len());
        let mut marks = vec![[0; AUTHORITY_COUNT]; self.entities.len()];
        for number in (0_u8..).take(self.entities.len()) {
            let entity = world.entity(&names.entity(number));
            entities.push(EntityRow {
                state: entity.state,
                fence: small(entity.fence.get()),
                current: entity.current.map(|(consumer, epoch)| {
                    (names.consumer_number(&consumer), small(epoch.get()))
                }),
            });
        }
        for ((key, authority), epoch) in &world.marks {
            let of_entity = &mut marks[usize::from(names.entity_number(key))];
            of_entity[usize::from(names.authority_number(authority))] = small(epoch.get());
        }
        Self {
            clock: self.clock,
            signing: self.signing,
            signed,
            entities,
            claims: world.claims.values().map(row).collect(),
            marks,
            floor: small(world.floor.fence().get()),
            promised: self.promised.clone(),
            broken: self.broken,
        }
    }
}

pub(crate) fn fence_of(number: u8) -> Fence {
    Fence::parse(i64::from(number)).expect("a fence")
}

pub(crate) fn small(number: i64) -> u8 {
    u8::try_from(number).expect("a number of the model")
}
