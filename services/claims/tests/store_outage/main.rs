//! The database is away, crowded, silent, or loses an answer: calls end within bounds, nothing is
//! done twice, and the same store works again afterwards.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod away;
mod crowded;
mod lost_commit;
mod silent;
mod support;
