//! What can go wrong with a call, apart from a refusal.

use crate::domain::{InvalidField, Refusal};
use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why a call has no good answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// An expected no; nothing changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The queue for this kind of call is full; nothing was tried.
    #[error("too many calls are waiting")]
    Overloaded,
    /// The database did not answer, or its answer is unknown. Safe to repeat.
    #[error("the database is unavailable")]
    Unavailable,
    /// The caller's time was up before this was begun, or begun again ([`until`](super::until)). A
    /// decision has not happened; a heartbeat that lost its connection may have (H6).
    #[error("the call's deadline passed")]
    TimedOut,
    /// A bug or damaged rows. The cause has been logged.
    #[error("internal error")]
    Internal,
}

/// A stored value that no code of ours can have written.
#[derive(Clone, Debug, thiserror::Error)]
#[error("damaged row: {what}")]
pub(crate) struct Damaged {
    what: String,
}

impl Damaged {
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

impl Damaged {
    /// Names the row.
    pub(crate) fn of(self, key: &str) -> Self {
        Self { what: format!("{key}: {}", self.what) }
    }
}

impl From<InvalidField> for Damaged {
    fn from(error: InvalidField) -> Self {
        Self::new(error.to_string())
    }
}

/// Why a transaction did not come to its end, by what that means for its caller.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransactionError {
    /// The connection failed before COMMIT was sent: nothing happened.
    #[error("the connection failed")]
    Disconnected(#[source] DieselError),
    /// The database refused a statement and rolled back: nothing happened.
    #[error("a statement failed")]
    RolledBack(#[source] DieselError),
    /// COMMIT was sent and its answer never came. It is never repeated here.
    #[error("the outcome of a commit is unknown")]
    OutcomeUnknown(#[source] DieselError),
    /// The round trip took longer than it may; nothing happened, or COMMIT was never seen.
    #[error("the database did not answer in time")]
    TimedOut {
        /// COMMIT had been sent.
        in_commit: bool,
    },
    /// A row that no code of ours can have written.
    #[error(transparent)]
    Damaged(#[from] Damaged),
}

/// What diesel's own transactions need.
impl From<DieselError> for TransactionError {
    fn from(error: DieselError) -> Self {
        Self::RolledBack(error)
    }
}

/// What a read of events is answered by a server in recovery, as if it had refused: behind a pooler
/// the server of a connection may change.
pub(crate) fn read_on_standby() -> TransactionError {
    let problem = "the server is in recovery, so nothing that it shows is settled";
    TransactionError::RolledBack(DieselError::DatabaseError(
        DatabaseErrorKind::ReadOnlyTransaction,
        Box::new(problem.to_owned()),
    ))
}

/// The connection is of no more use, as far as the error tells. diesel-async keeps no SQLSTATE, so
/// a server that ends a connection in the middle of a statement shows as `Unknown`; the next use
/// of that connection then fails at once.
pub(crate) fn is_disconnect(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(
            DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::ReadOnlyTransaction,
            _
        )
    )
}

/// A stranger held a row for longer than the lock timeout. diesel-async keeps no SQLSTATE, so this
/// goes by the message, and a database that speaks another language than English hides it.
pub(crate) fn is_lock_timeout(error: &DieselError) -> bool {
    matches!(error, DieselError::DatabaseError(_, info) if info.message().contains("lock timeout"))
}

/// The function by which a statement aborts if it met other rows than it should.
const EXPECT_ROWS: &str = "claims_expect_rows";

/// The key of entities.
const ENTITY_KEY: &str = "entity_dispatch_state_pkey";

/// Somebody else made an entity that this transaction found missing and meant to make. The next one
/// finds it.
pub(crate) fn is_lost_race(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, info)
            if info.constraint_name() == Some(ENTITY_KEY)
    )
}

/// Trying again may help: everything but what the same statement would meet again. Lock timeouts,
/// deadlocks and shutdowns all arrive as `Unknown`.
pub(crate) fn is_transient(error: &DieselError) -> bool {
    use DatabaseErrorKind::{SerializationFailure, UniqueViolation, Unknown};
    match error {
        // A guarded write met other rows than were locked: a bug, and no less one the next time.
        DieselError::DatabaseError(_, info) if info.constraint_name() == Some(EXPECT_ROWS) => false,
        DieselError::DatabaseError(kind, _) => {
            matches!(kind, SerializationFailure | UniqueViolation | Unknown) || is_disconnect(error)
        }
        _ => false,
    }
}
