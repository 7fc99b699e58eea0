//! The program `claim-server`: reads its settings, does what its subcommand says, and exits. The
//! service itself is in the library.

mod dev;
mod fence_bump;
mod help;
mod migrate;

use claim_server::config::{LogSettings, METRICS_LISTEN, ServeSettings};
use claim_server::{Config, Server, Traces};
use claims::program::{
    ExitCode, HealthSettings, Shutdown, database_from_environment, parse_command_line, start_log,
    start_log_beside,
};
use clap::{Parser, Subcommand};
use dev::DevArgs;
use fence_bump::FenceBumpSettings;
use migrate::MigrateSettings;
use std::error::Error;
use std::io::{self, Write};
use std::process;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CLAIM_COMMIT"), ")");

/// The claim service: who may work for an entity, over gRPC, on Postgres.
///
/// Settings are flags and environment variables alike, but for the database, which may name a
/// password: DATABASE_URL or DATABASE_URL_FILE. The log goes to standard error and is filtered by
/// RUST_LOG. Durations are written 500ms, 30s, 5m, 7d.
///
/// Exit codes: 0 done; 1 failed; 64 wrong settings, named in one line on standard error; 130 ended
/// at once by a second signal.
#[derive(Debug, Parser)]
#[command(name = "claim-server", version = VERSION, arg_required_else_help = false)]
#[command(after_long_help = help::program())]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC until SIGTERM or SIGINT
    ///
    /// Prints one line with its address when it listens. A database that is away, at the start or
    /// later, is waited for. A signal begins the drain: no new calls, and those in flight finish.
    #[command(after_long_help = help::serve())]
    Serve(ServeSettings),
    /// Bring the database to this program's schema
    ///
    /// Runs what the database lacks, one step after the other, and prints their names. Safe to run
    /// twice, and by two at once. Wants a database user that may create tables, and a connection to
    /// Postgres itself, not to a pooler of transactions.
    #[command(after_long_help = help::migrate())]
    Migrate(MigrateSettings),
    /// Make a database safe that was restored to an earlier point, before a server serves it
    ///
    /// Raises every fence, epoch mark and event sequence beyond all that was ever handed out, and
    /// revokes every live claim. Refuses while a server is at work. Prints one JSON line: dry_run,
    /// raised_to, entities, epoch_marks, event_sequence, revoked, failed. May be repeated. Exit codes:
    /// 0 done; 1 refused, or failed, or some claims could not be revoked; 64 wrong settings.
    #[command(after_long_help = help::fence_bump())]
    FenceBump(FenceBumpSettings),
    /// Ask the server of this machine over HTTP whether it is ready; exit code 0 if so, else 1
    Health(HealthSettings),
    /// Run everything one developer needs: a database, the server and a reaper
    ///
    /// The database is that of DATABASE_URL or DATABASE_URL_FILE; without them a private Postgres
    /// of programs that are installed, looked for in PG_BIN_DIR, by `pg_config --bindir`, in PATH and
    /// in /usr/lib/postgresql/*/bin. Prints one line with the address and a command to try when all
    /// of it is ready, and ends all of it with itself. Not for production.
    #[command(after_long_help = help::dev())]
    Dev(DevArgs),
}

fn main() -> process::ExitCode {
    let program: Program = match parse_command_line() {
        Ok(program) => program,
        Err(code) => return code,
    };
    match program.command {
        Command::Serve(settings) => match settings.check() {
            Ok(config) => with_runtime(settings.log, serve(config)),
            Err(wrong) => wrong.report(),
        },
        Command::Migrate(settings) => match database_from_environment() {
            Ok(database) => {
                with_runtime(settings.log, async move { migrate::run(settings, &database).await })
            }
            Err(wrong) => wrong.report(),
        },
        Command::FenceBump(settings) => match (settings.check(), database_from_environment()) {
            (Ok(bump), Ok(database)) => {
                with_runtime(settings.log, async move { settings.run(bump, &database).await })
            }
            (Err(wrong), _) | (_, Err(wrong)) => wrong.report(),
        },
        Command::Health(settings) => settings.run(METRICS_LISTEN),
        Command::Dev(arguments) => dev::run(&arguments),
    }
}

/// Starts the log, and traces if they are to be sent, and runs `work` to its end.
fn with_runtime(
    log: LogSettings,
    work: impl Future<Output = process::ExitCode>,
) -> process::ExitCode {
    let (runtime, traces) = match begin(log) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let code = runtime.block_on(work);
    end(traces);
    code
}

/// What every subcommand needs first.
fn begin(log: LogSettings) -> Result<(Runtime, Option<Traces>), process::ExitCode> {
    let runtime = Runtime::new().map_err(|error| {
        // There is no log yet.
        let _ = writeln!(io::stderr(), "no runtime can be had: {error}");
        process::ExitCode::from(ExitCode::Failed)
    })?;
    // What sends spans lives on the runtime.
    let entered = runtime.enter();
    let traces = Traces::from_environment().map_err(|wrong| wrong.report())?;
    let started = match &traces {
        Some(traces) => start_log_beside(log.format(), traces.layer()),
        None => start_log(log.format()),
    };
    started.map_err(|wrong| wrong.report())?;
    drop(entered);
    Ok((runtime, traces))
}

/// Sends the last spans; the runtime must still be there.
fn end(traces: Option<Traces>) {
    if let Some(traces) = traces {
        traces.end();
    }
}

async fn serve(config: Config) -> process::ExitCode {
    match try_serve(config).await {
        Ok(()) => ExitCode::Done.into(),
        Err(error) => {
            tracing::error!(error = error.as_ref(), "{error}");
            ExitCode::Failed.into()
        }
    }
}

async fn try_serve(config: Config) -> Result<(), Box<dyn Error>> {
    let shutdown = Shutdown::on_signals()?;
    let server = Server::bind(config).await?;
    // The ready line, for whoever started the program. If nobody reads it, it serves all the same.
    let _ = writeln!(io::stdout(), "claim-server listening on {}", server.url());
    server.run(shutdown).await?;
    Ok(())
}
