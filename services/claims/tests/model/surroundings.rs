//! What happens though nobody calls: time, outages, retention, the loss of a database.

use super::machine::Machine;
use super::names::{NOW, OUTAGE_GRACE_TICKS, TICK, ticks};
use super::scope::End;
use super::state::{Promised, State};
use claims::domain::{Liveness, World};

impl Machine {
    pub(super) fn tick(&self, state: &State) -> State {
        let mut world = state.world(&self.names);
        let mut signing = state.signing;
        let mut clock = state.clock;
        if let End::SilenceAfter(last) | End::DeathAfter(last) = self.scope.end {
            clock += 1;
            signing |= clock >= last;
        }
        if signing {
            world.liveness = sign(&world, 1);
        }
        let next = state.with_rows(&world, 1, &self.names);
        State { clock, signing, ..next }
    }

    pub(super) fn come_back(&self, state: &State) -> State {
        let mut world = state.world(&self.names);
        world.liveness = sign(&world, 0);
        State { signing: true, ..state.with_rows(&world, 0, &self.names) }
    }

    pub(super) fn prune(&self, state: &State, id: (u8, u8)) -> State {
        let mut world = state.world(&self.names);
        let id = self.names.claim(id);
        let claim = world.claims.get(&id).cloned();
        (self.rules.prune)(&mut world, &id);
        if let Some(claim) = claim {
            self.meetings.pruned(&claim, !world.claims.contains_key(&id));
        }
        state.with_rows(&world, 0, &self.names)
    }

    /// Nothing is left, and everything handed out from now on lies above all that ever was. What other
    /// authorities gave is for them to know.
    pub(super) fn restore(&self, state: &State) -> State {
        let mut next = State::new(self.scope.entities);
        let numbers = state.promised.iter().map(|promised| promised.fence.max(promised.epochs[0]));
        next.floor = numbers.max().unwrap_or(0).max(state.floor);
        next.promised.fill(Promised::up_to(next.floor));
        for entity in &mut next.entities {
            entity.fence = next.floor;
        }
        State { clock: state.clock, signing: state.signing, signed: state.signed, ..next }
    }
}

/// R6, as `sql/sign_liveness.sql` has it: the signature that finds none, or one that is more than five
/// seconds old, says that an outage has just ended.
pub(crate) fn sign(world: &World, passed: i16) -> Option<Liveness> {
    let now = NOW + ticks(passed);
    let resumed_at = match world.liveness {
        Some(last) if now.since(last.last_signed_at) <= TICK => last.resumed_at,
        _ => now,
    };
    let outage_grace = ticks(OUTAGE_GRACE_TICKS);
    Some(Liveness { last_signed_at: now, resumed_at, outage_grace })
}
