//! `claim-server migrate`: brings the database to this program's schema, or tells how far it is
//! behind.

use claim_server::config::LogSettings;
use claims::program::ExitCode;
use claims::store::Database;
use claims::store::migrations::{MigrationError, migrate, pending};
use std::io::{self, Write};
use std::process;

/// With `--check`: it could not be found out whether the database is behind.
const EXIT_UNKNOWN: u8 = 2;

/// Settings of `migrate`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct MigrateSettings {
    /// Change nothing and tell which migrations are missing; exit code 1 if any is, 2 if that is unknown
    #[arg(long)]
    check: bool,

    #[command(flatten)]
    pub(crate) log: LogSettings,
}

/// Migrates or checks. Safe to run twice, and by two programs at once.
pub(crate) async fn run(settings: MigrateSettings, database: &Database) -> process::ExitCode {
    if settings.check { check(database).await } else { apply(database).await }
}

async fn apply(database: &Database) -> process::ExitCode {
    match migrate(database).await {
        Ok(applied) if applied.is_empty() => say("the database is up to date"),
        Ok(applied) => say(&format!("applied: {}", applied.join(", "))),
        Err(error) => {
            complain(&error);
            return ExitCode::Failed.into();
        }
    }
    ExitCode::Done.into()
}

async fn check(database: &Database) -> process::ExitCode {
    match pending(database).await {
        Ok(missing) if missing.is_empty() => {
            say("the database is up to date");
            ExitCode::Done.into()
        }
        Ok(missing) => {
            say(&format!("missing: {}", missing.join(", ")));
            ExitCode::Failed.into()
        }
        Err(error) => {
            complain(&error);
            EXIT_UNKNOWN.into()
        }
    }
}

fn say(line: &str) {
    // A closed standard output is the reader's choice; the exit code says the same.
    let _ = writeln!(io::stdout(), "{line}");
}

fn complain(error: &MigrationError) {
    tracing::error!(error = error as &dyn std::error::Error, "{error}");
}
