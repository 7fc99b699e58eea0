//! What a reaper needs of the store: one scan of the leases, and the expiry of what it found, batch
//! by batch, through the same decisions and the same release code as everything else (R3).
//!
//! A claim is *due* if it is live and has been takeable for at least the reap grace (R1). The scan
//! only finds candidates, by what a lease tells without its claim. Each is judged again on the
//! locked row, at the database time and with the liveness record of the transaction that ends it;
//! so a reaper that slept between its scan and its batch expires nobody who was heard of since.

use super::batch::load::{ClockRow, liveness};
use super::batch::{self, Held, Hooks, Outcome, decide_batch};
use super::connect::{ConnectError, Database, STATEMENT_TIMEOUT, round_trip};
use super::error::{Damaged, TransactionError};
use super::rows::{Time, claim_id, millis};
use super::statements::{ReadClock, RecordPass, ScanLeases};
use crate::chain;
use crate::domain::lease::takeable_at;
use crate::domain::{Answer, ClaimId, Command, Expire, Expiry, Timestamp};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::error::Error;
use std::time::Duration;

/// Most claims of one expiring transaction: beyond that its locks would last too long for others.
pub const REAP_BATCH_MAX: usize = 5_000;
/// How long the scan may take; it reads one narrow row for each live claim.
const SCAN_TIMEOUT: Duration = Duration::from_secs(30);

/// A reaper's one connection: opened when needed, dropped when it failed.
pub struct Reaper {
    database: Database,
    program: String,
    connection: Option<AsyncPgConnection>,
    hooks: Hooks,
}

/// Why a pass must end; what it has done so far stands.
#[derive(Debug, thiserror::Error)]
pub enum ReapError {
    /// No connection could be had.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// The database did not do what was asked.
    #[error("the database failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// What one scan of the leases found.
#[derive(Clone, Debug)]
pub struct Scan {
    /// Live claims.
    pub live: u64,
    /// The database time of the scan.
    pub now: Timestamp,
    /// Claims whose lease lapsed at least the reap grace ago, longest due first.
    pub candidates: Vec<Candidate>,
    /// Lapsed leases whose key is no identity; no code of ours can have written them.
    pub unreadable: u64,
}

/// A claim that has lapsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Which.
    pub id: ClaimId,
    /// From when it may be expired; later than the scan if an outage protects it (R6).
    pub due_at: Timestamp,
}

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// It is expired now; it had been due since then.
    Expired {
        /// Takeable plus the reap grace.
        due_at: Timestamp,
    },
    /// Its holder was heard of in time, or an outage protects it.
    NotDue,
    /// Somebody else ended it.
    AlreadyEnded,
    /// Somebody holds its entity; it comes back in the next pass (R2).
    Locked,
    /// The database refused this one alone; it comes back in the next pass (R4).
    Failed,
}

/// A pass as it is recorded.
#[derive(Clone, Debug)]
pub struct PassRecord {
    /// When it began, by the database clock.
    pub started_at: Timestamp,
    /// Live claims that it saw.
    pub scanned: u64,
    /// Claims that it expired.
    pub expired: u64,
    /// Claims that failed and were skipped.
    pub failed: u64,
    /// Claims that it held back.
    pub held_back: u64,
    /// Why.
    pub hold_reason: Option<&'static str>,
    /// Due claims that it left.
    pub remaining_due: u64,
    /// How long the oldest due claim had been due.
    pub oldest_due_age: Option<Duration>,
    /// Rows that it pruned.
    pub pruned: u64,
}

type ScanRow = (i64, Time, Vec<String>, Vec<String>, Vec<i64>, Vec<Time>, Vec<Time>);

impl Reaper {
    /// A reaper of that database. Connects when it is first needed.
    #[must_use]
    pub fn new(database: Database, program: impl Into<String>) -> Self {
        Self { database, program: program.into(), connection: None, hooks: Hooks::default() }
    }

    /// As [`Reaper::new`], with a pause between the load and the write of each expiring
    /// transaction, while its locks are held.
    #[cfg(any(test, feature = "testing"))]
    #[must_use]
    pub fn new_paused(
        database: Database,
        program: impl Into<String>,
        pause: batch::PauseHook,
    ) -> Self {
        Self { hooks: Hooks { pause: Some(pause) }, ..Self::new(database, program) }
    }

