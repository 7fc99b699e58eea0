//! What may happen next: every call that anybody could make, whether or not it makes sense.
//!
//! Callers have no state of their own. Any call of the scope may arrive at any moment, so a request
//! that was sent twice, one that overtook another, one that arrives when its sender is long dead, and
//! the retry after a lost answer are all there: they are that call, at that moment. A caller that
//! crashed is one whose calls no longer come. And since a call is one decision on the rows, what a
//! crash of a server between two transactions leaves behind is the rows, which are the state.
//!
//! One such order deserves a word. A mint is given up by its client, repeated, answered, and then the
//! first one is executed after all. By M2 that is a re-mint like any other: a fresh token that nobody
//! was told of, the next fence, and the token that the holder has is dead. So the model has it, as a
//! second re-mint whose answer nobody hears. No rule breaks: one token works at most, the holder's
//! next call with its token is refused as `WRITE_TOKEN_INVALID` (H7, D2), and another mint under the
//! same request id heals it, while the entity takes mints (M1) and below the ceiling. Nothing but the
//! end of the lease does so by itself.
//!
//! Consumers differ by name only, and so do authorities and entities; no rule asks for more than
//! whether two names are equal. So a name that no row knows is as good as any other such name, and of
//! those only the first is used ([`nameable`]). What is left out is what is already there under
//! another name.

use super::names::{
    CEILING_TICKS, Caller, LEASE_TICKS, Names, REAP_GRACE_TICKS, epoch_of, ticks, token,
};
use super::rows::{ClaimRow, acks};
use super::scope::{End, Scope};
use super::state::State;
use claims::domain::{
    Command, Done, DoneOutcome, EntitySignal, Expire, Heartbeat, Mint, Revoke, Signal, Text, WakeId,
};

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Mint(MintOf),
    /// With the claim's own length of lease, or a shorter one.
    Heartbeat(CallOf, bool),
    Done(CallOf, DoneOutcome),
    Revoke((u8, u8)),
    Signal(u8, EntitySignal),
    /// The reaper looks at one claim. Any reaper, at any time: also one that read its list long ago.
    Expire((u8, u8)),
    /// Time passes.
    Tick,
    /// No server signs any more.
    FallSilent,
    /// A server signs again.
    ComeBack,
    /// Retention comes by a claim, and takes it if it has ended.
    Prune((u8, u8)),
    /// The database is lost and restored from before everything, and made safe (I6).
    Restore,
}

/// A mint, by numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MintOf {
    pub(crate) entity: u8,
    pub(crate) consumer: u8,
    pub(crate) authority: u8,
    pub(crate) epoch: Option<u8>,
    pub(crate) caller: Caller,
    pub(crate) supersede: bool,
    pub(crate) ceiling: bool,
}

/// A call that names a claim, with the number of a token if it carries one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallOf {
    pub(crate) id: (u8, u8),
    pub(crate) token: Option<(u8, u8)>,
}

/// Whom death takes, where it takes one.
pub(crate) const MORTAL: u8 = 0;
/// No claim has this identity in any scope.
const NOBODY: (u8, u8) = (0, u8::MAX);

impl Scope {
    /// Everything that may happen in a state, in a fixed order.
    pub(crate) fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.mints(state, actions);
        for row in &state.claims {
            if !self.is_dead(row.id.0, state) {
                self.calls(row, actions);
            }
            if self.revoke && !self.is_over(state) {
                actions.push(Action::Revoke(row.id));
            }
            actions.push(Action::Expire(row.id));
            if self.prune {
                actions.push(Action::Prune(row.id));
            }
        }
        if !self.is_over(state) {
            let nobody = CallOf { id: NOBODY, token: None };
            actions.push(Action::Heartbeat(nobody, false));
            actions.push(Action::Done(nobody, DoneOutcome::Completed));
            actions.push(Action::Expire(NOBODY));
            if self.revoke {
                actions.push(Action::Revoke(NOBODY));
            }
            for entity in nameable(self.entities, |one| state.knows_entity(one)) {
                actions.extend(self.signals.iter().map(|signal| Action::Signal(entity, *signal)));
            }
            if self.outages {
                actions.push(if state.signing { Action::FallSilent } else { Action::ComeBack });
            }
            if self.restore {
                actions.push(Action::Restore);
            }
        }
        if self.last_tick().is_none_or(|last| state.clock < last) {
            actions.push(Action::Tick);
        }
    }

    /// Somebody at least is silent by now, and servers sign.
    fn is_over(&self, state: &State) -> bool {
        match self.end {
            End::Never => false,
            End::SilenceAfter(last) | End::DeathAfter(last) => state.clock >= last,
        }
    }

    /// Whether a consumer makes no calls any more.
    fn is_dead(&self, consumer: u8, state: &State) -> bool {
        let everybody = matches!(self.end, End::SilenceAfter(_));
        self.is_over(state) && (everybody || consumer == MORTAL)
    }

    /// When a run with an end has had all the time it needs: a lease, the longest protection, the
    /// reap grace.
    pub(crate) fn last_tick(&self) -> Option<u8> {
        let (End::SilenceAfter(last) | End::DeathAfter(last)) = self.end else {
            return None;
        };
        let needed = LEASE_TICKS.max(super::names::OUTAGE_GRACE_TICKS) + REAP_GRACE_TICKS;
        Some(last + u8::try_from(needed).expect("a short time"))
    }

    fn mints(&self, state: &State, actions: &mut Vec<Action>) {
        let knows_consumer =
            |one| state.claims.iter().any(|row| row.id.0 == one) || self.end.tells_apart(one);
        let knows_authority = |one: u8| state.marks.iter().any(|of| of[usize::from(one)] > 0);
        for entity in nameable(self.entities, |one| state.knows_entity(one)) {
            for consumer in nameable(self.consumers, knows_consumer) {
                if self.is_dead(consumer, state) {
                    continue;
                }
                let given = nameable(self.authorities, |one| knows_authority(one + 1))
                    .flat_map(|one| (1..=self.epochs).map(move |epoch| (one + 1, Some(epoch))));
                for (authority, epoch) in [(0, None)].into_iter().chain(given) {
                    self.mints_of(
                        MintOf { authority, epoch, ..MintOf::by(entity, consumer) },
                        actions,
                    );
                }
            }
        }
    }

    /// The same mint by each caller, and with each wish.
    fn mints_of(&self, plain: MintOf, actions: &mut Vec<Action>) {
        for &caller in self.callers {
            actions.push(Action::Mint(MintOf { caller, ..plain }));
        }
        if self.supersede {
            actions.push(Action::Mint(MintOf { supersede: true, ..plain }));
        }
        if self.ceiling {
            actions.push(Action::Mint(MintOf { ceiling: true, ..plain }));
        }
    }

    fn calls(&self, row: &ClaimRow, actions: &mut Vec<Action>) {
        for call in self.calls_of(row) {
            actions.push(Action::Heartbeat(call, false));
            if self.short {
                actions.push(Action::Heartbeat(call, true));
            }
            actions.push(Action::Done(call, DoneOutcome::Completed));
            if self.fail {
                actions.push(Action::Done(call, DoneOutcome::Failed));
            }
        }
    }

    /// Without a token, with the right one, and with another of the same entity.
    fn calls_of(&self, row: &ClaimRow) -> impl Iterator<Item = CallOf> + use<> {
        let (id, entity, right) = (row.id, row.entity, row.token);
        let wrong = if right == 1 { 2 } else { 1 };
        let carried = [None, Some((entity, right)), Some((entity, wrong))];
        let count = if self.tokens { carried.len() } else { 1 };
        carried.into_iter().take(count).map(move |token| CallOf { id, token })
    }
}

