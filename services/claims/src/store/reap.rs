//! What a reaper needs of the store: one scan of the leases, and the expiry of what it found, batch
//! by batch, through the same decisions and the same release code as everything else (R3).
//!
//! A claim is *due* if it is live and has been takeable for at least the reap grace (R1). The scan
//! only finds candidates, by what a lease tells without its claim. Each is judged again on the
//! locked row, at the database time and with the liveness record of the transaction that ends it;
//! so a reaper that slept between its scan and its batch expires nobody who was heard of since.

mod check;
mod passes;
mod prune;
mod scan;
pub(crate) mod statements;

use super::batch::{self, Decided, Held, Hooks, Outcome, decide_batch};
use super::connect::{ConnectError, Database, STATEMENT_TIMEOUT};
use super::error::{TransactionError, is_lock_timeout};
use crate::chain;
use crate::domain::{Answer, Brake, ClaimId, Command, Expire, Expiry, Timestamp};
use diesel_async::AsyncPgConnection;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

pub use check::{Finding, Walk};
pub(super) use passes::read_status;
pub use passes::{LastPassView, PassRecord, ReaperStatus};
pub use prune::Pruned;
pub use scan::{Candidate, Scan};

/// Most claims of one expiring transaction: beyond that its locks would last too long for others.
pub const REAP_BATCH_MAX: usize = 5_000;
/// How long the scan may take; it reads one narrow row for each live claim.
const SCAN_TIMEOUT: Duration = Duration::from_secs(30);

/// A reaper's one connection: opened when needed, dropped when it failed.
pub struct Reaper {
    database: Database,
    program: String,
    connection: Option<AsyncPgConnection>,
    counted: Option<scan::Counted>,
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

/// What became of one candidate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reaped {
    /// It is expired now; it had been due since then.
    Expired {
        /// Takeable plus the reap grace.
        due_at: Timestamp,
        /// When it was expired.
        expired_at: Timestamp,
    },
    /// Its holder was heard of in time, or an outage protects it.
    NotDue,
    /// Somebody else ended it.
    AlreadyEnded,
    /// Somebody holds its entity; it comes back in the next pass (R2).
    Locked,
    /// The database refused this one alone; it comes back in the next pass (R4).
    Failed,
    /// Its turn did not come before the caller wanted to stop.
    NotTried,
}

impl Reaper {
    /// A reaper of that database. Connects when it is first needed.
    #[must_use]
    pub fn new(database: Database, program: impl Into<String>) -> Self {
        let hooks = Hooks::default();
        Self { database, program: program.into(), connection: None, counted: None, hooks }
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
        let unreachable = |error: ConnectError| ReapError::Unreachable(error.into());
        let connection = self.database.connect(&self.program).await.map_err(unreachable)?;
        batch::warm(&connection).await.map_err(unreachable)?;
        Ok(connection)
    }

    /// Keeps the connection for the next statement, unless this one failed.
    fn keep<T>(
        &mut self,
        connection: AsyncPgConnection,
        result: Result<diesel::QueryResult<T>, TransactionError>,
    ) -> Result<T, ReapError> {
        let value = result
            .map_err(|error| ReapError::Failed(error.into()))?
            .map_err(|error| ReapError::Failed(error.into()))?;
        self.connection = Some(connection);
        Ok(value)
    }

    /// Scans the live leases once.
    pub async fn scan(&mut self, reap_grace: Duration) -> Result<Scan, ReapError> {
        self.scan_within(reap_grace, Brake::default().span, SCAN_TIMEOUT).await
    }

