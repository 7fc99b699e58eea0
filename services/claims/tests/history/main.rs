//! Random operations on real rows, and whether what the store answered can be explained.
//!
//! Many clients call two stores at once, under faults, and write down what they asked, what they were
//! told, and between which moments ([`record`], [`load`], [`choice`], [`faults`]); reapers expire and prune
//! meanwhile. Then three things are checked ([`play`]):
//!
//! * the rows keep every invariant, as SQL says them;
//! * *linearizability*: the calls of each family of entities ([`slots`]) can be put in one order, each at a
//!   moment between its call and its answer, in which the domain's own `decide`, `heartbeat` and
//!   `authorize`, one call after the other, give exactly these answers ([`spec`], [`check`], [`search`]);
//! * *refinement*: in such an order `decide` also writes the recorded events, one by one, and ends with
//!   exactly the rows that stand in the database ([`after`]).
//!
//! A history that is refused is made short before it is shown ([`shrink`], [`rerun`]). And the checker is
//! checked: [`tampered`] and [`exchanged`] have histories that it must refuse, [`lies`] databases and
//! [`mutants`] stores that it must find out; [`allowed`] has what it must not take for wrong.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and tells its seed and what it has met"
)]

mod after;
mod allowed;
mod asking;
mod bits;
mod check;
mod choice;
mod exchanged;
mod faults;
mod lies;
mod load;
mod met;
mod mutants;
mod numbering;
mod odd;
mod play;
mod record;
mod rerun;
mod runs;
mod search;
mod shrink;
mod slots;
mod spec;
mod tampered;
mod told;
mod truth;
