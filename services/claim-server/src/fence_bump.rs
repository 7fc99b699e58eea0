//! `claim-server fence-bump`: makes a database safe that was restored to an earlier point. What that
//! takes is in `claims::store`, what it means for operators in `docs/restore.md`.

use claim_server::config::LogSettings;
use claims::program::{ExitCode, WrongSetting};
use claims::store::{BUMP_DEFAULT, BUMP_MAX, Database, FenceBump, FenceBumpError};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::process;

/// Settings of `fence-bump`.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct FenceBumpSettings {
    /// Change nothing; tell what there is to be raised and revoked
    #[arg(long)]
    dry_run: bool,

    /// By how much each number is raised at least; 1 to 1000000000000
    ///
    /// Numbers are raised to the microseconds since 1970 by the database's clock, which no fence that
    /// was ever handed out has reached. This is for a clock that was set back since: more than any
    /// entity was minted in the time that was lost.
    #[arg(long, value_name = "N", default_value_t = BUMP_DEFAULT)]
    by: i64,

    /// Leave the high-water marks of epochs that callers' authorities gave
    ///
    /// Raised, every authority has to number on from above its mark, which its next mint is told as
    /// highest_epoch. Left, an authority that kept its own counter goes on at once; but one that
    /// repeats an epoch of the time that was lost is not refused. Fences are raised either way.
    #[arg(long)]
    keep_given_epochs: bool,

    #[command(flatten)]
    pub(crate) log: LogSettings,
}

impl FenceBumpSettings {
    /// Checks the bounds.
    pub(crate) fn check(self) -> Result<FenceBump, WrongSetting> {
        if !(1..=BUMP_MAX).contains(&self.by) {
            return Err(WrongSetting::new("--by", format!("must be 1 to {BUMP_MAX}")));
        }
        Ok(FenceBump { by: self.by, given_epochs: !self.keep_given_epochs })
    }

    /// Does it, or only looks, and says so in one JSON line on standard output.
    pub(crate) async fn run(self, bump: FenceBump, database: &Database) -> process::ExitCode {
        let told =
            if self.dry_run { look(bump, database).await } else { run(bump, database).await };
        match told {
            Ok((line, code)) => {
                // A closed standard output is the reader's choice; the exit code says the same.
                let _ = writeln!(io::stdout(), "{line}");
                code.into()
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "{error}");
                ExitCode::Failed.into()
            }
        }
    }
}

async fn look(bump: FenceBump, database: &Database) -> Result<(Value, ExitCode), FenceBumpError> {
    let look = bump.look(database).await?;
    let line = json!({
        "dry_run": true,
        "entities": look.entities,
        "epoch_marks": look.marks,
        "live_claims": look.live_claims,
        "servers_at_work": look.servers > 0,
        "clock_is_behind": look.clock_is_behind,
    });
    Ok((line, ExitCode::Done))
}

async fn run(bump: FenceBump, database: &Database) -> Result<(Value, ExitCode), FenceBumpError> {
    let bumped = bump.run(database).await?;
    let line = json!({
        "dry_run": false,
        "raised_to": bumped.raised_to,
        "entities": bumped.entities,
        "epoch_marks": bumped.marks,
        "event_sequence": bumped.event_sequence,
        "revoked": bumped.revoked,
        "failed": bumped.failed.len(),
    });
    let code = if bumped.failed.is_empty() { ExitCode::Done } else { ExitCode::Failed };
    Ok((line, code))
}
