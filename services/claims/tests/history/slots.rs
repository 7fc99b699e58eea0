//! What is called about: families of an entity, or of two that share their consumers, and what is known
//! of each while it is called about. After so many calls a family gets a successor, so that no history
//! grows beyond what can be searched.
//!
//! Two families at a time have the same names and differ in their tenant alone.

use super::load::Random;
use super::record::{History, Record, Said, Written, clock};
use claims::domain::{
    Answer, ClaimId, EntityKey, Mint, StreamPath, TenantId, Timestamp, TokenDigest,
};
use claims::testing::entity;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Most calls about one family, but for the reaper's; and about a still one, where a call takes as long
/// as a lease.
const CALLS_OF_FAMILY: usize = 300;
const CALLS_OF_STILL_FAMILY: usize = 24;
/// When the callers of a still family come: so long before the end of its lease, since a call takes a
/// while until it is decided, and from then on for so long.
const BEFORE_THE_END: Duration = Duration::from_millis(40);
const COMING: Duration = Duration::from_millis(50);
/// Whose lease ends later than this is not waited for.
const STILL_FOR: Duration = Duration::from_millis(1_500);
const TENANTS: [&str; 2] = ["default", "other"];

/// A family.
pub(crate) struct Slot {
    /// What its entities and consumers have in their names.
    pub(crate) name: u64,
    pub(crate) tenant: TenantId,
    pub(crate) entities: Vec<EntityKey>,
    book: Mutex<Book>,
}

/// What its callers share.
#[derive(Default)]
pub(crate) struct Book {
    pub(crate) asked: usize,
    pub(crate) records: Vec<Record>,
    /// Claims that were granted, with their streams and tokens.
    pub(crate) known: Vec<(ClaimId, StreamPath, TokenDigest)>,
    /// The mints that were asked, to be asked again.
    pub(crate) mints: Vec<Mint>,
    /// The highest epoch that a caller gave.
    pub(crate) epoch: i64,
    /// The end of the lease that somebody was told of last.
    lapses_at: Option<Timestamp>,
}

impl Book {
    pub(crate) fn write_down(&mut self, record: Record) {
        match record.said.as_ref().map(|(_, said)| said) {
            Some(Said::Decided(Ok(Answer::Minted(minted)))) => {
                self.lapses_at = Some(minted.claim.lease.expires_at);
            }
            Some(Said::Beat(Ok(renewal))) => self.lapses_at = Some(renewal.expires_at),
            _ => {}
        }
        self.records.push(record);
    }
}

impl Slot {
    fn new(number: u64) -> Arc<Self> {
        let (name, tenant) = (number / 2, TENANTS[usize::from(!number.is_multiple_of(2))]);
        let tenant = TenantId::parse(tenant).expect("a tenant");
        let folders: &[&str] = if name % 4 == 1 { &["e", "f"] } else { &["e"] };
        let key = |folder: &&str| EntityKey {
            tenant: tenant.clone(),
            url: entity(&format!("/{folder}/{name}")),
        };
        let entities = folders.iter().map(key).collect();
        Arc::new(Self { name, tenant, entities, book: Mutex::default() })
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Few of its calls end a claim, so that claims live until they lapse.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.name.is_multiple_of(3)
    }

    /// Nobody calls about it until its newest lease is about to end, and then all at once: that is
    /// where most answers change, and where few calls come by themselves.
    const fn is_still(&self) -> bool {
        self.name % 16 == 2
    }

    const fn calls(&self) -> usize {
        if self.is_still() { CALLS_OF_STILL_FAMILY } else { CALLS_OF_FAMILY }
    }

    /// Most of its calls have been asked.
    pub(crate) fn is_old(&self) -> bool {
        self.book().asked > self.calls() * 3 / 4
    }

    /// How long a caller waits before it chooses what to ask.
    pub(crate) fn pause(&self, random: &mut Random) -> Duration {
        let lapses_at = self.book().lapses_at.filter(|_| self.is_still());
        let until_then = lapses_at.map(|at| at.since(clock())).filter(|it| *it < STILL_FOR);
        until_then.map_or(Duration::ZERO, |until_then| {
            let spread = COMING.mul_f64(random.share());
            (until_then + spread).saturating_sub(BEFORE_THE_END)
        })
    }

    /// One of its entities.
    pub(crate) fn entity(&self, random: &mut Random) -> &EntityKey {
        &self.entities[random.place(self.entities.len())]
    }
}

/// All families of a round.
pub(crate) struct Slots {
    current: Mutex<Vec<Arc<Slot>>>,
    all: Mutex<BTreeMap<(TenantId, u64), Arc<Slot>>>,
    next: AtomicU64,
}

impl Slots {
    pub(crate) fn new(count: u64) -> Self {
        let slots =
            Self { current: Mutex::default(), all: Mutex::default(), next: AtomicU64::new(0) };
        for _ in 0..count {
            let slot = slots.fresh();
            lock(&slots.current).push(slot);
        }
        slots
    }

    fn fresh(&self) -> Arc<Slot> {
        let slot = Slot::new(self.next.fetch_add(1, Ordering::Relaxed));
        lock(&self.all).insert((slot.tenant.clone(), slot.name), Arc::clone(&slot));
        slot
    }

    /// The family at a place, for one more call about it.
    pub(crate) fn at(&self, place: usize) -> Arc<Slot> {
        let mut current = lock(&self.current);
        let slot = Arc::clone(&current[place]);
        slot.book().asked += 1;
        if slot.book().asked >= slot.calls() {
            current[place] = self.fresh();
        }
        slot
    }

    /// One of the families, without a call about it.
    pub(crate) fn any(&self, random: &mut Random) -> Arc<Slot> {
        let current = lock(&self.current);
        Arc::clone(&current[random.place(current.len())])
    }

    /// The family of a claim, told by its tenant and the name of its consumer.
    pub(crate) fn of_claim(&self, id: &ClaimId) -> Option<Arc<Slot>> {
        let (_, name) = id.consumer.as_str().split_once('@')?;
        lock(&self.all).get(&(id.tenant.clone(), name.parse().ok()?)).cloned()
    }

    /// The histories, when all callers have ended.
    pub(crate) fn into_histories(self) -> Vec<History> {
        let all = self.all.into_inner().unwrap_or_else(PoisonError::into_inner);
        let history = |slot: Arc<Slot>| {
            let mut records = std::mem::take(&mut slot.book().records);
            records.sort_by_key(|record| record.invoked);
            let (entities, written) = (slot.entities.clone(), Written::default());
            History { entities, records, written, until: None }
        };
        all.into_values().map(history).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
