//! The reaper program; see the library's own words.

use claim_reaper::daemon;
use claim_reaper::metrics::Metrics;
use claim_reaper::pass::{Outcome, Passes};
use claim_reaper::pulse::Pulse;
use claim_reaper::settings::{Command, Settings};
use claims::chain;
use claims::domain::HoldReason;
use claims::program::{
    ExitCode, LogFormat, Shutdown, WrongSetting, database_from_environment, parse_command_line,
    probes, start_log,
};
use claims::store::{Database, Reaper};
use prometheus_client::registry::Registry;
use std::io::{self, Write};
use std::process;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// Some claims failed and were skipped, or rows contradict each other.
const EXIT_SOME_FAILED: u8 = 2;
/// The brake held claims back.
const EXIT_BRAKE: u8 = 3;

fn main() -> process::ExitCode {
    let settings: Settings = match parse_command_line() {
        Ok(settings) => settings,
        Err(code) => return code,
    };
    if let Some(Command::Health(health)) = settings.command {
        return health.run(settings.metrics_listen);
    }
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
    settings.warn();
    let (metrics, registry) = Metrics::registered();
    let reaper = Reaper::new(database, "claim-reaper");
    let mut passes = Passes::new(reaper, settings.of_pass(), metrics, shutdown.clone());
    let reap = async {
        if settings.once {
            once(&mut passes, &settings).await
        } else {
            go_on(&mut passes, &settings, registry, &shutdown).await
        }
    };
    tokio::select! {
        code = reap => code,
        () = overtime(&shutdown, settings.shutdown_grace) => {
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

async fn go_on(
    passes: &mut Passes,
    settings: &Settings,
    registry: Registry,
    shutdown: &Shutdown,
) -> process::ExitCode {
    let interval = settings.interval;
    let pulse = Pulse::new(interval, shutdown.clone());
    if let Err(error) = serve_probes(settings, registry, pulse.clone()).await {
        let address = settings.metrics_listen;
        tracing::error!(%error, "CLAIM_METRICS_LISTEN: cannot listen on {address}");
        return ExitCode::Failed.into();
    }
    tracing::info!(interval_ms = interval.as_millis(), "reaping every {interval:?}");
    daemon::run(passes, interval, &pulse, shutdown).await;
    tracing::info!("stopped");
    ExitCode::Done.into()
}

/// Binds the address of the metrics and serves them for as long as the program runs.
async fn serve_probes(settings: &Settings, registry: Registry, pulse: Pulse) -> io::Result<()> {
    let listener = TcpListener::bind(settings.metrics_listen).await?;
    let address = listener.local_addr()?;
    tracing::info!(%address, "metrics and probes are served on {address}");
    let routes = probes::health(move || pulse.ready()).merge(probes::metrics(Arc::new(registry)));
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, routes).await {
            tracing::error!(%error, "metrics and probes are no longer served");
        }
    });
    Ok(())
}

async fn once(passes: &mut Passes, settings: &Settings) -> process::ExitCode {
    let outcome = match passes.run_once(settings.budget()).await {
        Ok(outcome) => outcome,
        Err(error) => {
            tracing::error!(error = %chain(&error), "the pass failed");
            return ExitCode::Failed.into();
        }
    };
    outcome.summary.log();
    if passes.self_check_is_unfinished() {
        tracing::warn!("the pass ended before its self-check; give it a longer --budget");
    }
    if settings.json {
        let line = serde_json::to_string(&outcome.summary).unwrap_or_default();
        if let Err(error) = writeln!(io::stdout(), "{line}") {
            tracing::error!(%error, "the summary could not be printed");
            return ExitCode::Failed.into();
        }
    }
    exit_code(&outcome)
}

fn exit_code(Outcome { summary, findings }: &Outcome) -> process::ExitCode {
    if summary.hold_reason == Some(HoldReason::Brake) {
        EXIT_BRAKE.into()
    } else if summary.failed > 0 || *findings > 0 {
        EXIT_SOME_FAILED.into()
    } else {
        ExitCode::Done.into()
    }
}
