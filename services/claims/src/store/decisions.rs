//! The lanes that decide: mint, done, revoke, signal, expire.
//!
//! A batch is one transaction. What it must leave alone, because a stranger holds the entity, goes
//! to the solo lanes, which wait for the lock one command at a time. If a batch fails on some
//! command's account, each of its commands is decided in a transaction of its own.

use super::batch::{self, Decided, Held, Hooks, Outcome, decide_batch};
use super::connect::ConnectError;
use super::error::{StoreError, TransactionError, is_lost_race, is_transient};
use super::lane::{Call, OfTenant, Queue, Service, Session, WayBack};
use crate::chain;
use crate::domain::{Answer, Command, TenantId};
use diesel_async::AsyncPgConnection;
use std::slice;

/// How often a batch begins again because a stranger has made an entity that it was to make. The
/// next attempt finds that one there, so only as many strangers as there are lanes can get in its way.
const RACES_MAX: u32 = 3;

/// Decides whole batches.
#[derive(Clone)]
pub(super) struct Decide {
    /// Most commands of one transaction.
    pub(super) batch: usize,
    pub(super) hooks: Hooks,
    pub(super) solo: Queue<Command, Answer>,
}

/// Decides one command at a time, waiting for locks.
#[derive(Clone)]
pub(super) struct DecideSolo {
    pub(super) hooks: Hooks,
    pub(super) back: WayBack<Command, Answer>,
}

impl OfTenant for Command {
    fn tenant(&self) -> Option<&TenantId> {
        Some(match self {
            Self::Mint(mint) => &mint.tenant,
            Self::Done(done) => &done.id.tenant,
            Self::Revoke(revoke) => &revoke.id.tenant,
            Self::Signal(signal) => &signal.entity.tenant,
            Self::Expire(expire) => &expire.id.tenant,
        })
    }
}

impl Service for Decide {
    type Ask = Command;
    type Answer = Answer;
    const KIND: &'static str = "decide";

    fn batch_max(&self) -> usize {
        self.batch
    }

    async fn warm(&self, connection: &AsyncPgConnection) -> Result<(), ConnectError> {
        batch::warm(connection).await
    }

    async fn serve(&self, session: &mut Session, calls: Vec<Call<Command, Answer>>) {
        match try_batch(self, session, &calls, Held::Skip, &self.hooks).await {
            Ok(outcomes) => {
                for (call, outcome) in calls.into_iter().zip(outcomes) {
                    match outcome {
                        Outcome::Decided(answer) => call.answer(answer.map_err(Into::into)),
                        Outcome::Skipped => self.solo.pass_on(call),
                    }
                }
            }
            Err(Failed::NothingHappened) => {
                for call in calls {
                    if let Some(call) = call.wanted() {
                        self.serve_alone(session, call).await;
                    }
                }
            }
            Err(Failed::For(error)) => {
                for call in calls {
                    call.answer(Err(error.clone()));
                }
            }
        }
    }
}

impl Decide {
    /// Decides a command of a batch that failed in a transaction of its own, once. If it fails
    /// again it is the one to blame, and this lane has others to serve.
    async fn serve_alone(&self, session: &mut Session, call: Call<Command, Answer>) {
        let alone = slice::from_ref(&call);
        match try_batch(self, session, alone, Held::Skip, &self.hooks).await {
            Ok(mut outcomes) => match outcomes.pop() {
                Some(Outcome::Decided(answer)) => call.answer(answer.map_err(Into::into)),
                Some(Outcome::Skipped) | None => self.solo.pass_on(call),
            },
            Err(Failed::NothingHappened) => self.solo.pass_on(call),
            Err(Failed::For(error)) => call.answer(Err(error)),
        }
    }
}

impl Service for DecideSolo {
    type Ask = Command;
    type Answer = Answer;
    const KIND: &'static str = "decide-solo";

    fn batch_max(&self) -> usize {
        1
    }

    async fn warm(&self, connection: &AsyncPgConnection) -> Result<(), ConnectError> {
        batch::warm(connection).await
    }

    async fn serve(&self, session: &mut Session, calls: Vec<Call<Command, Answer>>) {
        for call in calls {
            self.serve_one(session, call).await;
        }
    }
}

impl DecideSolo {
    /// Decides one command in a transaction of its own, once; if that fails it waits its turn
    /// again.
    async fn serve_one(&self, session: &mut Session, call: Call<Command, Answer>) {
        let alone = slice::from_ref(&call);
        match try_batch(self, session, alone, Held::Wait, &self.hooks).await {
            Ok(mut outcomes) => match outcomes.pop() {
                Some(Outcome::Decided(answer)) => call.answer(answer.map_err(Into::into)),
                // Its claim came into being between two statements; look again. If that goes on,
                // its entity's row is missing: damage.
                Some(Outcome::Skipped) | None => self.back.try_again(call, StoreError::Internal),
            },
            Err(Failed::NothingHappened) => self.back.try_again(call, StoreError::Unavailable),
            Err(Failed::For(error)) => call.answer(Err(error)),
        }
    }
}

/// A transaction that did not come to its end.
enum Failed {
    /// It was rolled back; its commands may be tried again.
    NothingHappened,
    /// Its callers must be told so.
    For(StoreError),
}

/// One transaction, tried once; on a connection that proves stale, once more on a new one; and anew
/// if a stranger was faster to make an entity.
async fn try_batch<S: Service>(
    service: &S,
    session: &mut Session,
    calls: &[Call<Command, Answer>],
    held: Held,
    hooks: &Hooks,
) -> Result<Vec<Outcome>, Failed> {
    let commands: Vec<&Command> = calls.iter().map(|call| &call.ask).collect();
    let mut races = 0;
    loop {
        let connection = session.get(service).await.map_err(Failed::For)?;
        // While it was connected, or this process stopped, time went by: each of them is looked at again.
        if calls.iter().any(Call::is_late) {
            return Err(Failed::NothingHappened);
        }
        let error = match decide_batch(connection, &commands, held, hooks).await {
            Ok(Decided { outcomes, events }) => {
                session.take_fresh();
                session.metrics().committed(&events);
                return Ok(outcomes);
            }
            Err(error) => error,
        };
        let was_fresh = session.take_fresh();
        match &error {
            // Another was faster, and nothing is wrong with the database.
            TransactionError::RolledBack(cause) if is_lost_race(cause) && races < RACES_MAX => {
                races += 1;
                continue;
            }
            error => session.metrics().failed(error),
        }
        match error {
            TransactionError::Disconnected(_) if !was_fresh => session.discard(),
            TransactionError::RolledBack(error) => {
                // Others of the batch may be innocent, and trying again may help against
                // deadlocks, lock timeouts and lost races.
                let commands = commands.len();
                tracing::warn!(error = %chain(&error), commands, "decisions were rolled back");
                return Err(if commands == 1 && !is_transient(&error) {
                    tracing::error!(error = %chain(&error), "a decision could not be written");
                    Failed::For(StoreError::Internal)
                } else {
                    Failed::NothingHappened
                });
            }
            TransactionError::Damaged(error) => {
                session.discard();
                tracing::error!(error = %chain(&error), "decisions met a damaged row");
                return Err(match commands.len() {
                    1 => Failed::For(StoreError::Internal),
                    _ => Failed::NothingHappened,
                });
            }
            error @ (TransactionError::Disconnected(_)
            | TransactionError::OutcomeUnknown(_)
            | TransactionError::TimedOut { .. }) => {
                session.discard();
                tracing::error!(error = %chain(&error), "a transaction of decisions failed");
                return Err(Failed::For(StoreError::Unavailable));
            }
        }
    }
}
