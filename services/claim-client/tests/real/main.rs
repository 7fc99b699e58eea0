//! The client against the real server on a real Postgres. Schedules that these cannot be made to
//! play are in `tests/scripted`.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]
#![expect(clippy::print_stdout, reason = "the long ones print what they saw")]

mod example;
mod known;
mod losing;
mod lost_answers;
mod many;
mod outages;
mod schedules;
mod servers;
mod stopping;
mod support;
mod watching;
mod work;
