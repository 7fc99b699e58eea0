//! The rules of the domain, one by one. Each call of a test goes through [`support::Stage`], which
//! checks the invariants after it, so a test says only what is its own.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod authorize;
mod brake;
mod done;
mod epochs;
mod expire;
mod heartbeat;
mod invariants;
mod liveness;
mod mint;
mod remint;
mod revoke;
mod scenarios;
mod signal;
mod support;
mod validation;
