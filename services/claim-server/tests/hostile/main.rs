//! Whatever strangers send, the server answers as its contract says, goes on serving those who keep
//! to it, and does not grow: against the real program on a real Postgres.
//!
//! The long forms are run by `scripts/test-hostile`.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and the long ones say what they saw"
)]

mod fuzz;
mod http2;
mod process;
#[path = "../support/mod.rs"]
mod support;
