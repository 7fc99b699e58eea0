//! The store: the row is the authority, one transaction decides.
//!
//! Nothing in this process's memory would be missed after a restart. Calls are batched by lanes
//! (`lane`), decided by the domain on locked rows (`batch`), and answered when the commit has
//! been seen. SQL lives in `sql/`, one statement to a file.
//!
//! Lock order everywhere, reaper included: entity rows by key, then claim rows, then lease rows by
//! key. A heartbeat locks lease rows only.

mod authorizations;
mod batch;
mod connect;
mod decisions;
mod error;
mod events;
mod heartbeats;
mod lane;
mod metrics;
pub mod migrations;
mod outage;
mod reads;
mod reap;
mod restore;
mod rows;
mod statement;
mod statements;
mod trace;

use crate::domain::token::WRITE_TOKEN_BYTES;
use crate::domain::{
    Answer, Authorization, Claim, ClaimId, Command, Done, Ended, EntityKey, Heartbeat, Mint,
    Minted, Renewal, Revoke, Signal, Signaled, StreamPath, TenantId, Timestamp, TokenDigest,
    WriteToken,
};
use batch::Hooks;
use lane::{Queue, Service};
use reads::Reads;
use std::collections::BTreeMap;
use std::time::Duration;

pub use connect::{
    Database, IDLE_IN_TRANSACTION_TIMEOUT, InvalidDatabaseUrl, LOCK_TIMEOUT, ROUND_TRIP_TIMEOUT,
    STATEMENT_TIMEOUT,
};
pub use error::StoreError;
pub use events::{
    EventBatch, EventCursor, EventFilter, EventPage, EventQuery, EventSettings, Events, ListError,
    News, RecordedEvent, Sequence, Subscription, Watch, WatchError, WatchFrom, WatchItem,
};
pub use heartbeats::Signature;
pub use lane::{Weights, until};
pub use metrics::StoreMetrics;
pub use reads::{ClaimCursor, ClaimPage, ClaimQuery, EntityView, Probe};
pub use reap::{
    Candidate, Finding, LastPassView, PassRecord, Pruned, REAP_BATCH_MAX, ReapError, Reaped,
    Reaper, ReaperStatus, Scan, Walk,
};
pub use trace::{TRACES, collect_spans};

pub use restore::{BUMP_DEFAULT, BUMP_MAX, Bumped, FenceBump, FenceBumpError, Look};

#[cfg(any(test, feature = "testing"))]
pub use batch::PauseHook;
#[cfg(any(test, feature = "testing"))]
pub use events::EVENT_WRITERS_LOCK;
#[cfg(any(test, feature = "testing"))]
pub use statements::{all_statements, session_settings};

/// How many lanes, how much each takes at once, and how much may wait.
///
/// The defaults suit two cores shared with the database. `claim-bench compare --only sizes` measures
/// what others do, and docs/performance.md has what it found there: two lanes of a kind do more than
/// one and as much as four; batches of heartbeats gain up to 1 024; those of decisions gain little
/// beyond 128, and each of their callers waits for all of the others.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// Names the program in the database's list of sessions.
    pub program: String,
    /// Lanes, and so connections, that decide batches.
    pub decision_lanes: usize,
    /// Most commands of one transaction.
    pub decision_batch: usize,
    /// Lanes that renew batches.
    pub heartbeat_lanes: usize,
    /// Most heartbeats of one statement.
    pub heartbeat_batch: usize,
    /// Lanes that authorize batches.
    pub authorize_lanes: usize,
    /// Lanes of each kind that wait for what a stranger holds.
    pub solo_lanes: usize,
    /// Calls of each kind that may wait; beyond that callers are refused.
    pub queue_bound: usize,
    /// How watches are served.
    pub events: EventSettings,
}

impl Default for StoreSettings {
    fn default() -> Self {
        Self {
            program: "claims".to_owned(),
            decision_lanes: 2,
            decision_batch: 128,
            heartbeat_lanes: 2,
            heartbeat_batch: 1_024,
            authorize_lanes: 1,
            solo_lanes: 2,
            queue_bound: 8_192,
            events: EventSettings::default(),
        }
    }
}

