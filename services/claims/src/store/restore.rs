//! What makes a database safe that was restored to an earlier point.
//!
//! Such a database does not know what happened between that point and the restore, while others do:
//! stores have seen fences, holders have tokens, authorities have epochs, watchers have positions.
//! Left alone it would hand out the same numbers again, to others, and take a claim for current that
//! was ended or superseded in the time that was lost. So:
//!
//! 1. Every number that this service hands out is raised beyond all that any history of the database
//!    can have handed out: fences, epochs, the sequence of events; for what the database knows in its
//!    rows, for what it does not know in the number floor. One transaction.
//! 2. Every live claim is revoked, by the same code as an operator's `RevokeClaim`. Which of them
//!    were still held at the end of the lost time, nobody can tell, and a holder who lost his claim in
//!    it must not be authorized again (I5). Batches; one that fails is tried claim by claim.
//!
//! Nobody may serve meanwhile: a claim counts as current until it is revoked. Servers at work are
//! looked for, and writers that come all the same are kept out by the lock of the writers of events.
//! If this ends half-way nothing is lost by doing it again, nor by doing it twice.

pub(crate) mod statements;

use super::batch::write::EVENT_WRITERS_LOCK;
use super::batch::{self, Decided, Held, Hooks, Outcome, decide_batch};
use super::connect::{ConnectError, Database};
use super::error::TransactionError;
use super::rows::claim_id;
use crate::chain;
use crate::domain::{ClaimId, Command, Revoke, Text};
use diesel::result::Error as DieselError;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use statements::{
    RestoreEpochs, RestoreEvents, RestoreFences, RestoreFloor, RestoreLiveClaims, RestoreLock,
    RestoreLook,
};
use std::error::Error;

/// By how much each number is raised at least. The clock does the work; this is for a clock that was
/// set back, and more than a million mints of one entity is more than a day's at ten a second.
pub const BUMP_DEFAULT: i64 = 1_000_000;
/// Most of it: a thousand such steps are far from the top of the range.
pub const BUMP_MAX: i64 = 1_000_000_000_000;
/// Claims of one revoking transaction.
const BATCH: i64 = 500;
/// What the claims' last events say.
const REASON: &str = "the database was restored to an earlier point";
/// Who, in these events.
const ACTOR: &str = "fence-bump";
/// What takes as long as the tables are large may take that long. A lock may not: nobody else should
/// be here.
const SESSION_SETTINGS: &str = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0; \
     SET lock_timeout = '5s'; SET enable_seqscan = on";

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct FenceBump {
    /// By how much each number is raised at least; 1 to [`BUMP_MAX`].
    pub by: i64,
    /// Raise the marks of callers' authorities too.
    pub given_epochs: bool,
}

/// What a database holds that is to be made safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Entities, each with a fence.
    pub entities: i64,
    /// High-water marks of epochs that are raised.
    pub marks: i64,
    /// Live claims.
    pub live_claims: i64,
    /// Servers at work: their sessions, and one for a signature.
    pub servers: i64,
    /// The clock is behind what is recorded.
    pub clock_is_behind: bool,
}

/// What was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bumped {
    /// Everything that is handed out from now on lies above this number.
    pub raised_to: i64,
    /// Entities whose fence was raised.
    pub entities: i64,
    /// Marks that were raised.
    pub marks: i64,
    /// Watchers may resume from here on.
    pub event_sequence: i64,
    /// Claims that were revoked.
    pub revoked: usize,
    /// Claims that could not be.
    pub failed: Vec<ClaimId>,
}

/// Why it was not done, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum FenceBumpError {
    /// No connection could be had.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// Somebody serves it.
    #[error("claim-server is at work on this database; stop every server first")]
    Served,
    /// Its clock cannot be relied upon.
    #[error("the database's clock is behind what the database has recorded; set it right first")]
    ClockIsBehind,
    /// It did not do what was asked. Begin again.
    #[error("the database failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

