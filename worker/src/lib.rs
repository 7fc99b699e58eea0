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
//! the liveness record of that transaction.
//!
//! [`pass::run_once`] is one bounded pass and returns counts; [`daemon::run`] only waits, logs and
//! stops. Any number of reapers may run at once.

pub mod daemon;
pub mod pass;
pub mod settings;
pub mod summary;
