//! The reaper program; see the library's own words.

use claim_reaper::pass::PassSettings;
use claim_reaper::settings::Settings;
use claim_reaper::{daemon, pass};
use claims::chain;
use claims::domain::liveness::SIGNATURE_STALE_AFTER;
use claims::program::{
    ExitCode, LogFormat, Shutdown, WrongSetting, database_from_environment, parse_command_line,
    start_log,
};
use claims::store::{Database, Reaper};
use std::io::{self, Write};
use std::process;
use std::time::Duration;

/// Some claims failed and were skipped.
const EXIT_SOME_FAILED: u8 = 2;

fn main() -> process::ExitCode {
    let settings: Settings = match parse_command_line() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    let database = match prepare(&settings) {
        Ok(database) => database,
        Err(wrong) => return wrong.report(),
    };
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(run(settings, database)),
        Err(error) => {
            tracing::error!(%error, "no runtime");
            ExitCode::Failed.into()
        }
    }
}

/// Everything that can be wrong before anything is begun.
fn prepare(settings: &Settings) -> Result<Database, WrongSetting> {
    settings.check()?;
    let database = database_from_environment()?;
    start_log(settings.log_format.unwrap_or_else(LogFormat::of_this_terminal))?;
    Ok(database)
}

async fn run(settings: Settings, database: Database) -> process::ExitCode {
    let shutdown = match Shutdown::on_signals() {
        Ok(shutdown) => shutdown,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard");
            return ExitCode::Failed.into();
        }
    };
    if settings.reap_grace < SIGNATURE_STALE_AFTER {
        tracing::warn!(
            reap_grace_ms = settings.reap_grace.as_millis(),
            "CLAIM_REAP_GRACE is below 5s; an outage too short to be noticed may cost holders of \
             short leases their claims"
        );
    }
    let grace = settings.shutdown_grace;
    tokio::select! {
        code = reap(settings, database, &shutdown) => code,
        () = overtime(&shutdown, grace) => {
            tracing::warn!("the pass was cut off; what it had under way is rolled back");
            ExitCode::Done.into()
        }
    }
}

/// Completes when the end was asked for and the shutdown grace is over.
async fn overtime(shutdown: &Shutdown, grace: Duration) {
    shutdown.asked().await;
    tokio::time::sleep(grace).await;
}

async fn reap(settings: Settings, database: Database, shutdown: &Shutdown) -> process::ExitCode {
    let mut reaper = Reaper::new(database, "claim-reaper");
    let pass = PassSettings { reap_grace: settings.reap_grace, batch: settings.batch };
    if settings.once {
        return once(&mut reaper, pass, settings.json, shutdown).await;
    }
    tracing::info!(
        interval_ms = settings.interval.as_millis(),
        "reaping every {:?}",
        settings.interval
    );
    daemon::run(&mut reaper, pass, settings.interval, shutdown).await;
    tracing::info!("stopped");
    ExitCode::Done.into()
}

async fn once(
    reaper: &mut Reaper,
    settings: PassSettings,
    json: bool,
    shutdown: &Shutdown,
) -> process::ExitCode {
    let summary = match pass::run_once(reaper, settings, shutdown).await {
        Ok(summary) => summary,
        Err(error) => {
            tracing::error!(error = %chain(&error), "the pass failed");
            return ExitCode::Failed.into();
        }
    };
    daemon::log_pass(&summary);
    if json {
        let line = serde_json::to_string(&summary).unwrap_or_default();
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            tracing::error!(%error, "the summary could not be printed");
            return ExitCode::Failed.into();
        }
    }
    if summary.failed > 0 { EXIT_SOME_FAILED.into() } else { ExitCode::Done.into() }
}
