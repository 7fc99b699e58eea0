//! What all workers were told, and what of it contradicts itself at once.

use crate::record::{Grant, Record};
use anyhow::Result;
use claim_client::{ClaimGuard, ClaimHandle, HoldState};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Most violations that are told: where one is, there are many.
const TOLD_MAX: usize = 20;

/// Shared by all workers.
#[derive(Debug)]
pub(crate) struct Ledger(Mutex<Entries>);

#[derive(Debug)]
struct Entries {
    grants: Vec<Grant>,
    /// By entity, who holds it, and its highest fence.
    held: BTreeMap<String, (String, ClaimHandle)>,
    /// By entity, who left it without a word, and the instant to which its lease runs for certain.
    abandoned: BTreeMap<String, (String, Instant)>,
    fences: BTreeMap<String, i64>,
    /// Every number of a new grant lies above these.
    fence_floor: i64,
    epoch_floor: i64,
    heartbeats: u64,
    refused: u64,
    lost: u64,
    writes: u64,
    writes_refused: u64,
    failed: u64,
    last_failure: Option<String>,
    violations: Vec<String>,
    answered_at: Instant,
    /// When something was granted or reported, in milliseconds since 1970.
    accepted_at: Vec<u128>,
    longest_silence: Duration,
}

/// What a run comes to.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) granted: usize,
    pub(crate) reported: usize,
    /// Of these claims, the last heartbeat was answered.
    pub(crate) heartbeats: u64,
    pub(crate) refused: u64,
    /// Claims that were left without a word, on purpose.
    pub(crate) abandoned: usize,
    /// Claims that ended although their holders went on, none of them while it could still write.
    pub(crate) lost: u64,
    /// Writes that were allowed.
    pub(crate) writes: u64,
    pub(crate) writes_refused: u64,
    pub(crate) failed: u64,
    pub(crate) last_failure: Option<String>,
    pub(crate) highest_fence: i64,
    /// The longest time without an answer to anybody.
    pub(crate) longest_silence_ms: u128,
    pub(crate) violations: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(earlier: &Record) -> Self {
        Self(Mutex::new(Entries {
            grants: Vec::new(),
            held: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            fences: BTreeMap::new(),
            fence_floor: earlier.highest_fence(),
            epoch_floor: earlier.highest_epoch(),
            heartbeats: 0,
            refused: 0,
            lost: 0,
            writes: 0,
            writes_refused: 0,
            failed: 0,
            last_failure: None,
            violations: Vec::new(),
            answered_at: Instant::now(),
            accepted_at: Vec::new(),
            longest_silence: Duration::ZERO,
        }))
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A claim was granted; gives its place in the record.
    pub(crate) fn granted(&self, guard: &ClaimGuard) -> usize {
        let mut entries = self.entries();
        entries.accepted();
        let claim = guard.claim();
        let (entity, holder) = (claim.entity_url.clone(), claim.consumer_id.clone());
        if let Some((other, handle)) = entries.held.get(&entity) {
            let said = format!("{holder} is granted {entity}, where {other} may write");
            if matches!(handle.state(), HoldState::Writing { .. }) {
                entries.violated(said);
            }
        }
        if let Some((other, until)) = entries.abandoned.remove(&entity)
            && Instant::now() < until
        {
            entries
                .violated(format!("{holder} is granted {entity}, where the lease of {other} runs"));
        }
        let before = entries.fences.get(&entity).copied().unwrap_or(entries.fence_floor);
        if claim.fence <= before {
            entries.violated(format!("{entity}: fence {} after {before}", claim.fence));
        }
        if claim.epoch <= entries.epoch_floor {
            let floor = entries.epoch_floor;
            entries.violated(format!("{entity}: epoch {} after {floor}", claim.epoch));
        }
        entries.fences.insert(entity.clone(), claim.fence);
        entries.held.insert(entity.clone(), (holder.clone(), guard.handle()));
        entries.grants.push(Grant {
            entity,
            stream: claim.stream_path.clone(),
            consumer: holder,
            epoch: claim.epoch,
            fence: claim.fence,
            token: guard.write_token().reveal().to_owned(),
            done: false,
            abandoned: false,
            lease_until: None,
        });
        entries.grants.len() - 1
    }

    /// Its holder is about to report it done: others may be granted the entity from now on.
    pub(crate) fn ends(&self, place: usize, guard: &ClaimGuard) {
        let mut entries = self.entries();
        if let HoldState::Writing { until } = guard.state() {
            let until = SystemTime::now() + until.saturating_duration_since(Instant::now());
            let micros = until.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
            entries.grants[place].lease_until = i64::try_from(micros).ok();
        }
        let (entity, consumer) =
            (entries.grants[place].entity.clone(), entries.grants[place].consumer.clone());
        if entries.held.get(&entity).is_some_and(|(holder, _)| *holder == consumer) {
            entries.held.remove(&entity);
        }
    }

    pub(crate) fn done(&self, place: usize, was_heartbeaten: bool) {
        let mut entries = self.entries();
        entries.accepted();
        entries.grants[place].done = true;
        entries.heartbeats += u64::from(was_heartbeaten);
    }

    /// It is left without a word; before that instant, if one is known, nobody may be granted its entity.
    pub(crate) fn abandoned(&self, place: usize, until: Option<Instant>) {
        let mut entries = self.entries();
        entries.grants[place].abandoned = true;
        let Grant { entity, consumer, .. } = entries.grants[place].clone();
        entries.held.remove(&entity);
        if let Some(until) = until {
            entries.abandoned.insert(entity, (consumer, until));
        }
    }

    /// It ended, as its holder had to expect.
    pub(crate) fn lost(&self) {
        let mut entries = self.entries();
        entries.answered();
        entries.lost += 1;
    }

    /// A write was allowed; whether that is recorded.
    pub(crate) fn wrote(&self, recorded: Result<()>) {
        let mut entries = self.entries();
        entries.writes += 1;
        if let Err(error) = recorded {
            entries.violated(format!("a write is not recorded: {error:#}"));
        }
    }

    pub(crate) fn write_refused(&self) {
        self.entries().writes_refused += 1;
    }

    pub(crate) fn refused(&self) {
        let mut entries = self.entries();
        entries.answered();
        entries.refused += 1;
    }

    pub(crate) fn failed(&self, what: String) {
        let mut entries = self.entries();
        entries.failed += 1;
        entries.last_failure = Some(what);
    }

    pub(crate) fn violated(&self, what: String) {
        self.entries().violated(what);
    }

    pub(crate) fn record(&self) -> Record {
        Record(self.entries().grants.clone())
    }

    /// When something was granted or reported, in milliseconds since 1970, one a line.
    pub(crate) fn accepted_at(&self) -> String {
        self.entries().accepted_at.iter().map(|at| format!("{at}\n")).collect()
    }

    pub(crate) fn summary(&self) -> Summary {
        let entries = self.entries();
        Summary {
            granted: entries.grants.len(),
            reported: entries.grants.iter().filter(|grant| grant.done).count(),
            heartbeats: entries.heartbeats,
            refused: entries.refused,
            abandoned: entries.grants.iter().filter(|grant| grant.abandoned).count(),
            lost: entries.lost,
            writes: entries.writes,
            writes_refused: entries.writes_refused,
            failed: entries.failed,
            last_failure: entries.last_failure.clone(),
            highest_fence: entries.fences.values().copied().max().unwrap_or(0),
            longest_silence_ms: entries.longest_silence.as_millis(),
            violations: entries.violations.clone(),
        }
    }
}

impl Entries {
    /// Somebody was answered.
    fn answered(&mut self) {
        let now = Instant::now();
        self.longest_silence = self.longest_silence.max(now.duration_since(self.answered_at));
        self.answered_at = now;
    }

    /// Somebody was answered, and something was written for it.
    fn accepted(&mut self) {
        self.answered();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.accepted_at.push(since.as_millis());
    }

    fn violated(&mut self, what: String) {
        if self.violations.len() < TOLD_MAX {
            self.violations.push(what);
        }
    }
}
