//! How much of the world a run explores. Within its scope a run meets every order of every call.
//!
//! States multiply, so no scope has all of it. Each has what it names and what it begins with, and no
//! more; [`Scope::EVERYTHING`] has every kind of call and event at once, and few of each.

use super::action::MORTAL;
use super::names::Caller;
use claims::domain::EntitySignal;

/// The bounds of a run, and what may happen in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    pub(crate) entities: u8,
    pub(crate) consumers: u8,
    /// Authorities that give epochs, beside this service, which issues them.
    pub(crate) authorities: u8,
    /// The highest epoch that an authority gives.
    pub(crate) epochs: u8,
    /// Accepted mints and re-mints of an entity: the highest fence.
    pub(crate) fences: u8,
    pub(crate) callers: &'static [Caller],
    /// Mints may insist on taking over.
    pub(crate) supersede: bool,
    /// A claim may have a ceiling, or none.
    pub(crate) ceiling: bool,
    /// Heartbeats may ask for less than the claim's own lease.
    pub(crate) short: bool,
    pub(crate) signals: &'static [EntitySignal],
    pub(crate) revoke: bool,
    /// A holder may also say that it failed.
    pub(crate) fail: bool,
    /// Calls may carry tokens, right and wrong ones.
    pub(crate) tokens: bool,
    /// Servers may fall silent and come back; a run may begin without a liveness record.
    pub(crate) outages: bool,
    /// Retention may look at any claim.
    pub(crate) prune: bool,
    /// The database may lose everything and be restored.
    pub(crate) restore: bool,
    pub(crate) end: End,
    /// How many states there are, all of which a run meets. Another number is another model: look at
    /// why, then write it down here.
    pub(crate) states: usize,
}

/// Whether a run has an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Time is unlimited; every call is checked against the rules.
    Never,
    /// Everybody is silent after so many ticks, at the latest, and servers sign again. Nothing is
    /// checked but that the reaper then ends every claim: whoever finds a fault here has found it by
    /// that alone.
    SilenceAfter(u8),
    /// The same, but it is only the first consumer that is dead; the others go on.
    DeathAfter(u8),
}

impl End {
    /// The one that dies is not like the others, even before anybody knows it.
    pub(crate) fn tells_apart(self, consumer: u8) -> bool {
        matches!(self, Self::DeathAfter(_)) && consumer == MORTAL
    }
}

impl Scope {
    /// Who may be given which number: two consumers, both authorities, epochs 1 … 3, and whoever
    /// insists. The other scopes say what they have beside or instead.
    pub(crate) const NUMBERS: Self = Self {
        name: "numbers",
        entities: 1,
        consumers: 2,
        authorities: 2,
        epochs: 3,
        fences: 2,
        callers: &[Caller::Named],
        supersede: true,
        ceiling: false,
        short: false,
        signals: &[],
        revoke: false,
        fail: false,
        tokens: false,
        outages: false,
        prune: false,
        restore: false,
        end: End::Never,
        states: 1219,
    };

    /// Few numbers: what scopes begin with that are about something else.
    const FEW: Self = Self { authorities: 1, epochs: 2, ..Self::NUMBERS };

    /// Every call that names a claim, with every token, at every moment of a claim's life and after
    /// it; retention.
    pub(crate) const CALLS: Self = Self {
        name: "calls",
        epochs: 1,
        revoke: true,
        fail: true,
        tokens: true,
        prune: true,
        states: 384,
        ..Self::FEW
    };

    /// Mints by whomever, under a request id or without.
    pub(crate) const CALLERS: Self = Self {
        name: "callers",
        callers: &[Caller::Named, Caller::Other, Caller::Unnamed],
        supersede: false,
        states: 1705,
        ..Self::FEW
    };

    /// The service is away for a while, again and again; ceilings; heartbeats that ask for little.
    pub(crate) const OUTAGES: Self = Self {
        name: "outages",
        consumers: 1,
        supersede: false,
        ceiling: true,
        short: true,
        outages: true,
        states: 6466,
        ..Self::FEW
    };

    /// Operators signal and revoke.
    pub(crate) const SIGNALS: Self = Self {
        name: "signals",
        epochs: 1,
        signals: &EntitySignal::ALL,
        revoke: true,
        states: 737,
        ..Self::FEW
    };

    /// One consumer works for two entities.
    pub(crate) const ENTITIES: Self =
        Self { name: "entities", entities: 2, consumers: 1, fences: 1, states: 235, ..Self::FEW };

    /// The database is restored, without all that it had.
    pub(crate) const RESTORES: Self =
        Self { name: "restores", supersede: false, restore: true, states: 207, ..Self::FEW };

    /// Everybody falls silent, after outages and takeovers.
    pub(crate) const SILENCE: Self = Self {
        name: "silence",
        ceiling: true,
        outages: true,
        end: End::SilenceAfter(2),
        states: 6090,
        ..Self::FEW
    };

    /// One consumer dies, and the others do not.
    pub(crate) const DEATH: Self =
        Self { name: "death", outages: true, end: End::DeathAfter(2), states: 5698, ..Self::FEW };

    /// Everything that may happen at all, with few of each.
    pub(crate) const EVERYTHING: Self = Self {
        name: "everything",
        callers: &[Caller::Named, Caller::Other, Caller::Unnamed],
        ceiling: true,
        short: true,
        signals: &EntitySignal::ALL,
        revoke: true,
        fail: true,
        tokens: true,
        outages: true,
        prune: true,
        restore: true,
        states: 585_588,
        ..Self::FEW
    };

    /// What runs with all tests.
    pub(crate) const QUICK: [Self; 9] = [
        Self::NUMBERS,
        Self::CALLS,
        Self::CALLERS,
        Self::OUTAGES,
        Self::SIGNALS,
        Self::ENTITIES,
        Self::RESTORES,
        Self::SILENCE,
        Self::DEATH,
    ];

    /// What takes minutes.
    pub(crate) const WHOLE: [Self; 10] = [
        Self { name: "whole: numbers", fences: 3, prune: true, states: 58_655, ..Self::NUMBERS },
        Self {
            name: "whole: three consumers",
            consumers: 3,
            fences: 3,
            states: 52_324,
            ..Self::NUMBERS
        },
        Self { name: "whole: calls", fences: 3, states: 3508, ..Self::CALLS },
        Self {
            name: "whole: callers",
            fences: 3,
            supersede: true,
            states: 56_172,
            ..Self::CALLERS
        },
        Self {
            name: "whole: outages",
            consumers: 2,
            supersede: true,
            states: 22_955,
            ..Self::OUTAGES
        },
        Self { name: "whole: signals", fences: 3, states: 3749, ..Self::SIGNALS },
        Self {
            name: "whole: entities",
            consumers: 2,
            fences: 2,
            states: 172_071,
            ..Self::ENTITIES
        },
        Self {
            name: "whole: silence",
            fences: 3,
            end: End::SilenceAfter(3),
            states: 106_099,
            ..Self::SILENCE
        },
        Self {
            name: "whole: death",
            fences: 3,
            end: End::DeathAfter(3),
            states: 68_341,
            ..Self::DEATH
        },
        Self::EVERYTHING,
    ];
}
