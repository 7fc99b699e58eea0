//! Stores whose statements are wrong, each in one place. The checker must find out every one of them: by
//! what callers were told, or by the rows and events that are left. (What the tables' own constraints
//! make of some of them does not count.)

use super::after::{after, database, put_back_pruned_events};
use super::check::check;
use super::load::{Load, round_by};
use super::record::Said;
use claims::testing::{Proxy, Rewrite};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A store that is wrong.
struct Mutant {
    what: &'static str,
    /// What its statements say, and what they should not.
    pairs: &'static [(&'static str, &'static str)],
    /// Of so many places one is wrong.
    one_in: usize,
    /// It takes a coincidence that a slow clock makes likely.
    slow: bool,
}

impl Mutant {
    const fn new(what: &'static str, pairs: &'static [(&'static str, &'static str)]) -> Self {
        Self { what, pairs, one_in: 1, slow: false }
    }

    const fn slow(self) -> Self {
        Self { slow: true, ..self }
    }
}

/// Those that a short run finds at once.
const PLAIN: [Mutant; 3] = [
    Mutant::new("a heartbeat revives who has been superseded", &[("AND NOT l.superseded", "")]),
    Mutant::new(
        "a mint takes no new fence",
        &[("d.state,\n        fence = d.fence", "d.state,\n        fence = e.fence")],
    ),
    Mutant {
        one_in: 20,
        ..Mutant::new("a decision is acknowledged and not committed", &[("COMMIT\0", "ABORT \0")])
    },
];

/// All others.
const OTHERS: [Mutant; 19] = [
    Mutant::new(
        "of the claims of a request the oldest counts",
        &[("ORDER BY k.fence DESC", "ORDER BY k.fence")],
    ),
    Mutant::new(
        "a done is not noted with the entity",
        &[("last_completed_at = d.last_completed_at", "last_completed_at = e.last_completed_at")],
    ),
    Mutant::new(
        "the events of a decision have no order",
        &[("ORDER BY d.position", "ORDER BY random()")],
    ),
    Mutant::new(
        "a write is authorized by another tenant's claim",
        &[(
            "JOIN entity_dispatch_state AS e\n    ON e.tenant_id = asked.tenant_id AND",
            "JOIN entity_dispatch_state AS e\n    ON",
        )],
    ),
    Mutant::new(
        "a lapsed lease authorizes writes",
        &[("l.lease_expires_at, clock_timestamp()\n", "l.lease_expires_at, l.heard_at\n")],
    ),
    Mutant::new(
        "claims are pruned before their time",
        &[(
            "interval '1 millisecond'\n    ORDER BY ended_at",
            "interval '1 microsecond'\n    ORDER BY ended_at",
        )],
    ),
    Mutant::new(
        "an epoch is issued without a look at the consumer's other claims",
        &[("ORDER BY c.epoch DESC", "ORDER BY c.epoch")],
    ),
    Mutant::new(
        "a heartbeat needs no token",
        &[
            ("(asked.token_digest IS NULL OR asked.token_digest = l.token_digest)", "true"),
            ("(t.token_digest IS NULL OR t.token_digest = l.token_digest)", "true"),
        ],
    ),
    Mutant::new(
        "a lapsed lease is renewed untold",
        &[("AND l.lease_expires_at > clock_timestamp()", "")],
    ),
    Mutant::new(
        "the clock is read twice, and a lease that lapses in between is renewed untold",
        &[(
            "least(clock_timestamp(), l.lease_expires_at - interval '1 microsecond')",
            "clock_timestamp()",
        )],
    )
    .slow(),
    Mutant::new(
        "a heartbeat is accepted after the ceiling",
        &[("AND (l.ceiling_at IS NULL OR l.ceiling_at > t.renewed_at)", "")],
    ),
    Mutant::new(
        "a heartbeat does not say more of the work",
        &[("coalesce(asked.progress, l.progress)", "l.progress")],
    ),
    Mutant::new(
        "decisions about one entity do not wait for each other",
        &[
            ("    FOR NO KEY UPDATE SKIP LOCKED\n) AS locked", "\n) AS locked"),
            ("    FOR NO KEY UPDATE\n) AS locked", "\n) AS locked"),
        ],
    )
    .slow(),
    Mutant::new(
        "a decision does not lock the lease that it is about",
        &[("l.epoch\nFOR NO KEY UPDATE OF l", "l.epoch")],
    )
    .slow(),
    Mutant::new(
        "the time of a decision is read before its locks are held",
        &[("SELECT clock_timestamp(), s.last_signed_at", "SELECT now(), s.last_signed_at")],
    ),
    Mutant::new("no mark is raised", &[("WHERE m.highest < excluded.highest", "WHERE false")]),
    Mutant::new(
        "a superseded claim's lease is not marked",
        &[("superseded = excluded.superseded", "superseded = false")],
    ),
    Mutant::new(
        "the lease of a claim that was minted again keeps its older token",
        &[(
            "stop = excluded.stop,\n    token_digest = excluded.token_digest",
            "stop = excluded.stop",
        )],
    ),
    Mutant::new(
        "the row of a claim that was minted again keeps its older token",
        &[("token_digest = d.token_digest", "token_digest = c.token_digest")],
    ),
];

/// Rounds in which a mutant must be found.
const ROUNDS: u64 = 24;

/// How often and how a mutant is found, in the first round in which it is.
#[derive(Debug, Default)]
struct Found {
    rounds: u64,
    calls: usize,
    histories: usize,
    /// Histories that no order of the calls explains.
    by_answers: usize,
    /// Histories that some order explains, but not the rows and events.
    by_rows: usize,
}

async fn find(mutant: &Mutant, calls_per_client: usize) -> Found {
    let mut found = Found::default();
    let pairs =
        mutant.pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect();
    let rewrite = Arc::new(Rewrite { pairs, one_in: mutant.one_in, met: AtomicUsize::new(0) });
    while found.rounds < ROUNDS && found.by_answers + found.by_rows == 0 {
        let stage = if mutant.slow { include_str!("slow_clock.sql") } else { "" };
        let db = database(stage).await;
        let proxy = Proxy::rewriting(db.url(), Arc::clone(&rewrite)).await;
        let seed = 100 + found.rounds;
        let load = Load { seed, clients: 12, calls_per_client, families: 8, faults: false };
        let mut round = round_by(&db, &proxy, [proxy.url(), proxy.url()], &load).await;
        put_back_pruned_events(&db).await;
        let reader = db.store();
        for history in &mut round.histories {
            for record in &mut history.records {
                record.said.take_if(|(_, said)| *said == Said::Failed);
            }
            let after = after(&db, &reader, history).await;
            found.calls += history.records.len();
            found.histories += 1;
            if check(history, Some(&after)).is_ok() {
                continue;
            }
            match check(history, None) {
                Ok(_) => found.by_rows += 1,
                Err(_) => found.by_answers += 1,
            }
        }
        found.rounds += 1;
    }
    assert!(rewrite.met.load(Ordering::Relaxed) > 0, "{:?} is nowhere to be seen", mutant.what);
    println!("{}: {found:?}", mutant.what);
    found
}

async fn assert_found(mutants: &[Mutant], calls_per_client: usize) {
    let mut missed = vec![];
    for mutant in mutants {
        let found = find(mutant, calls_per_client).await;
        if found.by_answers + found.by_rows == 0 {
            missed.push(mutant.what);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_plainly_wrong_is_refused() {
    assert_found(&PLAIN, 120).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/test-random"]
async fn every_store_that_is_wrong_in_one_place_is_refused() {
    assert_found(&OTHERS, 300).await;
}
