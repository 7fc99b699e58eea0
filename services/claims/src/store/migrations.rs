//! Brings a database to this program's schema.
//!
//! The steps of `migrations/` are part of the program. One advisory lock is held while they run,
//! so that two programs that start at once do not trip over each other.

use super::connect::Database;
use diesel::migration::MigrationSource;
use diesel::pg::Pg;
use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use std::error::Error;

/// The steps, in order.
const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");
/// Key of the advisory lock that one migrating program holds.
const MIGRATE_LOCK: i64 = 0x636c_6169_6d6d_6967;

/// Why the schema could not be brought up to date, or read.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// No connection could be had.
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    /// A step failed; it was rolled back, those before it stand.
    #[error("a migration failed")]
    Failed(#[source] Box<dyn Error + Send + Sync>),
}

/// Applies every step that is missing; returns their names. Safe to run twice and by two at once.
pub async fn migrate(database: &Database) -> Result<Vec<String>, MigrationError> {
    with_lock(database, |connection| {
        let missing = names_of_missing(connection)?;
        connection.run_pending_migrations(MIGRATIONS)?;
        Ok(missing)
    })
    .await
}

/// Names of the steps that are missing.
pub async fn pending(database: &Database) -> Result<Vec<String>, MigrationError> {
    with_lock(database, names_of_missing).await
}

/// The versions of this program's steps, as the database records them.
pub(crate) fn versions() -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let steps = MigrationSource::<Pg>::migrations(&MIGRATIONS)?;
    Ok(steps.iter().map(|step| step.name().version().to_string()).collect())
}

fn names_of_missing(connection: &mut Wrapped) -> Result<Vec<String>, Failure> {
    let missing = connection.pending_migrations(MIGRATIONS)?;
    Ok(missing.iter().map(|step| step.name().to_string()).collect())
}

/// Takes every step back, newest first; returns how many there were. For tests of `down.sql`.
#[cfg(any(test, feature = "testing"))]
pub async fn revert_all(database: &Database) -> Result<usize, MigrationError> {
    with_lock(database, |connection| Ok(connection.revert_all_migrations(MIGRATIONS)?.len())).await
}

type Wrapped = AsyncConnectionWrapper<AsyncPgConnection>;
type Failure = Box<dyn Error + Send + Sync>;

async fn with_lock<T: Send + 'static>(
    database: &Database,
    work: impl FnOnce(&mut Wrapped) -> Result<T, Failure> + Send + 'static,
) -> Result<T, MigrationError> {
    let mut connection = database
        .connect("claim-migrate")
        .await
        .map_err(|error| MigrationError::Unreachable(error.into()))?;
    // A step may take long, and so may the wait for another program that migrates.
    let settings = "SET statement_timeout = 0; SET lock_timeout = 0; \
                    SET idle_in_transaction_session_timeout = 0";
    let failed = |error: diesel::result::Error| MigrationError::Failed(error.into());
    connection.batch_execute(settings).await.map_err(failed)?;
    diesel::dsl::sql_query(format!("SELECT pg_advisory_lock({MIGRATE_LOCK})"))
        .execute(&mut connection)
        .await
        .map_err(failed)?;
    // The harness blocks its thread. The lock ends with the connection.
    let done = tokio::task::spawn_blocking(move || work(&mut Wrapped::from(connection))).await;
    done.map_err(|error| MigrationError::Failed(error.into()))?.map_err(MigrationError::Failed)
}
