//! What the statements cost a large database.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod heap_only;
mod load;
mod plans;