    async fn connect(&mut self) -> Result<AsyncPgConnection, ReapError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let opened = self.database.connect(&self.program).await;
        let connection = opened.map_err(|error| ReapError::Unreachable(error.into()))?;
        let warmed = round_trip(false, batch::warm(&connection)).await;
        warmed
            .map_err(|error| ReapError::Unreachable(error.into()))?
            .map_err(|error| ReapError::Unreachable(ConnectError::Settings(error).into()))?;
        Ok(connection)
    }

    /// Scans the live leases once.
    pub async fn scan(&mut self, reap_grace: Duration) -> Result<Scan, ReapError> {
        let connection = self.connect().await?;
        let limit = SCAN_TIMEOUT.saturating_add(STATEMENT_TIMEOUT);
        let scanned = tokio::time::timeout(limit, scan(&connection, reap_grace)).await;
        let scan = scanned
            .map_err(|error| ReapError::Failed(error.into()))?
            .map_err(|error| ReapError::Failed(error.into()))?;
        self.connection = Some(connection);
        Ok(scan)
    }

    /// Expires those of the claims that are due, in one transaction, or, if that fails, one by
    /// one (R4). Answers in the order of `ids`.
    pub async fn expire(
        &mut self,
        ids: &[ClaimId],
        reap_grace: Duration,
    ) -> Result<Vec<Reaped>, ReapError> {
        let commands: Vec<Command> =
            ids.iter().map(|id| Command::Expire(Expire { id: id.clone(), reap_grace })).collect();
        let commands: Vec<&Command> = commands.iter().collect();
        if let Some(reaped) = self.try_expire(&commands).await? {
            return Ok(reaped);
        }
        let mut all = Vec::with_capacity(commands.len());
        for (command, id) in commands.iter().zip(ids) {
            let reaped = self.try_expire(&[*command]).await?.and_then(|mut one| one.pop());
            all.push(reaped.unwrap_or_else(|| {
                tracing::error!(
                    tenant = %id.tenant, consumer = %id.consumer, epoch = id.epoch.get(),
                    "claim {id} could not be expired; it is skipped until the next pass"
                );
                Reaped::Failed
            }));
        }
        Ok(all)
    }

    /// One transaction; none if the database refused it and nothing happened.
    async fn try_expire(
        &mut self,
        commands: &[&Command],
    ) -> Result<Option<Vec<Reaped>>, ReapError> {
        let connection = self.connect().await?;
        match decide_batch(&connection, commands, Held::Skip, &self.hooks).await {
            Ok(outcomes) => {
                self.connection = Some(connection);
                Ok(Some(outcomes.iter().map(reaped).collect()))
            }
            Err(error @ (TransactionError::RolledBack(_) | TransactionError::Damaged(_))) => {
                let claims = commands.len();
                tracing::warn!(error = %chain(&error), claims, "an expiry was rolled back");
                if matches!(error, TransactionError::RolledBack(_)) {
                    self.connection = Some(connection);
                }
                Ok(None)
            }
            Err(error) => Err(ReapError::Failed(error.into())),
        }
    }

    /// Records a pass.
    pub async fn record(&mut self, pass: &PassRecord) -> Result<(), ReapError> {
        let connection = self.connect().await?;
        let statement = RecordPass {
            started_at: Time(pass.started_at),
            scanned: count(pass.scanned),
            expired: count(pass.expired),
            failed: count(pass.failed),
            held_back: count(pass.held_back),
            hold_reason: pass.hold_reason,
            remaining_due: count(pass.remaining_due),
            oldest_due_age_ms: pass.oldest_due_age.map(millis),
            pruned: count(pass.pruned),
            ..Default::default()
        };
        let recorded = round_trip(false, statement.execute(&mut &connection)).await;
        recorded
            .map_err(|error| ReapError::Failed(error.into()))?
            .map_err(|error| ReapError::Failed(error.into()))?;
        self.connection = Some(connection);
        Ok(())
    }
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn reaped(outcome: &Outcome) -> Reaped {
    match outcome {
        Outcome::Skipped => Reaped::Locked,
        Outcome::Decided(Ok(Answer::Expiry(Expiry::Expired { due_at }))) => {
            Reaped::Expired { due_at: *due_at }
        }
        Outcome::Decided(Ok(Answer::Expiry(Expiry::NotDue))) => Reaped::NotDue,
        // Gone: ended, or ended and pruned.
        Outcome::Decided(_) => Reaped::AlreadyEnded,
    }
}

async fn scan(
    mut connection: &AsyncPgConnection,
    reap_grace: Duration,
) -> Result<Scan, TransactionError> {
    let c = &mut connection;
    // The one statement that is meant to read a table whole. The plans of the others may be of a
    // time when the tables were empty.
    let begin = format!(
        "DISCARD PLANS; BEGIN READ ONLY; SET LOCAL statement_timeout = {}; \
         SET LOCAL enable_seqscan = on",
        SCAN_TIMEOUT.as_millis()
    );
    c.batch_execute(&begin).await?;
    let statement = ScanLeases { reap_grace_ms: millis(reap_grace), ..Default::default() };
    let (live, now, tenants, consumers, epochs, expiries, heard): ScanRow =
        statement.get_result(c).await?;
    let (_, signed, resumed, grace): ClockRow = ReadClock::default().get_result(c).await?;
    c.batch_execute("COMMIT").await?;

    let (now, liveness) = (now.0, liveness(signed, resumed, grace));
    let mut candidates = Vec::with_capacity(epochs.len());
    let mut unreadable = 0;
    let keys = tenants.iter().zip(&consumers).zip(&epochs);
    for (((tenant, consumer), epoch), (expires, heard)) in keys.zip(expiries.iter().zip(&heard)) {
        match claim_id(tenant, consumer, *epoch) {
            Ok(id) => {
                let takeable_at = takeable_at(expires.0, heard.0, &liveness, now);
                candidates.push(Candidate { id, due_at: takeable_at + reap_grace });
            }
            Err(error) => {
                // One bad row never stops the sweep (R4).
                unreadable += 1;
                let key = format!("{tenant:?}/{consumer:?}/{epoch}");
                tracing::error!(error = %chain(&error), "lease {key} cannot be read; skipped");
            }
        }
    }
    candidates
        .sort_by(|one, other| one.due_at.cmp(&other.due_at).then_with(|| one.id.cmp(&other.id)));
    let live = u64::try_from(live).map_err(|_| Damaged::new("a count"))?;
    Ok(Scan { live, now, candidates, unreadable })
}
