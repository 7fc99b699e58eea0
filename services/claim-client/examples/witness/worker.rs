//! One of those who compete: mints, holds for a moment, writes meanwhile, reports done. Now and then it
//! leaves a claim without a word, and only its token goes on writing.

use crate::ledger::Ledger;
use crate::log::{Kind, Log, Moment};
use crate::sight::Sight;
use crate::writer::{Answer, Writer};
use claim_client::v1::ClaimState;
use claim_client::{ClaimGuard, Client, Done, Error, HoldState, MintRequest, Refusal};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long an entity is held: mostly for a moment, and every so often for long enough that the claim
/// is heartbeaten.
const MOMENT: Duration = Duration::from_millis(120);
/// See [`MOMENT`].
const LONG: Duration = Duration::from_secs(4);
/// One in so many is held for long.
const LONG_ONE_IN: u32 = 12;
/// From a refusal to the next attempt.
const AGAIN: Duration = Duration::from_millis(20);
/// From one write of a holder to the next, and from one look at its guard to the next.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// The lease of a claim that will be abandoned. Short, so that many end within a run.
const ABANDONED_LEASE: Duration = Duration::from_secs(2);
/// For how long the token of an abandoned claim goes on writing unless it is refused for good: through
/// its lease and far beyond, but no longer than an outage and what protects claims after it.
const ABANDONED_WRITES_FOR: Duration = Duration::from_secs(45);

/// What all workers do alike.
#[derive(Debug)]
pub(crate) struct Habits {
    pub(crate) prefix: String,
    pub(crate) entities: usize,
    pub(crate) lease: Duration,
    /// Leave what is held at the end.
    pub(crate) abandon_at_end: bool,
    /// Leave one claim in so many without a word; none if 0.
    pub(crate) abandon_one_in: u32,
    /// A holder that was away for too long may lose its claim.
    pub(crate) may_lose: bool,
    /// The database's clock may step: its leases may run out before their time is over.
    pub(crate) leases_may_lapse: bool,
}

#[derive(Clone)]
pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) log: Arc<Log>,
    /// None: nothing is written.
    pub(crate) writer: Option<Arc<Writer>>,
    /// Writes that are waited for at the end.
    pub(crate) writes: TaskTracker,
    pub(crate) habits: Arc<Habits>,
    pub(crate) number: usize,
}

impl Worker {
    pub(crate) async fn run(self, end: CancellationToken) {
        let mut wakes = 0_u64;
        while !end.is_cancelled() {
            wakes += 1;
            if self.habits.abandon_one_in > 0 && fastrand::u32(..self.habits.abandon_one_in) == 0 {
                self.abandon(&end).await;
            } else {
                self.work(&end, wakes).await;
            }
        }
    }

    async fn work(&self, end: &CancellationToken, wake: u64) {
        // One in two is a fresh consumer, as of a wake; the other a stable one.
        let consumer = match wake % 2 {
            0 => format!("worker-{}", self.number),
            _ => format!("worker-{}-{:016x}", self.number, fastrand::u64(..)),
        };
        let granted = self.mint(self.contested(), consumer, self.habits.lease).await;
        let Some((guard, place)) = granted else { return };
        let is_ending = Arc::new(AtomicBool::new(false));
        let mut sight = Sight::of(&guard);
        self.hold(&guard, &mut sight, &is_ending).await;
        if self.habits.abandon_at_end && end.is_cancelled() {
            return;
        }
        is_ending.store(true, Ordering::SeqCst);
        self.report(guard, place, sight).await;
    }

    /// Mints one, and tells where it stands in the record.
    async fn mint(
        &self,
        entity: String,
        consumer: String,
        lease: Duration,
    ) -> Option<(ClaimGuard, usize)> {
        let (asked, asked_at) = (Moment::now(), Instant::now());
        match self.client.mint(MintRequest::new(&entity, consumer).lease_ttl(lease)).await {
            Ok(guard) => {
                let place = self.ledger.granted(&guard);
                let claim = guard.claim();
                self.note(Kind::Grant, claim, asked);
                Some((guard, place))
            }
            Err(error) => {
                self.not_granted(&entity, &error, asked_at.elapsed() >= lease);
                sleep(AGAIN).await;
                None
            }
        }
    }

    fn not_granted(&self, entity: &str, error: &Error, may_have_lapsed: bool) {
        match error.refusal() {
            Some(Refusal::AlreadyClaimed { .. }) => self.ledger.refused(),
            // An attempt was accepted, and its answer lost for longer than its lease.
            Some(Refusal::ClaimExpired(_)) if may_have_lapsed => self.ledger.refused(),
            Some(refusal) => {
                self.ledger.violated(format!("a mint of {entity} is refused: {refusal}"));
            }
            None => self.ledger.failed(format!("a mint: {error}")),
        }
    }

