//! How calls travel: batches, the lanes that serve them, and what others do in the meantime to the
//! rows and sessions they need.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod batches;
mod connecting;
mod deadlines;
mod frozen;
mod lanes;
mod pause;
mod renewals;
mod support;
mod turns;
