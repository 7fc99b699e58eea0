//! The client against a server that plays a script: delays, silence, cuts and other schedules that
//! the real server cannot be made to play. What the real one can play is tested in `tests/real`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod bearer;
mod calls;
mod cancellation;
mod done;
mod log;
mod many;
mod pushes;
mod servers;
mod streams;
mod support;
mod thread;
mod time;
mod tls;
