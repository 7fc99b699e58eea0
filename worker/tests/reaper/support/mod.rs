//! The real reaper on a real Postgres.

mod own_database;
mod probes;
mod reaper;
mod staging;

pub(crate) use own_database::OwnDatabase;
pub(crate) use probes::Probes;
pub(crate) use reaper::{Pass, Running, once, pass, run};
pub(crate) use staging::{DUE, age, ended, expired, lapsed, running, state, states, superseded};

/// Nobody listens on port 1.
pub(crate) const AWAY: &str = "postgres://nobody@127.0.0.1:1/none";
