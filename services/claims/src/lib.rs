//! Claims on entities: the domain and its Postgres store.

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
