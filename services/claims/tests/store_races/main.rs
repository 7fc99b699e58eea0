//! Two servers, one entity, the same moment. Each round asserts that the two answers are those of
//! one order or of the other, that the rows agree with them, and that every invariant holds.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod done;
mod heartbeat;
mod melee;
mod mint;
mod reap;
mod signal;
mod support;
