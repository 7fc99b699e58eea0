//! One transaction, many decisions.
//!
//! Three round trips, each a pipeline of statements:
//!
//! 1. Find which entities the commands concern and lock them, in key order. A statement that waits
//!    for a lock sees the rest of the database as it was before the wait, so nothing else is read
//!    here. An entity that is not there is made in the end; if somebody else was faster, the
//!    transaction fails on its key, and the next attempt finds and locks it.
//! 2. With the entities locked: lock their claims and leases, read the other claims that commands
//!    name, the high-water marks and the liveness record, and, last, the time ([`load`]).
//! 3. [`decide`] each command in order of arrival, each seeing the one before; write the net
//!    changes and the events, and commit ([`write`]).
//!
//! READ COMMITTED is enough: every row that a decision depends on is locked before it is read, or
//! can only change while its entity is locked.
//!
//! A pipeline is a set of futures that are polled in order. Each sends its statement at its first
//! poll, provided that the statement is prepared already ([`warm`]) and that the task is not made
//! to yield in between ([`pipelined`]).

pub(crate) mod load;
pub(crate) mod write;

use super::connect::{ConnectError, round_trip, warmed};
use super::error::{TransactionError, is_disconnect};
use super::statement::Patient;
use super::statements::{
    DeleteLeases, InsertClaims, InsertEntities, LockClaims, LockEntities, LockEntitiesOfClaims,
    LockLeases, RaiseEpochs, ReadClaims, ReadClock, ReadConsumerEpochs, ReadMarks,
    ReadRequestedClaims, SupersededClaims, UpdateClaims, UpdateEntities, WriteEvents, WriteLeases,
};
use crate::domain::{
    Answer, ClaimId, Command, EntityKey, Event, Refusal, Timestamp, World, decide,
};
use diesel::result::Error as DieselError;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use std::collections::BTreeSet;

/// What to do about an entity that a stranger holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Leave its commands for later.
    Skip,
    /// Wait, as long as the lock timeout allows.
    Wait,
}

/// What became of one command of a batch.
#[expect(clippy::large_enum_variant, reason = "almost all are of the large kind")]
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It was decided, and the decision is committed.
    Decided(Result<Answer, Refusal>),
    /// Its entity is held by a stranger; nothing was done about it.
    Skipped,
}

/// A pause for tests, between the load and the write of a batch, while the locks are held.
#[cfg(any(test, feature = "testing"))]
pub type PauseHook =
    std::sync::Arc<dyn Fn() -> futures_util::future::BoxFuture<'static, ()> + Send + Sync>;

/// A batch that was committed.
pub(crate) struct Decided {
    /// What became of each command, in their order.
    pub(crate) outcomes: Vec<Outcome>,
    /// The record of all accepted changes.
    pub(crate) events: Vec<Event>,
}

/// Decides a batch in one transaction. On an error nothing has happened, unless the error says
/// that the outcome of the commit is unknown; after `RolledBack` the connection may be used again.
pub(crate) async fn decide_batch(
    connection: &AsyncPgConnection,
    commands: &[&Command],
    held: Held,
    hooks: &Hooks,
) -> Result<Decided, TransactionError> {
    let mut loaded = match load::load(connection, commands, held).await {
        Ok(loaded) => loaded,
        Err(error) => return Err(leave(connection, error).await),
    };
    hooks.between_load_and_write().await;

    let before = loaded.world.clone();
    let mut events = Vec::new();
    let mut outcomes = Vec::with_capacity(commands.len());
    for command in commands {
        if !loaded.may_decide(command) {
            outcomes.push(Outcome::Skipped);
            continue;
        }
        let decided = decide(&loaded.world, command, loaded.now).map(|decision| {
            loaded.world.apply(&decision.changes);
            loaded.own(&decision.changes);
            events.extend(decision.events);
            decision.answer
        });
        outcomes.push(Outcome::Decided(decided));
    }
    let net = write::NetChanges::between(&before, &loaded.world, &loaded.unmade);
    write::write_and_commit(connection, &net, &events, loaded.now).await?;
    Ok(Decided { outcomes, events })
}

/// What tests may stage inside a batch; nothing in production.
#[derive(Clone, Default)]
pub(crate) struct Hooks {
    #[cfg(any(test, feature = "testing"))]
    pub(crate) pause: Option<PauseHook>,
}

impl Hooks {
    #[cfg(any(test, feature = "testing"))]
    async fn between_load_and_write(&self) {
        if let Some(pause) = &self.pause {
            pause().await;
        }
    }

