//! The program `claim-server`: reads its settings, does what its subcommand says, and exits. The
//! service itself is in the library.

mod dev;
mod migrate;

use claim_server::config::{LogSettings, ServeSettings};
use claim_server::{Config, Server};
use claims::program::{
    ExitCode, Shutdown, database_from_environment, parse_command_line, start_log,
};
use clap::{Parser, Subcommand};
use dev::DevArgs;
use migrate::MigrateSettings;
use std::error::Error;
use std::io::{self, Write};
use std::process;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Version and commit.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("CLAIM_COMMIT"), ")");

/// What only the environment says; shown with the help of each subcommand that reads it.
const ENVIRONMENT: &str = "\
Environment without flags:
  DATABASE_URL       The database, postgres://user:password@host/name; several hosts are understood,
                     and sslmode and sslrootcert: verify-full and a file verify who is there
  DATABASE_URL_FILE  File that holds it, instead
  RUST_LOG           What is logged, as in `info,claim_server=debug` (each call is told at debug)";

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
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve gRPC until SIGTERM or SIGINT
    #[command(after_long_help = ENVIRONMENT)]
    Serve(ServeSettings),
    /// Bring the database to this program's schema
    #[command(after_long_help = ENVIRONMENT)]
    Migrate(MigrateSettings),
    /// Run everything one developer needs: a database, the server and a reaper
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
        Command::Dev(arguments) => dev::run(&arguments),
    }
}

/// Starts the log and runs `work` to its end.
fn with_runtime(
    log: LogSettings,
    work: impl Future<Output = process::ExitCode>,
) -> process::ExitCode {
    if let Err(wrong) = start_log(log.format()) {
        return wrong.report();
    }
    match Runtime::new() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            tracing::error!(%error, "no runtime can be had");
            ExitCode::Failed.into()
        }
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
