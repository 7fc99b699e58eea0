//! The runs: a short one with every `cargo test`, the whole by `scripts/test-random`.

use super::load::Load;
use super::met::Met;
use super::odd::is_rare;
use super::play::play;
use futures_util::{StreamExt, stream};

/// Calls of the whole run, and of each of its rounds.
const CALLS: usize = 1_050_000;
const CALLS_OF_ROUND: usize = 30_000;
/// Rounds at a time: one waits for its database while another is checked.
const ROUNDS_AT_ONCE: usize = 2;
/// The seed of the short run, and of the whole one unless CLAIM_RANDOM_SEED gives another.
const SEED: u64 = 8;

#[tokio::test(flavor = "multi_thread")]
async fn what_many_clients_are_told_under_faults_is_explained_by_one_order_of_their_calls() {
    let load = Load { seed: SEED, clients: 16, calls_per_client: 300, families: 10, faults: true };
    let mut met = Met::new();
    // One run may meet no lapsed claim, by chance; another then does. All that is played is checked.
    for seed in SEED..SEED + 5 {
        add(&mut met, play(Load { seed, ..load }, false).await);
        if unmet(&met).is_empty() {
            return;
        }
    }
    panic!("no call met {:?}: {met:#?}", unmet(&met));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: scripts/test-random"]
async fn a_million_calls_under_faults_are_explained_and_leave_the_rows_that_decide_writes() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    let seed = number("CLAIM_RANDOM_SEED").unwrap_or(SEED);
    let calls = number("CLAIM_RANDOM_CALLS")
        .map_or(CALLS, |calls| usize::try_from(calls).expect("a number"));
    let load = |number: usize| {
        let seed = seed.wrapping_add(u64::try_from(number).expect("a number"));
        // Every fourth round is undisturbed, and every fifth has a slow clock.
        let (faults, slow_clock) = (number % 4 != 3, number % 5 == 4);
        let clients = [16, 32, 64][number % 3];
        let calls_per_client = CALLS_OF_ROUND.div_ceil(clients);
        (Load { seed, clients, calls_per_client, families: 24, faults }, slow_clock)
    };
    let rounds = (0..calls.div_ceil(CALLS_OF_ROUND)).map(load);
    let rounds = rounds.map(|(load, slow_clock)| play(load, slow_clock));
    let mut played = stream::iter(rounds).buffer_unordered(ROUNDS_AT_ONCE);
    let mut met = Met::new();
    while let Some(of_round) = played.next().await {
        add(&mut met, of_round);
    }
    println!("in all: {met:#?}");
    assert!(unmet(&met).is_empty(), "no call met {:?}", unmet(&met));
    // Too rare for a short run, which meets them by chance.
    for kind in ["heartbeat of a lapsed claim", "heartbeat CeilingReached", "write LeaseLapsed"] {
        assert!(met.contains_key(kind), "no call met {kind:?}: {met:#?}");
    }
    is_rare(&met);
    assert!(met["no answer"] * 10 < met["call"], "most calls are answered: {met:#?}");
}

fn add(met: &mut Met, more: Met) {
    for (kind, count) in more {
        *met.entry(kind).or_default() += count;
    }
}

/// What a run has to be about, and was not.
fn unmet(met: &Met) -> Vec<&'static str> {
    let kinds = [
        "mint Minted",
        "mint AlreadyClaimed",
        "done Ended",
        "heartbeat Renewed",
        "heartbeat ClaimEnded",
        "write Allowed",
        "write WriteTokenInvalid",
        "signal Signaled",
        "no answer",
        "fault",
        "mint of a lapsed claim",
    ];
    kinds.into_iter().filter(|kind| met.get(*kind).is_none_or(|often| *often == 0)).collect()
}
