//! The reaper: it expires claims that nobody finishes.
//!
//! A claim is **due** if and only if
//!
//! * it is live: `active` or `superseded`, and
//! * it is takeable: its lease has lapsed, and, if it was last heard of before the service last
//!   came back from an outage, the outage grace since then has passed (R6), and
//! * it has been takeable for at least the reap grace (R1).
//!
//! Such a claim's runner has died, or lost its way to the service for longer than its lease and
//! both graces. Nothing else depends on the reaper: a newer mint takes over a lapsed claim without
//! it (M5), and a lapsed claim's token is refused without it (W1). What it does is to make the
//! entity idle when nobody comes.
//!
//! It does not claim, wake or retry anything, and it never ends a claim whose holder was heard of:
//! the condition is judged again on the locked row, in the transaction that ends the claim, with
//! the liveness record of that transaction. If so many claims become due at once that a fault is
//! likelier than their holders' deaths, it waits ([`Brake`](claims::domain::Brake), R7).
//!
//! In the time that is left it looks whether the rows agree with each other, and removes what is
//! older than the retention (T1).
//!
//! [`pass::Passes::run_once`] is one bounded pass and returns counts; [`daemon::run`] only waits,
//! logs and stops. Any number of reapers may run at once.

mod bounds;
pub mod daemon;
mod help;
pub mod metrics;
pub mod pass;
mod plan;
pub mod pulse;
mod self_check;
pub mod settings;
pub mod summary;

/// A length as a count.
fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