    /// Holds a claim for a while, and writes as long as its guard allows it.
    async fn hold(&self, guard: &ClaimGuard, sight: &mut Sight, is_ending: &Arc<AtomicBool>) {
        let length = if fastrand::u32(..LONG_ONE_IN) == 0 { LONG } else { MOMENT };
        let end = Instant::now() + length.mul_f64(fastrand::f64());
        loop {
            sight.look(guard);
            if matches!(guard.state(), HoldState::Writing { .. }) {
                self.write_as_holder(guard, is_ending);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || sight.is_lost() {
                return;
            }
            sleep(left.min(WRITE_EVERY)).await;
        }
    }

    fn write_as_holder(&self, guard: &ClaimGuard, is_ending: &Arc<AtomicBool>) {
        let Some(writer) = self.writer.clone() else { return };
        let (handle, is_ending) = (guard.handle(), Arc::clone(is_ending));
        let (ledger, leases_may_lapse) = (Arc::clone(&self.ledger), self.habits.leases_may_lapse);
        self.writes.spawn(async move {
            let answer = writer.write(handle.claim(), handle.write_token().reveal()).await;
            let Answer::Refused(reason) = answer else { return };
            let may_write = !is_ending.load(Ordering::SeqCst)
                && matches!(handle.state(), HoldState::Writing { .. });
            if may_write && !(leases_may_lapse && reason == "LEASE_LAPSED") {
                let entity = &handle.claim().entity_url;
                ledger.violated(format!("{entity}: its holder may write and is refused: {reason}"));
            }
        });
    }

    /// Reports a claim done, and holds the answer against what its holder knows.
    async fn report(&self, guard: ClaimGuard, place: usize, mut sight: Sight) {
        self.ledger.ends(place, &guard);
        let handle = guard.handle();
        let ack = format!("{:016x}", fastrand::u64(..));
        let path = format!("{}/in", handle.claim().entity_url);
        let asked = Moment::now();
        let mut done = pin!(guard.done(Done::completed().ack(path, &ack)));
        let answer = loop {
            tokio::select! {
                answer = &mut done => break answer,
                () = sleep(WRITE_EVERY) => sight.look(&handle),
            }
        };
        let entity = &handle.claim().entity_url;
        match answer {
            Ok(answer) => {
                let claim = answer.claim.unwrap_or_default();
                let ended_otherwise = claim.state() != ClaimState::Released;
                let kind = if ended_otherwise { Kind::Lost } else { Kind::Done };
                self.note(kind, handle.claim(), asked);
                self.write_with_dead_token(&handle);
                if ended_otherwise && self.habits.may_lose && !sight.ended_early() {
                    self.ledger.lost();
                    return;
                }
                if ended_otherwise || !answer.acks_recorded {
                    self.ledger.violated(format!(
                        "{} epoch {} on {entity} was {} ({}) before its holder reported it done{}",
                        claim.consumer_id,
                        claim.epoch,
                        claim.state().as_str_name(),
                        claim.end_reason,
                        if sight.ended_early() { ", while it could still write" } else { "" },
                    ));
                }
                self.ledger.done(place, claim.last_heartbeat_time.is_some());
            }
            Err(failed) => match failed.error.refusal() {
                Some(refusal) => {
                    self.ledger.violated(format!("a done of {entity} is refused: {refusal}"));
                }
                None => self.ledger.failed(format!("a done: {}", failed.error)),
            },
        }
    }

    /// It must be refused: the log tells.
    fn write_with_dead_token(&self, handle: &claim_client::ClaimHandle) {
        let Some(writer) = self.writer.clone() else { return };
        let handle = handle.clone();
        self.writes.spawn(async move {
            writer.write(handle.claim(), handle.write_token().reveal()).await;
        });
    }

    /// Mints a claim and leaves it without a word; its token goes on writing, whatever became of it.
    async fn abandon(&self, end: &CancellationToken) {
        let name = fastrand::u64(..);
        // One in two is left where nobody else wants it: only a reaper ends that one.
        let entity = match name % 2 {
            0 => self.contested(),
            _ => format!("{}/abandoned/{name:016x}", self.habits.prefix),
        };
        let granted = self.mint(entity, format!("abandons-{name:016x}"), ABANDONED_LEASE).await;
        let Some((guard, place)) = granted else { return };
        let handle = guard.handle();
        let until = Sight::of(&guard).until().filter(|_| !self.habits.leases_may_lapse);
        self.ledger.abandoned(place, until);
        drop(guard);
        let Some(writer) = self.writer.clone() else { return };
        let end = end.clone();
        self.writes.spawn(async move {
            let last = Instant::now() + ABANDONED_WRITES_FOR;
            while Instant::now() < last && !end.is_cancelled() {
                let answer = writer.write(handle.claim(), handle.write_token().reveal()).await;
                if matches!(answer, Answer::Refused(reason) if reason == "WRITE_TOKEN_INVALID") {
                    // Once more, some time later.
                    sleep(ABANDONED_LEASE).await;
                    writer.write(handle.claim(), handle.write_token().reveal()).await;
                    return;
                }
                sleep(WRITE_EVERY).await;
            }
        });
    }

    fn note(&self, kind: Kind, claim: &claim_client::v1::Claim, asked: Moment) {
        if let Err(error) = self.log.answered(kind, claim, asked) {
            self.ledger.violated(format!("{error:#}"));
        }
    }

    /// An entity that others want too.
    fn contested(&self) -> String {
        format!("{}/{}", self.habits.prefix, fastrand::usize(..self.habits.entities))
    }
}