    /// As [`Reaper::scan`], counting also what was expired within the brake's `span`; within
    /// `limit`, and never longer than 30 s, and 2 s for a database that does not answer. A
    /// connection that has to be made first takes its time from that.
    pub async fn scan_within(
        &mut self,
        reap_grace: Duration,
        span: Duration,
        limit: Duration,
    ) -> Result<Scan, ReapError> {
        let until = Instant::now() + limit.min(SCAN_TIMEOUT);
        let given_up = until + STATEMENT_TIMEOUT;
        let connection = timeout_at(given_up, self.connect())
            .await
            .map_err(|error| ReapError::Unreachable(error.into()))??;
        let left = until.saturating_duration_since(Instant::now());
        let scanned = scan::scan(&connection, &mut self.counted, reap_grace, span, left);
        let scan = timeout_at(given_up, scanned)
            .await
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
        self.expire_until(ids, reap_grace, || false).await
    }

    /// As [`Reaper::expire`]; one by one, it ends when `stop` says so.
    pub async fn expire_until(
        &mut self,
        ids: &[ClaimId],
        reap_grace: Duration,
        stop: impl Fn() -> bool,
    ) -> Result<Vec<Reaped>, ReapError> {
        let commands: Vec<Command> =
            ids.iter().map(|id| Command::Expire(Expire { id: id.clone(), reap_grace })).collect();
        let commands: Vec<&Command> = commands.iter().collect();
        if let Ok(reaped) = self.try_expire(&commands).await? {
            return Ok(reaped);
        }
        let mut all = Vec::with_capacity(commands.len());
        for (command, id) in commands.iter().zip(ids) {
            if stop() {
                all.push(Reaped::NotTried);
                continue;
            }
            all.push(match self.try_expire(&[*command]).await? {
                Ok(mut one) => one.pop().unwrap_or(Reaped::Failed),
                Err(error) => skipped(id, &error),
            });
        }
        Ok(all)
    }

    /// One transaction; an inner error if the database refused it and nothing happened.
    async fn try_expire(
        &mut self,
        commands: &[&Command],
    ) -> Result<Result<Vec<Reaped>, TransactionError>, ReapError> {
        let connection = self.connect().await?;
        match decide_batch(&connection, commands, Held::Skip, &self.hooks).await {
            Ok(Decided { outcomes, .. }) => {
                self.connection = Some(connection);
                Ok(Ok(outcomes.iter().map(reaped).collect()))
            }
            Err(error @ (TransactionError::RolledBack(_) | TransactionError::Damaged(_))) => {
                if commands.len() > 1 {
                    let claims = commands.len();
                    tracing::warn!(
                        error = %chain(&error), claims,
                        "an expiry of {claims} claims was rolled back; they are tried one by one"
                    );
                }
                if matches!(error, TransactionError::RolledBack(_)) {
                    self.connection = Some(connection);
                }
                Ok(Err(error))
            }
            Err(error) => Err(ReapError::Failed(error.into())),
        }
    }
}

/// What is said of a claim that could not be expired alone.
fn skipped(id: &ClaimId, error: &TransactionError) -> Reaped {
    let (tenant, consumer, epoch) = (&id.tenant, &id.consumer, id.epoch.get());
    if matches!(error, TransactionError::RolledBack(cause) if is_lock_timeout(cause)) {
        tracing::warn!(
            %tenant, %consumer, epoch,
            "claim {id} is locked by somebody; it is skipped until the next pass"
        );
        return Reaped::Locked;
    }
    tracing::error!(
        %tenant, %consumer, epoch, error = %chain(error),
        "claim {id} could not be expired; it is skipped until the next pass"
    );
    Reaped::Failed
}

fn reaped(outcome: &Outcome) -> Reaped {
    match outcome {
        Outcome::Skipped => Reaped::Locked,
        Outcome::Decided(Ok(Answer::Expiry(Expiry::Expired { due_at, expired_at }))) => {
            Reaped::Expired { due_at: *due_at, expired_at: *expired_at }
        }
        Outcome::Decided(Ok(Answer::Expiry(Expiry::NotDue))) => Reaped::NotDue,
        // Gone: ended, or ended and pruned.
        Outcome::Decided(_) => Reaped::AlreadyEnded,
    }
}
