//! Everything at once: several servers that write, connections that break in the midst of a commit,
//! and watches of every kind that are cut at random and resume elsewhere. What each was given is, in
//! the end, what the table says: every event once, in order.

use super::support::{Watcher, Writer, behind, filter, quick, recorded};
use claims::domain::ClaimId;
use claims::store::{ClaimStore, Database, StoreSettings, WatchError, WatchItem};
use claims::testing::{
    Proxy, Road, TestDatabase, consumer, done, entity, eventually, mint, tenant,
};
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;

/// Writing tasks of each server.
const WRITERS: usize = 6;
/// Claims that each of them mints.
const CLAIMS: usize = 40;
/// Entities that all of them fight for.
const ENTITIES: usize = 12;
/// What is watched.
const FILTERS: [(&str, &str, &str); 6] = [
    ("default", "", ""),
    ("default", "", ""),
    ("default", "/e3", ""),
    ("default", "", "w1.2"),
    ("default", "/e5", "w0.1"),
    ("other", "", ""),
];

/// A number below `below` that depends on a seed which it moves on.
fn random(seed: &mut u64, below: u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 33) % below
}

/// Mints, takes over and ends claims; what fails is tried no further.
async fn write(store: ClaimStore, name: String, mut seed: u64) {
    for number in 0..CLAIMS {
        let url = format!("/e{}", random(&mut seed, ENTITIES.try_into().expect("a number")));
        let mut asked = mint(&url, &name);
        if number % 5 == 0 {
            asked = asked.tenant("other");
        }
        if number % 2 == 0 {
            asked = asked.supersede();
        }
        let Ok(minted) = store.mint(asked.mint).await else { continue };
        if random(&mut seed, 3) > 0 {
            // Its outcome may be unknown.
            let _ = store.done(done(&minted.claim.id)).await;
        }
    }
}

/// Watches at one server after another, each time until it is cut, and gathers what it is given
/// until `over` says that all is written and it has come to the end.
async fn watch(
    stores: Vec<ClaimStore>,
    (tenant, url, name): (&'static str, &'static str, &'static str),
    mut seed: u64,
    over: Arc<std::sync::Mutex<Option<i64>>>,
) -> Vec<i64> {
    let mut given = Vec::new();
    let mut position = 0;
    loop {
        let store = &stores[usize::try_from(random(&mut seed, 3)).expect("a server")];
        let wanted = filter(tenant, url, name);
        let mut watcher = match Watcher::start(store, wanted, behind(position)).await {
            Ok(watcher) => watcher,
            // Its connection has just been cut.
            Err(WatchError::Store(_)) => continue,
            Err(error) => panic!("it cannot resume behind {position}: {error}"),
        };
        for _ in 0..=random(&mut seed, 60) {
            match watcher.item().await {
                Ok(WatchItem::Event(event)) => given.push(event.sequence.get()),
                Ok(WatchItem::Checkpoint(_)) => {}
                Err(WatchError::Store(_) | WatchError::TooSlow { .. }) => break,
                Err(error) => panic!("it ends behind {position}: {error}"),
            }
            position = watcher.position;
            let last = *over.lock().expect("no panic holds it");
            if last.is_some_and(|last| position >= last) {
                return given;
            }
        }
    }
}

/// Makes trouble for as long as it is left alone: breaks connections, and writes in transactions
/// that overlap and end in another order than they drew, or in vain.
async fn make_trouble(db: &TestDatabase, proxy: &Proxy) {
    let mut seed = 7;
    loop {
        let (first, second) = (Writer::begin(db).await, Writer::begin(db).await);
        first.writes("/e3").await;
        second.writes("/e4").await;
        match random(&mut seed, 4) {
            0 => proxy.set(Road::CutBeforeCommit),
            1 => proxy.set(Road::CutAfterCommit),
            2 => drop(db.end_sessions("s1/").await),
            _ => drop(db.end_sessions("s0/events").await),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        second.commits().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        match random(&mut seed, 2) {
            0 => first.commits().await,
            _ => first.rolls_back().await,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_storm_every_watch_is_given_every_event_once_and_in_order() {
    let db = TestDatabase::in_service().await;
    let _fresh = db.stay_in_service();
    let proxy = Proxy::before(db.url()).await;
    let roads = [db.url(), db.url(), proxy.url()];
    let stores: Vec<ClaimStore> = roads
        .into_iter()
        .enumerate()
        .map(|(number, url)| {
            let database = Database::parse(url).expect("a URL");
            ClaimStore::start(
                &database,
                &StoreSettings { program: format!("s{number}"), ..quick() },
            )
        })
        .collect();
    let over = Arc::new(std::sync::Mutex::new(None));
    let watches: Vec<_> = FILTERS
        .into_iter()
        .zip(1..)
        .map(|(names, seed)| tokio::spawn(watch(stores.clone(), names, seed, Arc::clone(&over))))
        .collect();
    let mut writers = Vec::new();
    for (server, store) in stores.iter().enumerate() {
        for writer in 0..WRITERS {
            let seed = u64::try_from(100 * server + writer).expect("a number");
            let name = format!("w{server}.{writer}");
            writers.push(tokio::spawn(write(store.clone(), name, seed)));
        }
    }
    tokio::select! {
        written = try_join_all(writers) => drop(written.unwrap()),
        () = make_trouble(&db, &proxy) => {}
    }
    proxy.set(Road::Open);
    // One event more, behind everything.
    let last = ClaimId { tenant: tenant(), consumer: consumer("last"), epoch: first_epoch() };
    eventually("the last event is written", async || {
        let asked = mint(entity("/last").as_str(), "last").request("r").mint;
        stores[0].mint(asked).await.is_ok()
    })
    .await;
    assert!(db.claim_column(&last, "state").await.is_some());
    let end = db.number("SELECT max(sequence) FROM claim_events").await;
    *over.lock().unwrap() = Some(end);
    for (names, watch) in FILTERS.into_iter().zip(watches) {
        let given = tokio::time::timeout(claims::testing::PATIENCE, watch).await.unwrap().unwrap();
        let all = recorded(&db, &super::history::condition(names)).await;
        assert_eq!(given, all, "{names:?}");
    }
    let count = db.number("SELECT count(*) FROM claim_events").await;
    let holes = end - count;
    assert!(count > 500 && holes > 0, "{count} events, {holes} numbers that were rolled back");
    db.check_invariants().await;
}

fn first_epoch() -> claims::domain::Epoch {
    claims::domain::Epoch::parse(1).expect("an epoch")
}
