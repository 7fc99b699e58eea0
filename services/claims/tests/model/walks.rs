//! That a state forgets nothing that a rule reads.
//!
//! A long way through the model is gone a second time through a whole world that forgets nothing: its
//! clock runs on, its rows keep every time that was ever written. At every step both decide the same,
//! and the world, reduced to a state, is the state that the model is in.

use super::action::Action;
use super::machine::Machine;
use super::names::at;
use super::rules::Rules;
use super::scope::Scope;
use super::state::State;
use super::surroundings::sign;
use claims::domain::invariants::check_world;
use claims::domain::{EntitySignal, Refusal, World};
use stateright::Model;
use std::mem::discriminant;

/// Steps of one walk: many leases, ceilings and outages one after another.
const STEPS: usize = 60;
const WALKS: u64 = 120;

/// A world with a clock, and the state that it should be in.
struct Walker<'a> {
    machine: &'a Machine,
    world: World,
    /// Ticks since the walk began.
    passed: i16,
    state: State,
}

impl Walker<'_> {
    fn step(&mut self, action: Action) {
        let told_by_state = self.decide(action, &self.state.world(&self.machine.names), 0);
        let told_by_world = self.decide(action, &self.world, self.passed);
        assert_eq!(
            told_by_state.0.as_ref().map(discriminant),
            told_by_world.0.as_ref().map(discriminant),
            "{action:?} is refused by one only, or for another reason"
        );
        self.world = told_by_world.1;
        self.passed += i16::from(action == Action::Tick);
        self.state =
            self.machine.next_state(&self.state, action).unwrap_or_else(|| self.state.clone());
        let reduced = self.state.with_rows(&self.world, self.passed, &self.machine.names);
        assert_eq!(reduced, self.state, "after {action:?}");
        check_world(&self.world).expect("invariants on the whole world");
    }

    /// What a world becomes, so many ticks after the beginning.
    fn decide(&self, action: Action, world: &World, passed: i16) -> (Option<Refusal>, World) {
        let (names, rules) = (&self.machine.names, &self.machine.rules);
        let mut world = world.clone();
        let mut refusal = None;
        match action {
            Action::Heartbeat(call, short) => {
                let beat = call.heartbeat(short, names);
                match (rules.heartbeat)(world.claims.get(&beat.id), &beat, at(passed)) {
                    Ok((claim, _)) => drop(world.claims.insert(claim.id.clone(), claim)),
                    Err(refused) => refusal = Some(refused),
                }
            }
            Action::Tick if self.state.signing => world.liveness = sign(&world, passed + 1),
            Action::Tick | Action::FallSilent | Action::Restore => {}
            Action::ComeBack => world.liveness = sign(&world, passed),
            Action::Prune(id) => (rules.prune)(&mut world, &names.claim(id)),
            call => {
                let command = call.command(&self.state, names).expect("the other actions");
                match (rules.decide)(&world, &command, at(passed)) {
                    Ok(decision) => world.apply(&decision.changes),
                    Err(refused) => refusal = Some(refused),
                }
            }
        }
        (refusal, world)
    }
}

/// Goes on at random, from numbers that are the same each time (an LCG by Knuth).
fn walk(machine: &Machine, start: State, seed: u64) {
    let mut random = seed;
    let world = start.world(&machine.names);
    let mut walker = Walker { machine, world, passed: 0, state: start };
    let mut actions = vec![];
    for _ in 0..STEPS {
        machine.actions(&walker.state, &mut actions);
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let count = u64::try_from(actions.len()).expect("a few actions");
        // Every other step is one of time, else most of a walk is refusals within one tick.
        let one = usize::try_from((random >> 33) % count).expect("one of a few");
        let tick = random >> 63 == 0;
        let action = if tick { Action::Tick } else { actions.swap_remove(one) };
        actions.clear();
        walker.step(action);
    }
}

#[test]
fn a_state_forgets_nothing_that_a_rule_reads() {
    let scope = Scope { restore: false, fences: u8::MAX, epochs: 6, ..Scope::EVERYTHING };
    // A walk is soon over if an entity may be killed.
    let unharmed = Scope { signals: &[EntitySignal::Stop, EntitySignal::Cont], ..scope };
    for scope in [scope, unharmed] {
        let machine = Machine::new(scope, Rules::REAL);
        for (seed, start) in (0..WALKS)
            .flat_map(|seed| machine.init_states().into_iter().map(move |start| (seed, start)))
        {
            walk(&machine, start, seed);
        }
    }
}
