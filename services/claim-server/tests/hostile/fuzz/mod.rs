//! Random input for every method: requests that look right and do what they may, requests with
//! odd values, bytes that are no message, frames that are none, headers that are not those of
//! gRPC. Several callers at a time, each of whom mixes all of them with honest lives of claims, so
//! that the odd ones meet every state there is.
//!
//! The generators are seeded: a failure tells the seed and the input. `CLAIM_HOSTILE_SEED` begins
//! with another one, `CLAIM_HOSTILE_INPUTS` makes the long form longer or shorter.

mod caller;
mod field;
mod input;
mod judge;
mod ledger;
mod method;
mod reads;
mod request;
mod world;
mod writes;

use crate::process::{is_unharmed, resident_bytes};
use crate::support::{self, Server};
use caller::{Caller, Counts, Place};
use claims::testing::TestDatabase;
use judge::Verdict;
use ledger::Ledger;
use std::collections::BTreeSet;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// Callers at a time, each with a connection and a tenant of its own. No tenant becomes another by a
/// change of one or two bytes.
const TENANTS: [&str; 4] = ["aaaaaaaa", "bbbbbbbb", "cccccccc", "dddddddd"];
/// Where the generators begin, unless `CLAIM_HOSTILE_SEED` says.
const SEED: u64 = 4340;
/// Inputs of the short form, a part of every run of the tests.
const SHORT: usize = 6_000;
/// Inputs of the long form, unless `CLAIM_HOSTILE_INPUTS` says.
const LONG: usize = 1_200_000;
/// In how many parts they are sent; the server is looked at after each.
const PARTS: usize = 6;
/// How much the server may grow from the end of the first part to the end of the last.
const GROWTH_BYTES_MAX: u64 = 24 * 1024 * 1024;
/// Reasons that a short run meets too; without them the generators would be trying little.
const MET_SOON: [&str; 12] = [
    "INVALID_FIELD",
    "CLAIM_NOT_FOUND",
    "ENTITY_NOT_FOUND",
    "ALREADY_CLAIMED",
    "IDENTITY_IN_USE",
    "EPOCH_FENCED",
    "ENTITY_NOT_CLAIMABLE",
    "ENTITY_TERMINAL",
    "CLAIM_SUPERSEDED",
    "CLAIM_RELEASED",
    "CLAIM_REVOKED",
    "WRITE_TOKEN_INVALID",
];
/// Reasons that would say that the server or its database did not keep up.
const NOT_MET: [&str; 3] = ["DATABASE_UNAVAILABLE", "DRAINING", "WATCHER_TOO_SLOW"];

/// A server, and callers that are at it.
struct Run {
    server: Server,
    place: Arc<Place>,
    callers: Vec<Caller>,
}

impl Run {
    async fn begin() -> Self {
        let seed = number_of("CLAIM_HOSTILE_SEED").unwrap_or(SEED);
        println!("seed {seed}");
        let db = TestDatabase::in_service().await;
        let server = Server::start(db.url()).await;
        let tenants = TENANTS.map(str::to_owned);
        let ledger = Ledger::open(&db, &tenants).await;
        let place = Arc::new(Place { db, ledger, server: server.address });
        let mut callers = vec![];
        for (tenant, number) in tenants.into_iter().zip(0..) {
            callers.push(Caller::new(place.clone(), tenant, seed + number).await);
        }
        Self { server, place, callers }
    }

    /// Makes so many calls, by all callers together.
    async fn play(&mut self, calls: usize) {
        let each = calls.div_ceil(self.callers.len());
        let mut playing: JoinSet<Caller> =
            self.callers.drain(..).map(|caller| caller.play(each)).collect();
        while let Some(played) = playing.join_next().await {
            match played {
                Ok(caller) => self.callers.push(caller),
                Err(error) => resume_unwind(error.into_panic()),
            }
        }
    }

    fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (what, count) in self.callers.iter().flat_map(|caller| &caller.counts) {
            *counts.entry(*what).or_default() += count;
        }
        counts
    }

    /// Looks at what is left: the server as it was, the database whole, most of the contract met.
    async fn end(mut self, in_all: usize) {
        is_unharmed(&mut self.server);
        self.place.db.check_invariants().await;
        self.place.db.check_transactions();
        let (code, _) = support::reap_once(self.place.db.url()).await;
        assert!([0, 3].contains(&code), "a pass of the reaper ends with {code}");
        self.place.db.check_invariants().await;

        let counts = self.counts();
        for ((method, verdict), count) in &counts {
            println!("{count:>8} {method} {verdict:?}");
        }
        let sent: usize = counts.values().sum();
        let without_a_row: usize = self.callers.iter().map(|caller| caller.without_a_row).sum();
        println!("{sent} inputs, {without_a_row} of them in stretches that changed nothing");
        assert!(sent >= in_all && without_a_row > sent / 10, "{sent} {without_a_row}");
        let met: BTreeSet<&str> = counts
            .keys()
            .filter_map(|(_, verdict)| match verdict {
                Verdict::Refused(reason) => Some(*reason),
                Verdict::Good | Verdict::Begun => None,
            })
            .collect();
        let missed: Vec<_> = MET_SOON.iter().filter(|reason| !met.contains(**reason)).collect();
        assert!(missed.is_empty(), "never met: {missed:?}");
        let bad: Vec<_> = NOT_MET.iter().filter(|reason| met.contains(**reason)).collect();
        assert!(bad.is_empty(), "met: {bad:?}");
        for method in method::METHODS {
            let is_good = |(of, verdict): &(&str, Verdict)| {
                *of == method.path && !matches!(verdict, Verdict::Refused(_))
            };
            let exists = counts.keys().any(is_good);
            assert!(exists || !method.path.starts_with("claim."), "{method:?} never did anything");
        }
    }
}

/// A number from the environment.
fn number_of<T: std::str::FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

#[tokio::test(flavor = "multi_thread")]
async fn some_thousand_random_inputs_neither_harm_the_server_nor_write_what_they_may_not() {
    let mut run = Run::begin().await;
    run.play(SHORT).await;
    run.end(SHORT).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/test-hostile"]
async fn a_million_random_inputs_neither_harm_the_server_nor_make_it_grow() {
    let inputs = number_of("CLAIM_HOSTILE_INPUTS").unwrap_or(LONG);
    let mut run = Run::begin().await;
    let begin = Instant::now();
    let mut warm = None;
    for part in 1..=PARTS {
        run.play(inputs.div_ceil(PARTS)).await;
        let resident = resident_bytes(&run.server);
        let warm = *warm.get_or_insert(resident);
        println!(
            "part {part} of {PARTS}: {} s, {} KiB resident",
            begin.elapsed().as_secs(),
            resident / 1024
        );
        let grown = resident.saturating_sub(warm);
        assert!(grown < GROWTH_BYTES_MAX, "grown by {grown} bytes since the first part");
    }
    run.end(inputs).await;
}
