//! Two servers and two reapers on a few entities, all at once and at random: whatever the order, the
//! rows make sense, and every answer of a mint or a done agrees with them.

use super::support::{Arena, REAP_GRACE};
use claims::domain::{ClaimId, EntitySignal, TokenDigest};
use claims::store::{ClaimStore, Reaper, StoreError};
use claims::testing::{claim_id, done, heartbeat, kill, mint, revoke, signal, tenant};
use futures_util::future::join_all;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// Callers of each server, and how much each of them asks.
const CALLERS: u64 = 6;
const CALLS: usize = 60;
/// Entities, and consumers that come back.
const ENTITIES: u64 = 4;
const CONSUMERS: u64 = 3;
/// Passes of each reaper.
const PASSES: usize = 20;

#[derive(Default)]
struct Told {
    /// Claims that were granted, with what authorizes writes to them.
    granted: Mutex<Vec<(ClaimId, TokenDigest)>>,
    /// Claims that a done ended.
    ended: Mutex<Vec<ClaimId>>,
    /// Epochs rise, whoever asks.
    epoch: AtomicI64,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_at_once_the_rows_make_sense_and_agree_with_the_answers() {
    let arena = Arena::new().await;
    let told = Told::default();
    let callers = (0..CALLERS * 2).map(async |caller| {
        let store = if caller.is_multiple_of(2) { &arena.one } else { &arena.other };
        let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (caller + 1));
        for _ in 0..CALLS {
            ask(&arena, store, &told, &mut random).await;
        }
    });
    let reapers = (0..2).map(async |_| {
        let mut reaper = Reaper::new(arena.db.database(), "reaper");
        for _ in 0..PASSES {
            let scan = reaper.scan(REAP_GRACE).await.expect("a scan");
            let due: Vec<ClaimId> = scan.candidates.into_iter().map(|found| found.id).collect();
            if !due.is_empty() {
                reaper.expire(&due, REAP_GRACE).await.expect("a pass");
            }
            tokio::task::yield_now().await;
        }
    });
    tokio::join!(join_all(callers), join_all(reapers));

    arena.db.check_invariants().await;
    let (granted, ended) = (told.granted.into_inner().unwrap(), told.ended.into_inner().unwrap());
    assert!(granted.len() > 20 && ended.len() > 10, "{} {}", granted.len(), ended.len());
    for (id, _) in &granted {
        assert_eq!(arena.events(id, "minted").await, 1, "{id} was granted");
    }
    for id in &ended {
        assert_eq!(arena.claim_state(id).await, "released");
    }
    arena.close();
}

/// One call at random; an answer that is no answer fails the test.
async fn ask(arena: &Arena, store: &ClaimStore, told: &Told, random: &mut Random) {
    let url = format!("/e{}", random.below(ENTITIES));
    let known = told.granted.lock().expect("no panic").last().cloned();
    let id = known.as_ref().map_or_else(|| claim_id("nobody", 1), |(id, _)| id.clone());
    match random.below(16) {
        0..=5 => {
            let consumer = format!("w{}", random.below(CONSUMERS));
            let asked = match random.below(4) {
                0 => mint(&url, &consumer),
                1 => mint(&url, &consumer).supersede(),
                2 => mint(&url, &consumer).request("again"),
                _ => {
                    let epoch = told.epoch.fetch_add(1, Ordering::Relaxed) + 1_000;
                    mint(&url, &consumer).epoch("sub", epoch)
                }
            };
            let token = asked.token.digest();
            if let Some(minted) = answered(store.mint(asked.mint).await)
                && !minted.reminted
            {
                told.granted.lock().expect("no panic").push((minted.claim.id, token));
            }
        }
        6..=8 => {
            if let Some(ended) = answered(store.done(done(&id)).await)
                && !ended.already_ended
            {
                told.ended.lock().expect("no panic").push(ended.claim.id);
            }
        }
        9..=10 => drop(answered(store.heartbeat(heartbeat(&id)).await)),
        11 => {
            // As if its holder had been silent: only what is still live is aged.
            let age = "UPDATE claim_leases SET
                     lease_expires_at = lease_expires_at - interval '2 minutes',
                     heard_at = heard_at - interval '2 minutes'
                 WHERE consumer_id = $1 AND epoch = $2";
            let client = arena.db.stranger().await;
            let off = "SET session_replication_role = replica";
            client.batch_execute(off).await.expect("a superuser");
            let key = (id.consumer.as_str(), id.epoch.get());
            client.execute(age, &[&key.0, &key.1]).await.expect("an aged lease");
        }
        12 => {
            let signals = [EntitySignal::Stop, EntitySignal::Cont];
            let asked = signals[usize::from(random.below(4) > 0)];
            drop(answered(store.signal(signal(&url, asked)).await));
        }
        13 => drop(answered(store.revoke(revoke(&id, "")).await)),
        14 => {
            if let Some((id, token)) = known {
                let (claim, _) = store.get_claim(id).await.expect("a claim");
                drop(answered(store.authorize(tenant(), claim.stream, token).await));
            }
        }
        _ => {
            // On entities of their own, so that the others stay usable.
            let url = format!("/killed/{}", random.below(50));
            drop(answered(store.mint(mint(&url, "w").supersede().mint).await));
            drop(answered(store.signal(kill(&url)).await));
        }
    }
}

/// The answer, or none if the call was refused.
fn answered<T>(answer: Result<T, StoreError>) -> Option<T> {
    match answer {
        Ok(answer) => Some(answer),
        Err(StoreError::Refused(_)) => None,
        Err(failure) => panic!("a failure where nothing failed: {failure}"),
    }
}

/// A small generator (xorshift), so that a run can be told by its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Two servers skip what the other holds, so most of these wait in a solo lane; none waits for ever.
#[tokio::test(flavor = "multi_thread")]
async fn many_callers_of_one_entity_are_all_answered() {
    let arena = Arena::new().await;
    let calls = (0..200).map(async |number: u32| {
        let store = if number.is_multiple_of(2) { &arena.one } else { &arena.other };
        let asked = mint("/hot", &format!("w{number}")).supersede();
        let id = store.mint(asked.mint).await.expect("a mint").claim.id;
        store.done(done(&id)).await.expect("an end")
    });
    let all = tokio::time::timeout(Duration::from_secs(30), join_all(calls)).await.unwrap();
    assert!(all.iter().all(|ended| !ended.already_ended));
    arena.db.check_invariants().await;
    arena.close();
}