/// The store. Cheap to clone; its lanes end with its last clone.
#[derive(Clone)]
pub struct ClaimStore {
    decisions: Queue<Command, Answer>,
    heartbeats: Queue<heartbeats::Ask, heartbeats::Reply>,
    authorizations: Queue<authorizations::Ask, Authorization>,
    reads: Reads,
    events: Events,
    weights: Weights,
    metrics: StoreMetrics,
}

/// Fresh randomness for a write token; the one place where tokens come from.
pub fn fresh_write_token() -> Result<WriteToken, StoreError> {
    let mut bytes = [0; WRITE_TOKEN_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| {
        tracing::error!(%error, "the operating system gives no randomness");
        StoreError::Internal
    })?;
    Ok(WriteToken::from_random(bytes))
}

impl ClaimStore {
    /// Starts the lanes on the current runtime. They connect when they are first needed and again
    /// whenever a connection fails, so the database may be away at the start.
    #[must_use]
    pub fn start(database: &Database, settings: &StoreSettings) -> Self {
        Self::start_with(database, settings, &Hooks::default())
    }

    /// As [`ClaimStore::start`], with a pause between the load and the write of each batch of
    /// decisions, while its locks are held.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn start_paused(database: &Database, settings: &StoreSettings, pause: PauseHook) -> Self {
        Self::start_with(database, settings, &Hooks { pause: Some(pause) })
    }

    fn start_with(database: &Database, settings: &StoreSettings, hooks: &Hooks) -> Self {
        let program = settings.program.as_str();
        let bound = settings.queue_bound;
        let (weights, metrics) = (Weights::default(), StoreMetrics::default());

        let (solo, waiting) =
            Queue::bounded(bound, &weights, metrics.of_lanes(decisions::DecideSolo::KIND));
        let service = decisions::DecideSolo { hooks: hooks.clone(), back: solo.way_back() };
        lane::start(&service, &waiting, database, program, settings.solo_lanes);
        let (decisions, waiting) =
            Queue::bounded(bound, &weights, metrics.of_lanes(decisions::Decide::KIND));
        let service =
            decisions::Decide { batch: settings.decision_batch, hooks: hooks.clone(), solo };
        lane::start(&service, &waiting, database, program, settings.decision_lanes);

        let (solo, waiting) =
            Queue::bounded(bound, &weights, metrics.of_lanes(heartbeats::BeatSolo::KIND));
        let service = heartbeats::BeatSolo { back: solo.way_back() };
        lane::start(&service, &waiting, database, program, settings.solo_lanes);
        let (heartbeats, waiting) =
            Queue::bounded(bound, &weights, metrics.of_lanes(heartbeats::Beat::KIND));
        let service = heartbeats::Beat { batch: settings.heartbeat_batch, solo };
        lane::start(&service, &waiting, database, program, settings.heartbeat_lanes);

        let (authorizations, waiting) =
            Queue::bounded(bound, &weights, metrics.of_lanes(authorizations::Authorize::KIND));
        let service = authorizations::Authorize;
        lane::start(&service, &waiting, database, program, settings.authorize_lanes);

        let reads = Reads::new(database, program, &metrics);
        let events =
            Events::new(database, program, reads.clone(), settings.events.clone(), &metrics);
        Self { decisions, heartbeats, authorizations, reads, events, weights, metrics }
    }

    /// What it counts.
    #[must_use]
    pub const fn metrics(&self) -> &StoreMetrics {
        &self.metrics
    }

    /// Claims an entity (M). The token goes with the answer; only its digest came in.
    pub async fn mint(&self, mint: Mint) -> Result<Minted, StoreError> {
        match self.decisions.newcomer(Command::Mint(mint)).await? {
            Answer::Minted(minted) => Ok(minted),
            other => Err(unexpected(&other)),
        }
    }

    /// Whether a mint of this tenant would be refused now because too many of its calls wait.
    #[must_use]
    pub fn refuses_mints_of(&self, tenant: &TenantId) -> bool {
        self.decisions.refuses_newcomers_of(tenant)
    }

    /// How much of the lanes each tenant gets when they are short.
    #[must_use]
    pub const fn weights(&self) -> &Weights {
        &self.weights
    }

    /// Finishes a claim (D).
    pub async fn done(&self, done: Done) -> Result<Ended, StoreError> {
        match self.decisions.call(Command::Done(done)).await? {
            Answer::Ended(ended) => Ok(ended),
            other => Err(unexpected(&other)),
        }
    }

    /// Ends a claim from outside.
    pub async fn revoke(&self, revoke: Revoke) -> Result<Ended, StoreError> {
        match self.decisions.call(Command::Revoke(revoke)).await? {
            Answer::Ended(ended) => Ok(ended),
            other => Err(unexpected(&other)),
        }
    }

    /// Pauses, continues or ends an entity.
    pub async fn signal(&self, signal: Signal) -> Result<Signaled, StoreError> {
        match self.decisions.call(Command::Signal(signal)).await? {
            Answer::Signaled(signaled) => Ok(signaled),
            other => Err(unexpected(&other)),
        }
    }

    /// Renews a lease (H).
    pub async fn heartbeat(&self, heartbeat: Heartbeat) -> Result<Renewal, StoreError> {
        match self.heartbeats.call(heartbeats::Ask::Heartbeat(heartbeat)).await? {
            heartbeats::Reply::Renewed(renewal) => Ok(renewal),
            heartbeats::Reply::Signed(_) => Err(StoreError::Internal),
        }
    }

    /// Signs the liveness record over the path that serves heartbeats (R6).
    pub async fn sign(&self, outage_grace: Duration) -> Result<Signature, StoreError> {
        match self.heartbeats.call(heartbeats::Ask::Sign { outage_grace }).await? {
            heartbeats::Reply::Signed(signature) => Ok(signature),
            heartbeats::Reply::Renewed(_) => Err(StoreError::Internal),
        }
    }

    /// Whether the holder of a token may write to a stream now (W).
    pub async fn authorize(
        &self,
        tenant: TenantId,
        stream: StreamPath,
        token: TokenDigest,
    ) -> Result<Authorization, StoreError> {
        self.authorizations.call(authorizations::Ask { tenant, stream, token }).await
    }

    /// A claim, with the database time of the read.
    pub async fn get_claim(&self, id: ClaimId) -> Result<(Claim, Timestamp), StoreError> {
        self.reads.claim(id).await
    }

    /// Those of some claims that there are, with the database time of the read.
    pub async fn get_claims(
        &self,
        ids: Vec<ClaimId>,
    ) -> Result<(BTreeMap<ClaimId, Claim>, Timestamp), StoreError> {
        self.reads.claims(ids).await
    }

    /// An entity and its current claim.
    pub async fn get_entity(&self, key: EntityKey) -> Result<EntityView, StoreError> {
        self.reads.entity(key).await
    }

    /// A page of claims.
    pub async fn list_claims(&self, query: ClaimQuery) -> Result<ClaimPage, StoreError> {
        self.reads.list(query).await
    }

    /// How many live claims a tenant has; beyond `most` nobody counts.
    pub async fn count_live_claims(&self, tenant: TenantId, most: u32) -> Result<u32, StoreError> {
        self.reads.count_live_claims(tenant, most).await
    }

    /// What has happened, as a listing and as it goes on.
    #[must_use]
    pub const fn events(&self) -> &Events {
        &self.events
    }

    /// How the reapers are doing, by the last pass of any of them.
    pub async fn reaper_status(&self) -> Result<ReaperStatus, StoreError> {
        self.reads.reaper_status().await
    }

    /// Whether the database answers, and can be worked with.
    pub async fn probe(&self) -> Result<Probe, StoreError> {
        self.reads.probe().await
    }
}

/// An answer that does not fit its command is a bug.
fn unexpected(answer: &Answer) -> StoreError {
    let kind = std::mem::discriminant(answer);
    tracing::error!(?kind, "a command got the answer of another");
    StoreError::Internal
}
