//! A round: clients, reapers and faults on one database, all at once and at random.

use super::asking::{ask, prune, reap};
use super::choice::choose;
use super::faults::{Progress, faults};
use super::record::{Call, History, Said};
use super::slots::{Slot, Slots};
use claims::domain::{Answer, ClaimId, Command};
use claims::store::{ClaimStore, Database, Reaper, StoreSettings};
use claims::testing::{Proxy, TestDatabase};
use futures_util::future::join_all;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// How much is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) seed: u64,
    pub(crate) clients: usize,
    pub(crate) calls_per_client: usize,
    /// Families of entities that are called about at a time.
    pub(crate) families: u64,
    pub(crate) faults: bool,
}

/// The reap grace of these runs: short, so that reapers meet holders that come back late.
pub(crate) const REAP_GRACE: Duration = Duration::from_millis(50);
/// How long an ended claim is kept: so short that some are called about that are there no more.
const RETENTION: Duration = Duration::from_secs(1);
/// How long a patient caller waits.
const PATIENCE: Duration = Duration::from_secs(30);
/// Calls between two passes of a reaper.
const CALLS_BETWEEN_PASSES: usize = 60;

/// A small generator (xorshift), so that a run can be told by its seed.
#[derive(Clone)]
pub(crate) struct Random(u64);

impl Random {
    /// Never the one state that a xorshift does not leave.
    pub(crate) fn new(seed: u64, number: u64) -> Self {
        let mixed = (seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).wrapping_add(0x5851_f42d);
        let mut random = Self(mixed | 1);
        // Neighbours among the seeds begin alike.
        for _ in 0..8 {
            random.below(2);
        }
        random
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }

    /// From 0 to 1.
    pub(crate) fn share(&mut self) -> f64 {
        f64::from(u16::try_from(self.below(1000)).expect("a small number")) / 1000.0
    }

    pub(crate) fn place(&mut self, length: usize) -> usize {
        let bound = u64::try_from(length).expect("a length");
        usize::try_from(self.below(bound)).expect("a place")
    }

    pub(crate) fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What came of a round.
pub(crate) struct Round {
    pub(crate) histories: Vec<History>,
    pub(crate) faults: usize,
}

/// Runs a round on a database in which nothing has happened.
pub(crate) async fn round(db: &TestDatabase, load: &Load) -> Round {
    let proxy = Proxy::before(db.url()).await;
    round_by(db, &proxy, [db.url(), proxy.url()], load).await
}

/// As [`round`]; the two stores take these ways to the database.
pub(crate) async fn round_by(
    db: &TestDatabase,
    proxy: &Proxy,
    urls: [&str; 2],
    load: &Load,
) -> Round {
    let stores = [store(urls[0], "one"), store(urls[1], "other")];
    let slots = Slots::new(load.families);
    let progress = Progress { asked: AtomicUsize::new(0), clients: AtomicUsize::new(load.clients) };
    let clients = (0..load.clients).map(async |number| {
        let mut random = Random::new(load.seed, u64::try_from(number).expect("a number"));
        for _ in 0..load.calls_per_client {
            let slot = slots.at(skewed(&mut random, load.families));
            call_once(&stores[number % 2], &slot, &mut random, load.faults).await;
            progress.asked.fetch_add(1, Ordering::Relaxed);
        }
        progress.clients.fetch_sub(1, Ordering::Relaxed);
    });
    let family_of = |id: &ClaimId| slots.of_claim(id).map(|slot| (slot.tenant.clone(), slot.name));
    let write_down = |id: &ClaimId, record| {
        slots.of_claim(id).expect("one of ours").book().write_down(record);
    };
    let reapers = (0..2).map(async |number| {
        let mut reaper = Reaper::new(Database::parse(urls[0]).expect("a URL"), "reaper");
        while progress.clients.load(Ordering::Relaxed) > 0 {
            for (id, record) in reap(&mut reaper, REAP_GRACE, |id| family_of(id).is_some()).await {
                write_down(&id, record);
            }
            if number == 0 {
                for record in prune(&mut reaper, db, RETENTION, family_of).await.into_values() {
                    let Call::Prune(ids, _) = &record.call else { continue };
                    write_down(&ids.first().expect("some were pruned").clone(), record);
                }
            }
            progress.goes_on(CALLS_BETWEEN_PASSES).await;
        }
    });
    let faulty = async {
        let random = Random::new(load.seed, u64::MAX);
        if load.faults { faults(db, proxy, &slots, &progress, random).await } else { 0 }
    };
    let (_, _, faults) = tokio::join!(join_all(clients), join_all(reapers), faulty);
    // What was dropped on its way may still be under way.
    drop(stores);
    db.until_gone(&["one", "other", "reaper"]).await;
    Round { histories: slots.into_histories(), faults }
}

fn store(url: &str, name: &str) -> ClaimStore {
    let database = Database::parse(url).expect("a URL");
    let settings = StoreSettings { program: name.to_owned(), ..Default::default() };
    ClaimStore::start(&database, &settings)
}

/// Some families are called about often, most of them seldom.
fn skewed(random: &mut Random, families: u64) -> usize {
    let within = random.below(families) + 1;
    usize::try_from(random.below(within)).expect("a place")
}

async fn call_once(store: &ClaimStore, slot: &Slot, random: &mut Random, may_leave: bool) {
    tokio::time::sleep(slot.pause(random)).await;
    let call = choose(slot, random);
    let leaves = may_leave && random.one_in(20);
    let patience = if leaves { Duration::from_micros(random.below(3_000)) } else { PATIENCE };
    if let Call::Decide(Command::Mint(mint)) = &call {
        slot.book().mints.push(mint.clone());
    }
    let Some(record) = ask(store, call, patience).await else {
        return;
    };
    let mut book = slot.book();
    if let (
        Call::Decide(Command::Mint(mint)),
        Some((_, Said::Decided(Ok(Answer::Minted(minted))))),
    ) = (&record.call, &record.said)
    {
        let claim = &minted.claim;
        book.known.push((claim.id.clone(), claim.stream.clone(), mint.token_digest));
    }
    book.write_down(record);
}
