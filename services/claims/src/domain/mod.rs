//! What a claim is and how it may change: pure Rust, no I/O, no clock, no randomness.
//!
//! Everything that a decision depends on is an argument, so the same code serves the store, the
//! reaper, the property tests and a model checker:
//!
//! ```text
//! decide(&World, &Command, now) -> Result<Decision, Refusal>
//! ```
//!
//! * [`World`] holds the rows that matter: entities, claims with their leases, high-water marks
//!   and the liveness record.
//! * [`Command`] is one of mint, done, revoke, signal, expire.
//! * [`Decision`] is what becomes of the rows, the events to record, and the answer.
//! * [`Refusal`] is an expected no. It changes nothing (I10).
//!
//! Heartbeats and write authorizations are asked far more often than anything is decided and touch
//! a single lease; their rules stand in [`heartbeat`] and [`authorize`](mod@authorize).
//!
//! Rules are cited by their stable numbers: M mint, H heartbeat, D done, W authorize, R reaper,
//! E events, I invariants.

pub mod authorize;
pub mod claim;
pub mod command;
pub mod decide;
pub mod entity;
pub mod epoch;
pub mod heartbeat;
pub mod hold;
#[cfg(any(test, feature = "testing"))]
pub mod invariants;
pub mod lease;
pub mod liveness;
pub mod names;
pub mod refusal;
pub mod time;
pub mod token;
pub mod world;

pub use authorize::{Authorization, authorize};
pub use claim::{AckedStream, Claim, ClaimId, ClaimState, Ending};
pub use command::{
    Command, Done, DoneOutcome, EndReason, EntitySignal, Expire, Mint, Revoke, Signal,
};
pub use decide::{
    Answer, Change, Decision, Ended, Event, EventType, Expiry, Minted, Signaled, decide,
};
pub use entity::{Entity, EntityKey, EntityState};
pub use epoch::{Epoch, Fence, NumberFloor};
pub use heartbeat::{Directive, Heartbeat, Renewal};
pub use hold::{Brake, HoldReason};
pub use lease::{Lease, LeaseTtl};
pub use liveness::Liveness;
pub use names::{
    Authority, ConsumerId, DEFAULT_TENANT, EntityUrl, InvalidField, NAME_BYTES_MAX, RequestId,
    RunnerId, StreamPath, TenantId, Text, WakeId,
};
pub use refusal::Refusal;
pub use time::Timestamp;
pub use token::{TokenDigest, WriteToken};
pub use world::World;
