//! The model that stateright explores: states, what may happen in them, and what must hold.

use super::action::{Action, MORTAL};
use super::meetings::{self, Meetings};
use super::names::{NOW, Names, token};
use super::promises::{Asked, violation};
use super::rules::Rules;
use super::scope::{End, Scope};
use super::state::{Broken, Promised, State, small};
use claims::domain::authorize::Writer;
use claims::domain::invariants::{Step, Violation, check_authorization, check_step, check_world};
use claims::domain::{Answer, Command, Decision, Heartbeat, Refusal, World};
use stateright::{Model, Property};

/// The rules within a scope.
pub(crate) struct Machine {
    pub(crate) scope: Scope,
    pub(crate) rules: Rules,
    pub(crate) names: Names,
    /// Look for a state in which this rule is broken, and for nothing else.
    pub(crate) wanted: Option<&'static str>,
    pub(crate) meetings: Meetings,
}

/// Every call answers and does what the rules say: I4, I6 … I11, and [`super::promises`].
pub(crate) const CALLS: &str = "calls keep the rules";
/// I1, I2, I3, I6 and I7 on the rows.
pub(crate) const ROWS: &str = "rows keep the invariants";
/// I5: of all tokens ever handed out, those work that may.
pub(crate) const TOKENS: &str = "one token works, and only under W1";
/// The liveness of the whole: no claim outlives its silent holder for ever.
pub(crate) const ENDS: &str = "every claim of a silent holder ends";
/// What a planted bug breaks has been found broken.
const WANTED: &str = "the planted bug shows";

impl Model for Machine {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let state = State::new(self.scope.entities);
        if !self.scope.outages {
            return vec![state];
        }
        let unsigned = State { signing: false, signed: None, ..state.clone() };
        vec![state, unsigned]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken.is_none() {
            self.scope.actions(state, actions);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let next = match action {
            Action::Heartbeat(call, short) => {
                let beat = call.heartbeat(short, &self.names);
                self.heartbeat(state, &beat)
            }
            Action::Tick => self.tick(state),
            Action::FallSilent => State { signing: false, ..state.clone() },
            Action::ComeBack => self.come_back(state),
            Action::Prune(id) => self.prune(state, id),
            Action::Restore => self.restore(state),
            call => {
                let command = call.command(state, &self.names)?;
                self.command(state, &command)
            }
        };
        (next != *state).then_some(next)
    }

    /// Mints that are one too many are asked for and checked, but nothing comes after them.
    fn within_boundary(&self, state: &State) -> bool {
        let room = |promised: &Promised| promised.fence <= self.scope.fences;
        state.broken.is_some() || state.promised.iter().all(room)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        if self.scope.end != End::Never {
            // Stateright does not see an `eventually` fail on a path that joins another one on which
            // it held, nor in a circle. Here neither matters: it holds in the last tick only, once
            // all is ended; nothing that may happen then undoes it, and whoever goes round in circles
            // there may leave at any time for the reaper, who is asked sooner or later.
            return vec![Property::eventually(ENDS, |machine: &Self, state: &State| {
                let over = machine.scope.last_tick() == Some(state.clock);
                let mortal = |id: (u8, u8)| {
                    matches!(machine.scope.end, End::SilenceAfter(_)) || id.0 == MORTAL
                };
                over && !state.claims.iter().any(|row| row.state.is_live() && mortal(row.id))
            })];
        }
        if self.wanted.is_some() {
            return vec![Property::sometimes(WANTED, |machine: &Self, state| {
                let mut broken = machine.all_that_is_broken(state);
                broken.any(|broken| Some(broken.rule) == machine.wanted)
            })];
        }
        let mut properties = vec![
            Property::always(CALLS, |_, state: &State| state.broken.is_none()),
            Property::always(ROWS, |machine: &Self, state| machine.check_rows(state).is_ok()),
            Property::always(TOKENS, |machine, state| machine.check_tokens(state).is_ok()),
        ];
        properties.extend(meetings::of(&self.scope));
        properties
    }
}

impl Machine {
    pub(crate) fn new(scope: Scope, rules: Rules) -> Self {
        let (names, meetings) = (Names::new(), Meetings::default());
        Self { scope, rules, names, wanted: None, meetings }
    }

    fn command(&self, state: &State, command: &Command) -> State {
        let before = state.world(&self.names);
        let outcome = (self.rules.decide)(&before, command, NOW);
        let changed = outcome.as_ref().ok().filter(|decision| !decision.changes.is_empty());
        let changed = changed.map(|decision| {
            let mut after = before.clone();
            after.apply(&decision.changes);
            after
        });
        let (after, mut next) = self.after(state, &before, changed.as_ref());
        if self.scope.end == End::Never {
            let step = Step::Decided(command, outcome.as_ref());
            let kept = check_step(&before, after, step, NOW).and_then(|()| {
                let asked = Asked { before: &before, after, state, names: &self.names };
                asked.check(command, outcome.as_ref())?;
                self.check_heals(&asked, command, outcome.as_ref())
            });
            next.note(&kept);
            self.meetings.decided(&before, command, outcome.as_ref());
        }
        self.promise(&mut next, outcome.as_ref());
        next
    }