impl From<DieselError> for FenceBumpError {
    fn from(error: DieselError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<TransactionError> for FenceBumpError {
    fn from(error: TransactionError) -> Self {
        Self::Failed(error.into())
    }
}

impl FenceBump {
    /// Looks at what there is; changes nothing.
    pub async fn look(self, database: &Database) -> Result<Look, FenceBumpError> {
        self.look_with(&connect(database).await?).await
    }

    /// Does it. Claims that could not be revoked are told, each of them in the log.
    pub async fn run(self, database: &Database) -> Result<Bumped, FenceBumpError> {
        let connection = connect(database).await?;
        let look = self.look_with(&connection).await?;
        if look.servers > 0 {
            return Err(FenceBumpError::Served);
        }
        if look.clock_is_behind {
            return Err(FenceBumpError::ClockIsBehind);
        }
        let lock = RestoreLock { advisory_key: EVENT_WRITERS_LOCK, ..Default::default() };
        lock.execute(&mut &connection).await?;
        let bumped = self.raise(&connection).await?;
        revoke_all(&connection, bumped).await
    }

    async fn look_with(self, mut connection: &AsyncPgConnection) -> Result<Look, FenceBumpError> {
        let statement = RestoreLook { given_epochs: self.given_epochs, ..Default::default() };
        let (entities, marks, live_claims, servers, clock_is_behind) =
            statement.get_result(&mut connection).await?;
        Ok(Look { entities, marks, live_claims, servers, clock_is_behind })
    }

    /// The numbers, in one transaction. An error ends the connection, and so the transaction.
    async fn raise(self, mut connection: &AsyncPgConnection) -> Result<Bumped, FenceBumpError> {
        let Self { by, given_epochs } = self;
        let c = &mut connection;
        c.batch_execute("BEGIN").await?;
        let to: i64 = RestoreFloor { by, ..Default::default() }.get_result(c).await?;
        let entities = RestoreFences { by, to, ..Default::default() }.get_result(c).await?;
        let marks = RestoreEpochs { room: by, by, to, given_epochs, ..Default::default() };
        let marks = marks.get_result(c).await?;
        let event_sequence = RestoreEvents { by, to, ..Default::default() }.get_result(c).await?;
        c.batch_execute("COMMIT").await?;
        tracing::info!(raised_to = to, "fences, epochs and event sequences are raised to {to}");
        let (revoked, failed) = (0, vec![]);
        Ok(Bumped { raised_to: to, entities, marks, event_sequence, revoked, failed })
    }
}

async fn connect(database: &Database) -> Result<AsyncPgConnection, FenceBumpError> {
    let unreachable = |error: ConnectError| FenceBumpError::Unreachable(error.into());
    let mut connection = database.connect("claim-fence-bump").await.map_err(unreachable)?;
    connection.batch_execute(SESSION_SETTINGS).await?;
    batch::warm(&connection).await.map_err(unreachable)?;
    Ok(connection)
}

/// Revokes every live claim, in the order of their keys.
async fn revoke_all(
    connection: &AsyncPgConnection,
    mut bumped: Bumped,
) -> Result<Bumped, FenceBumpError> {
    let mut after = (String::new(), String::new(), 0);
    loop {
        let page = RestoreLiveClaims {
            after_tenant: &after.0,
            after_consumer: &after.1,
            after_epoch: after.2,
            limit: BATCH,
            ..Default::default()
        };
        let page: Vec<(String, String, i64)> = page.load(&mut &*connection).await?;
        let Some(last) = page.last() else {
            return Ok(bumped);
        };
        let mut ids = Vec::with_capacity(page.len());
        for (tenant, consumer, epoch) in &page {
            ids.push(claim_id(tenant, consumer, *epoch).map_err(TransactionError::from)?);
        }
        after = last.clone();
        let failed = revoke(connection, &ids).await?;
        bumped.revoked += ids.len() - failed.len();
        bumped.failed.extend(failed);
    }
}

/// Revokes claims together, or, if that fails, one by one; gives those that could not be.
async fn revoke(
    connection: &AsyncPgConnection,
    ids: &[ClaimId],
) -> Result<Vec<ClaimId>, FenceBumpError> {
    let reason = Text::parse("reason", REASON).unwrap_or_default();
    let command = |id: &ClaimId| {
        Command::Revoke(Revoke { id: id.clone(), reason: reason.clone(), actor: ACTOR.into() })
    };
    let commands: Vec<Command> = ids.iter().map(command).collect();
    let all: Vec<&Command> = commands.iter().collect();
    if try_revoke(connection, &all).await?.is_ok() {
        return Ok(vec![]);
    }
    let mut failed = Vec::new();
    for (id, command) in ids.iter().zip(&commands) {
        if let Err(error) = try_revoke(connection, &[command]).await? {
            tracing::error!(
                tenant = %id.tenant, consumer = %id.consumer, epoch = id.epoch.get(),
                error = %chain(error.as_ref()), "claim {id} could not be revoked"
            );
            failed.push(id.clone());
        }
    }
    Ok(failed)
}

type Refused = Box<dyn Error + Send + Sync>;

/// One transaction; an inner error if it was rolled back, or if a claim was not there to be revoked.
async fn try_revoke(
    connection: &AsyncPgConnection,
    commands: &[&Command],
) -> Result<Result<(), Refused>, FenceBumpError> {
    match decide_batch(connection, commands, Held::Wait, &Hooks::default()).await {
        Ok(Decided { outcomes, .. }) => {
            Ok(outcomes.into_iter().try_for_each(|outcome| match outcome {
                Outcome::Decided(Ok(_)) => Ok(()),
                Outcome::Decided(Err(refusal)) => Err(refusal.into()),
                Outcome::Skipped => Err("its entity is not there".into()),
            }))
        }
        Err(error @ TransactionError::RolledBack(_)) => Ok(Err(error.into())),
        Err(error @ TransactionError::Damaged(_)) => {
            // The transaction is still open.
            (&mut &*connection).batch_execute("ROLLBACK").await?;
            Ok(Err(error.into()))
        }
        Err(error) => Err(error.into()),
    }
}