    #[cfg(not(any(test, feature = "testing")))]
    #[expect(clippy::unused_async, reason = "awaits in builds with tests")]
    async fn between_load_and_write(&self) {}
}

/// Ends a transaction that failed before its COMMIT was sent.
async fn leave(mut connection: &AsyncPgConnection, error: TransactionError) -> TransactionError {
    let TransactionError::RolledBack(cause) = error else { return error };
    match round_trip(false, connection.batch_execute("ROLLBACK")).await {
        Ok(Ok(())) => TransactionError::RolledBack(cause),
        Ok(Err(_)) | Err(_) => TransactionError::Disconnected(cause),
    }
}

/// Runs a pipeline without yielding before every statement of it has been sent.
async fn pipelined<T>(pipeline: impl Future<Output = T>) -> Result<T, TransactionError> {
    round_trip(false, tokio::task::unconstrained(pipeline)).await
}

/// A failed statement before COMMIT was sent: either way nothing has happened.
fn before_commit(error: DieselError) -> TransactionError {
    if is_disconnect(&error) {
        TransactionError::Disconnected(error)
    } else {
        TransactionError::RolledBack(error)
    }
}

/// Prepares every statement of a batch, so that pipelines keep their order. With no rows to work
/// on each of them does nothing, so they need no transaction; in one, Postgres would end the session
/// of a lane that got no processor for a second between two of its many round trips.
pub(crate) async fn warm(connection: &AsyncPgConnection) -> Result<(), ConnectError> {
    let mut c = connection;
    warmed(LockEntities::default().execute(&mut c)).await?;
    warmed(Patient(LockEntities::default()).execute(&mut c)).await?;
    warmed(LockEntitiesOfClaims::default().execute(&mut c)).await?;
    warmed(Patient(LockEntitiesOfClaims::default()).execute(&mut c)).await?;
    warmed(SupersededClaims::default().execute(&mut c)).await?;
    warmed(LockClaims::default().execute(&mut c)).await?;
    warmed(LockLeases::default().execute(&mut c)).await?;
    warmed(ReadClaims::default().execute(&mut c)).await?;
    warmed(ReadRequestedClaims::default().execute(&mut c)).await?;
    warmed(ReadMarks::default().execute(&mut c)).await?;
    warmed(ReadConsumerEpochs::default().execute(&mut c)).await?;
    warmed(ReadClock::default().execute(&mut c)).await?;
    warmed(UpdateClaims::default().execute(&mut c)).await?;
    warmed(InsertClaims::default().execute(&mut c)).await?;
    warmed(DeleteLeases::default().execute(&mut c)).await?;
    warmed(WriteLeases::default().execute(&mut c)).await?;
    warmed(UpdateEntities::default().execute(&mut c)).await?;
    warmed(InsertEntities::default().execute(&mut c)).await?;
    warmed(RaiseEpochs::default().execute(&mut c)).await?;
    warmed(WriteEvents::default().execute(&mut c)).await?;
    Ok(())
}

/// The rows of a transaction, locked and read.
struct Loaded {
    world: World,
    now: Timestamp,
    /// Entities that this transaction has locked or will make, as keys of the world.
    locked: BTreeSet<EntityKey>,
    /// Those of them that it will make.
    unmade: BTreeSet<EntityKey>,
    /// Claims whose row and lease this transaction has locked or made: those it may change.
    owned: BTreeSet<ClaimId>,
    /// Claims that are there but whose entity a stranger holds; they have not been read.
    out_of_reach: BTreeSet<ClaimId>,
}

impl Loaded {
    /// Whether everything that the command may change is locked.
    fn may_decide(&self, command: &Command) -> bool {
        match command {
            Command::Mint(mint) => self.locked.contains(&mint.entity_key()),
            Command::Signal(signal) => self.locked.contains(&signal.entity),
            Command::Done(done) => self.may_change(&done.id),
            Command::Revoke(revoke) => self.may_change(&revoke.id),
            Command::Expire(expire) => self.may_change(&expire.id),
        }
    }

    /// A claim that is not there can be refused; one that is there must be ours.
    fn may_change(&self, id: &ClaimId) -> bool {
        let is_there = self.world.claims.contains_key(id) || self.out_of_reach.contains(id);
        self.owned.contains(id) || !is_there
    }

    /// Claims that this transaction made are its own.
    fn own(&mut self, changes: &[crate::domain::Change]) {
        for change in changes {
            if let crate::domain::Change::Claim(claim) = change {
                self.owned.insert(claim.id.clone());
            }
        }
    }
}
