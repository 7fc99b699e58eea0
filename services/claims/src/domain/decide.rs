//! The one place that decides: rules M, D, R1, R3 and the tables of states and signals.
//!
//! [`decide`] reads a [`World`] and says what becomes of it. It is pure: the rows, the database
//! time and the digest of a fresh token are arguments. The store runs it on locked rows, the
//! reaper runs it through the store, the property tests run it on random worlds.
//!
//! `mint` holds rules M, `end` every way in which a claim ends (D, R1, R3) and `signal` the
//! table of signals.

mod end;
mod mint;
mod signal;

use super::claim::Claim;
use super::command::Command;
use super::entity::{Entity, EntityKey, EntityState};
use super::epoch::{Epoch, Fence};
use super::names::{ConsumerId, StreamPath};
use super::refusal::Refusal;
use super::time::Timestamp;
use super::world::{MarkKey, World};
use std::sync::Arc;

/// A row as it stands after the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The entity's row.
    Entity(EntityKey, Entity),
    /// The claim's row and lease.
    Claim(Box<Claim>),
    /// The highest epoch accepted for an entity and authority.
    Mark(MarkKey, Epoch),
}

/// What kind of change an event records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventType {
    /// A claim was minted.
    Minted,
    /// A claim was minted again by the same caller.
    Reminted,
    /// A newer claim took over.
    Superseded,
    /// The holder completed it.
    Released,
    /// The holder failed it.
    Failed,
    /// It lapsed and was ended.
    Expired,
    /// An operator ended it.
    Revoked,
    /// An operator's signal changed the entity.
    Signaled,
}

impl EventType {
    /// Every type, in the order of the wire.
    pub const ALL: [Self; 8] = [
        Self::Minted,
        Self::Reminted,
        Self::Superseded,
        Self::Released,
        Self::Failed,
        Self::Expired,
        Self::Revoked,
        Self::Signaled,
    ];

    /// The name under which the type is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Minted => "minted",
            Self::Reminted => "reminted",
            Self::Superseded => "superseded",
            Self::Released => "released",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Signaled => "signaled",
        }
    }
}

/// The record of one accepted change (E1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The entity concerned.
    pub entity: EntityKey,
    /// The claim concerned; none for a signal.
    pub claim: Option<(StreamPath, ConsumerId, Epoch)>,
    /// The claim's fence, or the entity's for a signal.
    pub fence: Fence,
    /// What happened.
    pub event_type: EventType,
    /// Why.
    pub reason: String,
    /// Who: `holder`, `mint`, `reaper`, or an operator (D9).
    pub actor: Arc<str>,
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Rows as they stand now; none if nothing changed.
    pub changes: Vec<Change>,
    /// One event for each accepted change, in order (I11).
    pub events: Vec<Event>,
    /// What the caller is told.
    pub answer: Answer,
}

/// What the caller of a command is told.
#[expect(
    clippy::large_enum_variant,
    reason = "one for each decided command, moved a few times; a box would cost an allocation each"
)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To a mint.
    Minted(Minted),
    /// To a done or a revoke.
    Ended(Ended),
    /// To a signal.
    Signaled(Signaled),
    /// To an expire.
    Expiry(Expiry),
}

/// A mint was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The claim.
    pub claim: Claim,
    /// The same claim was accepted again (M2).
    pub reminted: bool,
    /// The claim that was superseded or expired to make room.
    pub ended_predecessor: Option<Claim>,
}

/// A claim has ended, now or earlier (D5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The claim as stored.
    pub claim: Claim,
    /// It had ended before this call; nothing changed.
    pub already_ended: bool,
    /// The acks of this request are those stored by an accepted done.
    pub acks_recorded: bool,
    /// The entity's present state.
    pub entity_state: EntityState,
}

/// A signal took effect, or its effect already held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signaled {
    /// The entity.
    pub key: EntityKey,
    /// Its row.
    pub entity: Entity,
    /// Its current claim.
    pub current_claim: Option<Claim>,
    /// Whether anything changed.
    pub changed: bool,
    /// When that was decided.
    pub decided_at: Timestamp,
}

/// What became of a claim that looked due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// It was due and is expired now.
    Expired {
        /// Since when it was due: takeable plus the reap grace.
        due_at: Timestamp,
        /// Now.
        expired_at: Timestamp,
    },
    /// Its holder was heard of in time, or an outage protects it.
    NotDue,
    /// It ended before.
    AlreadyEnded,
}

const HOLDER: &str = "holder";
const NEWER_MINT: &str = "mint";
const REAPER: &str = "reaper";

/// Decides one command at one database time. A refusal changes nothing (I10).
pub fn decide(world: &World, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
    match command {
        Command::Mint(mint) => mint::decide_mint(world, mint, now),
        Command::Done(done) => end::decide_done(world, done, now),
        Command::Revoke(revoke) => end::decide_revoke(world, revoke, now),
        Command::Signal(signal) => signal::decide_signal(world, signal, now),
        Command::Expire(expire) => end::decide_expire(world, expire, now),
    }
}

fn claim_event(claim: &Claim, event_type: EventType, reason: String, actor: Arc<str>) -> Event {
    Event {
        entity: claim.entity_key(),
        claim: Some((claim.stream.clone(), claim.id.consumer.clone(), claim.id.epoch)),
        fence: claim.fence,
        event_type,
        reason,
        actor,
    }
}
