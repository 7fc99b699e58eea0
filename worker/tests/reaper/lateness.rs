//! When a claim is expired: never before its last lease and the reap grace are over, and by the
//! first pass that begins after that. Holders come, heartbeat and fall silent at random before the
//! eyes of a real daemon; the judge is the database's clock.

use crate::support::{Running, states};
use claims::store::{ClaimStore, StoreError};
use claims::testing::{TestDatabase, claim_id, eventually, heartbeat, mint};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;

const REAP_GRACE_MICROS: i64 = 1_000_000;
/// Upper bounds of the printed histogram, in milliseconds.
const LATENESS_MILLIS: [i64; 9] = [50, 100, 250, 500, 750, 1_000, 1_250, 1_500, 2_000];

/// SplitMix64: the same holders in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// A holder as it was answered: its name, how often, and when its last lease ends.
struct Silent {
    consumer: String,
    heartbeats: u64,
    lease_ends: i64,
}

/// Whom a run plays.
#[derive(Clone, Copy)]
struct Cast {
    holders: u64,
    /// They come within so many milliseconds.
    spread: u64,
    /// Their leases last for 1 s to so many seconds.
    longest_lease: u64,
}

/// Mints, heartbeats some times, at times too late, and falls silent.
async fn hold(store: ClaimStore, number: u64, cast: Cast) -> Silent {
    let mut random = Random(number);
    let consumer = format!("w_{number}");
    sleep(Duration::from_millis(random.below(cast.spread))).await;
    let lease = random.below(cast.longest_lease) + 1;
    let asked = mint(&format!("/e/{number}"), &consumer).lengths(Some(lease), None);
    let minted = store.mint(asked.mint).await.expect("a claim");
    let mut lease_ends = minted.claim.lease.expires_at.unix_micros();
    let mut heartbeats = 0;
    for _ in 0..random.below(5) {
        // From a fifth of the lease to a bit beyond it.
        sleep(Duration::from_millis(lease * (200 + random.below(900)))).await;
        match store.heartbeat(heartbeat(&claim_id(&consumer, 1))).await {
            Ok(renewal) => lease_ends = renewal.expires_at.unix_micros(),
            Err(StoreError::Refused(_)) => break,
            Err(error) => panic!("an answer: {error}"),
        }
        heartbeats += 1;
    }
    Silent { consumer, heartbeats, lease_ends }
}

/// What the database says of a claim: when its last lease ended, and when it was expired.
async fn endings(db: &TestDatabase) -> BTreeMap<String, (i64, i64)> {
    let query = "SELECT v.consumer_id, (extract(epoch FROM c.lease_expires_at) * 1000000)::bigint,
             (extract(epoch FROM v.occurred_at) * 1000000)::bigint
         FROM claim_events AS v JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
         WHERE v.type = 'expired'";
    let rows = db.sql.query(query, &[]).await.expect("the endings");
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

/// Beginning and end of each pass.
async fn passes(db: &TestDatabase) -> Vec<(i64, i64)> {
    let query = "SELECT (extract(epoch FROM started_at) * 1000000)::bigint,
             (extract(epoch FROM ended_at) * 1000000)::bigint
         FROM reaper_passes ORDER BY id";
    let rows = db.sql.query(query, &[]).await.expect("the passes");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

async fn play(cast: Cast) {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    let settings = [
        ("CLAIM_REAPER_INTERVAL", "1s"),
        ("CLAIM_REAP_GRACE", "1s"),
        // They die all the time.
        ("CLAIM_BRAKE_SHARE", "1"),
    ];
    let mut daemon = Running::daemon(db.url(), &settings);
    let store = db.store();
    let mut set = JoinSet::new();
    for number in 0..cast.holders {
        set.spawn(hold(store.clone(), number, cast));
    }
    let mut silent = Vec::new();
    while let Some(holder) = set.join_next().await {
        silent.push(holder.expect("no panic"));
    }
    let all = i64::try_from(cast.holders).expect("a count");
    eventually("all are expired", async || states(&db).await == [("expired".to_owned(), all)])
        .await;
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
    assert!(!daemon.log().contains("ERROR"), "{}", daemon.log());

    let (endings, passes) = (endings(&db).await, passes(&db).await);
    let mut lateness = Vec::new();
    for Silent { consumer, heartbeats, lease_ends } in &silent {
        let (stored, expired_at) = endings[consumer];
        assert_eq!(stored, *lease_ends, "{consumer}: the last lease that was answered is kept");
        let due_at = lease_ends + REAP_GRACE_MICROS;
        assert!(expired_at >= due_at, "{consumer}: {} µs too early", due_at - expired_at);
        let first = passes.iter().find(|(started_at, _)| *started_at >= due_at);
        // No later pass than the one that expired it may have been needed.
        if let Some((started_at, ended_at)) = first {
            let late = format!("due at {due_at}, expired at {expired_at}, {heartbeats} heartbeats");
            assert!(expired_at <= *ended_at, "{consumer}: {late}, passed over at {started_at}");
        }
        lateness.push((expired_at - due_at) / 1_000);
    }
    tell(&mut lateness, &passes, silent.iter().map(|holder| holder.heartbeats).sum());
    db.check_invariants().await;
    db.check_transactions();
}

fn tell(lateness: &mut [i64], passes: &[(i64, i64)], heartbeats: u64) {
    lateness.sort_unstable();
    let holders = lateness.len();
    println!("{holders} holders, {heartbeats} heartbeats, {} passes", passes.len());
    let mut above = 0;
    for bound in LATENESS_MILLIS.into_iter().chain([i64::MAX]) {
        let to = lateness.partition_point(|late| *late <= bound);
        let name = if bound == i64::MAX { "more".into() } else { format!("to {bound} ms") };
        println!("  due to expired, {name:>10}: {:5}", to - above);
        above = to;
    }
    let at = |share: usize| lateness[(holders * share / 100).min(holders - 1)];
    println!("  median {} ms, 99th of 100 {} ms, longest {} ms", at(50), at(99), at(100));
    let gap = passes.windows(2).map(|pair| pair[1].0 - pair[0].0).max();
    let longest = passes.iter().map(|(started_at, ended_at)| ended_at - started_at).max();
    let millis = |micros: Option<i64>| micros.unwrap_or_default() / 1_000;
    println!("  longest from pass to pass {} ms, longest pass {} ms", millis(gap), millis(longest));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_never_expired_early_and_never_passed_over() {
    play(Cast { holders: 200, spread: 2_000, longest_lease: 2 }).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes long: scripts/test-reaper"]
async fn of_two_thousand_claims_none_is_expired_early_or_passed_over() {
    play(Cast { holders: 2_000, spread: 30_000, longest_lease: 5 }).await;
}