    /// The world after a call, and the state that it is. Most calls change nothing, and that is soon
    /// said.
    fn after<'a>(
        &self,
        state: &State,
        before: &'a World,
        changed: Option<&'a World>,
    ) -> (&'a World, State) {
        match changed {
            Some(after) => (after, state.with_rows(after, 0, &self.names)),
            None => (before, state.clone()),
        }
    }

    /// A lost answer: whoever asks again at once, under the same request id, gets the same claim.
    fn check_heals(
        &self,
        asked: &Asked<'_>,
        command: &Command,
        outcome: Result<&Decision, &Refusal>,
    ) -> Result<(), Violation> {
        if !matches!(outcome, Ok(Decision { answer: Answer::Minted(_), .. })) {
            return Ok(());
        }
        let again = (self.rules.decide)(asked.after, command, NOW);
        asked.check_again(command, outcome, again.as_ref())
    }

    fn heartbeat(&self, state: &State, beat: &Heartbeat) -> State {
        let before = state.world(&self.names);
        let outcome = (self.rules.heartbeat)(before.claims.get(&beat.id), beat, NOW);
        let changed = outcome.as_ref().ok().map(|(claim, _)| {
            let mut after = before.clone();
            after.claims.insert(claim.id.clone(), claim.clone());
            after
        });
        let (after, mut next) = self.after(state, &before, changed.as_ref());
        if self.scope.end == End::Never {
            let step = Step::Heartbeat(beat, outcome.as_ref().map(|(_, renewal)| renewal));
            let asked = Asked { before: &before, after, state, names: &self.names };
            let kept = check_step(&before, after, step, NOW)
                .and_then(|()| asked.check_heartbeat(beat, outcome.as_ref()));
            next.note(&kept);
            self.meetings.heard(outcome.as_ref());
        }
        next
    }

    /// Notes what was answered, so that no later row can make it unsaid.
    fn promise(&self, next: &mut State, outcome: Result<&Decision, &Refusal>) {
        let Ok(Decision { answer: Answer::Minted(minted), .. }) = outcome else {
            return;
        };
        let claim = &minted.claim;
        let entity = self.names.entity_number(&claim.entity_key());
        let authority = self.names.authority_number(&claim.authority);
        let promised = &mut next.promised[usize::from(entity)];
        promised.fence = promised.fence.max(small(claim.fence.get()));
        let epoch = &mut promised.epochs[usize::from(authority)];
        *epoch = (*epoch).max(small(claim.id.epoch.get()));
    }

    fn check_rows(&self, state: &State) -> Result<(), Violation> {
        check_world(&state.world(&self.names))
    }

    /// Every token ever handed out, and one that never was, on every stream.
    fn check_tokens(&self, state: &State) -> Result<(), Violation> {
        let world = state.world(&self.names);
        for entity in 0..self.scope.entities {
            let key = self.names.entity(entity);
            let row = world.entity(&key);
            let writer = Writer::of(&row, world.current_claim(&key));
            for owner in 0..self.scope.entities {
                let newest = state.promised[usize::from(owner)].fence;
                for (number, other) in (0..=newest).flat_map(|n| [(n, false), (n, true)]) {
                    let stream = self.names.stream(entity, other);
                    let token = token(owner, number);
                    let outcome = (self.rules.authorize)(writer.as_ref(), &stream, &token, NOW);
                    let told = outcome.as_ref();
                    check_authorization(&world, &key.tenant, &stream, &token, told, NOW)?;
                    if told.is_ok() && number < newest {
                        return Err(violation("I5", "an older token than the newest works"));
                    }
                    self.meetings.authorized(told);
                }
            }
        }
        Ok(())
    }

    /// What is wrong with a state: with the call that led to it, with its rows, with tokens.
    fn all_that_is_broken(&self, state: &State) -> impl Iterator<Item = Broken> + use<> {
        let checks = [self.check_rows(state).err(), self.check_tokens(state).err()];
        let now = checks.into_iter().flatten().map(|violation| Broken::of(&violation));
        state.broken.into_iter().chain(now)
    }

    /// The one of these that was looked for, or the first.
    pub(crate) fn what_is_broken(&self, state: &State) -> Option<Broken> {
        if self.scope.end != End::Never {
            return None;
        }
        let wanted = self.all_that_is_broken(state).find(|one| Some(one.rule) == self.wanted);
        wanted.or_else(|| self.all_that_is_broken(state).next())
    }
}

impl Broken {
    fn of(violation: &Violation) -> Self {
        Self { rule: violation.rule, problem: violation.problem }
    }
}

impl State {
    fn note(&mut self, kept: &Result<(), Violation>) {
        if let Err(violation) = kept {
            self.broken = Some(Broken::of(violation));
        }
    }
}
