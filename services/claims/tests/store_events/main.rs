//! E1 … E3, read: whatever order transactions commit in, whatever is rolled back, pruned, cut or
//! slow, a watcher is given every event once and in order, or is told that it is not.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod catch_up;
mod feed;
mod history;
mod list;
mod outage;
mod plans;
mod pruned;
mod resume;
mod settled;
mod standby;
mod storm;
mod subscription;
mod support;
