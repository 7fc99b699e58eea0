//! The reaper as a program: what it expires, what it leaves alone, what it tells, and how it ends.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed; one that measures tells what it saw"
)]

mod bad_rows;
mod brake;
mod budget;
mod daemon;
mod dry_run;
mod frozen;
mod health;
mod lateness;
mod outages;
mod probes;
mod prune;
mod self_check;
mod settings;
mod stopping;
mod summary;
mod support;
mod swarm;
