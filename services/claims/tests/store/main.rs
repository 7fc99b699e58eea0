//! The rules, through the store: what is answered is what is stored, and what is refused has
//! changed nothing.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod authorize;
mod check;
mod clock;
mod damage;
mod done;
mod events;
mod heartbeat;
mod liveness;
mod mint;
mod pooler;
mod prune;
mod reads;
mod reap;
mod remint;
mod restore;
mod schema;
mod secrets;
mod signal;
mod support;
