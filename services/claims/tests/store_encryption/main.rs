//! The way to a database over the network: encrypted where its URL asks, with whom it names, on
//! every connection that the store opens; refused, and never plain text, where that cannot be had.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

mod authority;
mod connections;
mod refusals;
mod support;
