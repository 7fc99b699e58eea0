//! Calls that wait, taken in turn by tenant.
//!
//! Each tenant has a line of its own, in which calls keep their order, and the lines take turns: as many
//! calls each as its weight says, round after round (weighted round robin; every call costs the same
//! here). With equal weights a tenant waits for as many calls of another as it has itself, and one more,
//! however many that other has. A tenant that waits alone is served as fast as the lanes can.
//!
//! There is room for a bounded number. How much of it a tenant may have depends on how much is left
//! ([`Fair::has_room`]), so that whoever fills it leaves some for the others, and it is the one with
//! the most waiting that is refused.
//!
//! Every step takes the same time however many tenants wait: nothing here looks at all of them.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// How many times as many calls as there is room left a tenant may have waiting. Alone it has eight
/// ninths of all room; of two that want all of it each has eight seventeenths. Less would leave room
/// unused that a lone tenant could need, more would leave the others little. (Choudhury and Hahne,
/// "Dynamic queue length thresholds for shared-memory packet switches", 1998.)
const SHARE: usize = 8;

/// Lines by tenant.
#[derive(Debug)]
pub(super) struct Fair<Tenant, Call> {
    /// Of those who wait; no line is empty.
    lines: HashMap<Tenant, Line<Call>>,
    /// Whose turn is next; each tenant that waits once.
    turns: VecDeque<Tenant>,
    /// How many calls of the first turn have been taken already.
    begun: usize,
    /// The weights of all lines together: calls of a round.
    round: usize,
    /// Calls that wait.
    len: usize,
    bound: usize,
    /// The room of a line that is empty, for the next one.
    spare: VecDeque<Call>,
}

/// The calls of a tenant.
#[derive(Debug)]
struct Line<Call> {
    calls: VecDeque<Call>,
    /// How many are taken in a turn; not 0.
    weight: usize,
}

impl<Tenant: Clone + Eq + Hash, Call> Fair<Tenant, Call> {
    /// Room for so many calls.
    pub(super) fn bounded(bound: usize) -> Self {
        let (lines, turns, spare) = (HashMap::new(), VecDeque::new(), VecDeque::new());
        Self { lines, turns, begun: 0, round: 0, len: 0, bound, spare }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether there is room for another call of this tenant.
    pub(super) fn has_room(&self, tenant: &Tenant) -> bool {
        self.len_of(tenant) < (self.bound - self.len.min(self.bound)).saturating_mul(SHARE)
    }

    /// How many calls at most would be taken before another one of this tenant, of that weight.
    pub(super) fn ahead(&self, tenant: &Tenant, weight: usize) -> usize {
        let begun = if self.turns.front() == Some(tenant) { self.begun } else { 0 };
        let rounds = (begun + self.len_of(tenant) + 1).div_ceil(weight.max(1));
        self.len.min(rounds.saturating_mul(self.round))
    }

    /// Adds a call to the line of its tenant, whether or not there is room. The line has that weight
    /// from now on.
    pub(super) fn push(&mut self, tenant: Tenant, weight: usize, call: Call) {
        let weight = weight.max(1);
        self.len += 1;
        self.round += weight;
        if let Some(line) = self.lines.get_mut(&tenant) {
            self.round -= std::mem::replace(&mut line.weight, weight);
            line.calls.push_back(call);
            return;
        }
        let mut calls = std::mem::take(&mut self.spare);
        calls.push_back(call);
        self.lines.insert(tenant.clone(), Line { calls, weight });
        self.turns.push_back(tenant);
    }

    /// Takes the calls whose turn it is, at most so many.
    pub(super) fn take(&mut self, most: usize) -> Vec<Call> {
        let mut taken = Vec::with_capacity(most.min(self.len));
        while taken.len() < most
            && let Some(tenant) = self.turns.pop_front()
        {
            let begun = std::mem::take(&mut self.begun);
            let Some(line) = self.lines.get_mut(&tenant) else { continue };
            let room = most - taken.len();
            // Who waits alone need not take turns with itself.
            let is_alone = self.turns.is_empty();
            let turn = if is_alone { room } else { line.weight.saturating_sub(begun) };
            taken.extend(line.calls.drain(..turn.min(room).min(line.calls.len())));
            if line.calls.is_empty() {
                self.round -= line.weight;
                self.spare = self.lines.remove(&tenant).map(|line| line.calls).unwrap_or_default();
            } else if turn > room {
                // The rest of its turn comes first the next time.
                self.begun = begun + room;
                self.turns.push_front(tenant);
            } else {
                self.turns.push_back(tenant);
            }
        }
        self.len -= taken.len();
        taken
    }

    fn len_of(&self, tenant: &Tenant) -> usize {
        self.lines.get(tenant).map_or(0, |line| line.calls.len())
    }
}

#[cfg(test)]
mod tests;
