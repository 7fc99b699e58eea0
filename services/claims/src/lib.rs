//! Claims on entities: the domain and its Postgres store. This page is the protocol.
//!
//! An *entity* is the thing claimed, an agent instance. A *consumer* **mints** a claim on it and
//! gets a write token; it **heartbeats** to keep its lease, and says **done**. At most one claim of
//! an entity is current. The lease is a time by the database clock; it is never null, and a
//! heartbeat never moves it back.
//!
//! ```text
//!                       heartbeat: a later lease
//!                              ┌───┐
//!                  mint    ┌───▼───┴──┐  a newer claim takes over   ┌────────────┐
//!               ──────────►│  active  ├────────────────────────────►│ superseded │
//!                          └────┬─────┘  while this one has its     └──────┬─────┘
//!                               │        right: token dead                 │
//!         done, completed: released · done, failed: failed                 │
//!         lapsed, ended by reaper or mint: expired · operator: revoked ◄───┘
//! ```
//!
//! The last four states are terminal: such a row never changes again. The end of the current claim
//! makes a `running` entity `idle` and a `stopping` one `stopped`; `paused` stays. The end of a
//! superseded claim leaves entity and newer claim alone.
//!
//! A lapsed claim stays as it is until someone ends it: its holder by a done, a newer mint, or the
//! reaper after the reap grace. Until then its holder may renew it by a heartbeat; only its token
//! is refused from the moment of the lapse. After an outage of the service, claims last heard of
//! before it are protected for the outage grace, so that their holders can be heard first.
//!
//! Two numbers rise and are never compared with each other: the *epoch* counts claims within an
//! authority, the *fence* counts accepted mints of an entity.
//!
//! [`domain`] decides, [`store`] keeps.

mod chain;
pub mod domain;
pub mod store;

pub use chain::chain;

#[cfg(feature = "cluster")]
pub mod cluster;

#[cfg(feature = "program")]
pub mod program;

#[cfg(feature = "testing")]
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "for tests, where a panic is the report"
)]
pub mod testing;