/// The numbers that may be named: those that are known, and the first that is not.
fn nameable(count: u8, is_known: impl Fn(u8) -> bool) -> impl Iterator<Item = u8> {
    let first = (0..count).find(|one| !is_known(*one));
    (0..count).filter(move |one| is_known(*one) || first == Some(*one))
}

impl MintOf {
    /// The simplest of all.
    fn by(entity: u8, consumer: u8) -> Self {
        Self {
            entity,
            consumer,
            authority: 0,
            epoch: None,
            caller: Caller::Named,
            supersede: false,
            ceiling: false,
        }
    }

    /// The command; its token is the fresh one that a server draws for each request, here the next
    /// that nobody has.
    pub(crate) fn command(&self, state: &State, names: &Names) -> Mint {
        let key = names.entity(self.entity);
        let fresh = state.promised[usize::from(self.entity)].fence + 1;
        Mint {
            tenant: key.tenant,
            entity: key.url,
            stream: names.stream(self.entity, false),
            consumer: names.consumer(self.consumer),
            epoch: self.epoch.map(epoch_of),
            authority: names.authority(self.authority),
            wake_id: WakeId::parse("").expect("no wake"),
            runner_id: names.runner(self.caller),
            request_id: names.request(self.caller),
            asked_ttl: None,
            ttl: names.ttl,
            max_duration: self.ceiling.then(|| ticks(CEILING_TICKS)),
            supersede: self.supersede,
            token_digest: token(self.entity, fresh),
        }
    }
}

impl CallOf {
    pub(crate) fn heartbeat(&self, short: bool, names: &Names) -> Heartbeat {
        Heartbeat {
            id: names.claim(self.id),
            token: self.token.map(|(entity, number)| token(entity, number)),
            ttl: short.then_some(names.short_ttl),
            progress: None,
        }
    }

    pub(crate) fn done(&self, outcome: DoneOutcome, names: &Names) -> Done {
        Done {
            id: names.claim(self.id),
            token: self.token.map(|(entity, number)| token(entity, number)),
            acked_streams: acks(),
            outcome,
            error_message: Text::default(),
        }
    }
}

impl Action {
    /// The decision that this asks for, if it is one.
    pub(crate) fn command(&self, state: &State, names: &Names) -> Option<Command> {
        Some(match self {
            Self::Mint(mint) => Command::Mint(mint.command(state, names)),
            Self::Done(call, outcome) => Command::Done(call.done(*outcome, names)),
            Self::Revoke(id) => Command::Revoke(Revoke {
                id: names.claim(*id),
                reason: Text::default(),
                actor: "olga".into(),
            }),
            Self::Signal(entity, signal) => Command::Signal(Signal {
                entity: names.entity(*entity),
                signal: *signal,
                reason: Text::default(),
                actor: "olga".into(),
            }),
            Self::Expire(id) => Command::Expire(Expire {
                id: names.claim(*id),
                reap_grace: ticks(REAP_GRACE_TICKS),
            }),
            Self::Heartbeat(..)
            | Self::Tick
            | Self::FallSilent
            | Self::ComeBack
            | Self::Prune(_)
            | Self::Restore => return None,
        })
    }
}
