//! `claim-server dev`: everything that one developer needs, in one process group: a database, its
//! schema, the server and a reaper. All of it ends with this program, however that ends.

use claim_server::Server;
use claim_server::config::ServeSettings;
use claims::chain;
use claims::cluster::{Cluster, PostgresPrograms};
use claims::program::{ExitCode, Shutdown, WrongSetting, database_from_environment};
use claims::store::{Database, migrations};
use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, Stdio};
use tokio::runtime::Runtime;

/// Settings of `dev`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DevArgs {
    #[command(flatten)]
    serve: ServeSettings,

    /// A throw-away database instead of the kept one
    #[arg(long, help_heading = "Database")]
    ephemeral: bool,

    /// Where the database is kept between runs
    #[arg(long, default_value = ".dev", value_name = "FOLDER", help_heading = "Database")]
    folder: PathBuf,
}

/// Runs until it is asked to end.
pub(crate) fn run(arguments: &DevArgs) -> process::ExitCode {
    let (runtime, traces) = match crate::begin(arguments.serve.log) {
        Ok(begun) => begun,
        Err(code) => return code,
    };
    let ran = try_run(arguments, &runtime);
    crate::end(traces);
    match ran {
        Ok(()) => ExitCode::Done.into(),
        Err(error) => match error.downcast::<WrongSetting>() {
            Ok(wrong) => wrong.report(),
            Err(error) => {
                tracing::error!("{}", chain(error.as_ref()));
                ExitCode::Failed.into()
            }
        },
    }
}

fn try_run(arguments: &DevArgs, runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let (url, cluster) = find_database(arguments)?;
    let database = match &url {
        Some(url) => Database::parse(url)?,
        None => database_from_environment()?,
    };
    let config = arguments.serve.with_database(database.clone())?;
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals()?;
        migrations::migrate(&database).await?;
        let server = Server::bind(config).await?;
        let _reaper = Reaper::start(url.as_deref(), beside(arguments.serve.metrics_listen))?;
        say_ready(&server, url.as_deref());
        server.run(shutdown).await?;
        Ok::<_, Box<dyn Error>>(())
    })?;
    // The database goes last, when nobody uses it any more.
    drop(cluster);
    Ok(())
}

/// The database of the environment, or a private one of this program's own.
fn find_database(arguments: &DevArgs) -> Result<(Option<String>, Option<Cluster>), Box<dyn Error>> {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    if is_set("DATABASE_URL") || is_set("DATABASE_URL_FILE") {
        return Ok((None, None));
    }
    let programs = PostgresPrograms::locate()?;
    let cluster = if arguments.ephemeral {
        Cluster::ephemeral(programs)?
    } else {
        Cluster::durable(programs, &arguments.folder.join("postgres"))?
    };
    Ok((Some(cluster.url("postgres")), Some(cluster)))
}

/// One line with the address and a command to try.
fn say_ready(server: &Server, url: Option<&str>) {
    let address = server.address();
    let database = url.unwrap_or("the one of DATABASE_URL");
    let how = if server.is_encrypted() { "-cacert authority.pem" } else { "-plaintext" };
    // If nobody reads it, everything runs all the same.
    let _ = writeln!(
        io::stdout(),
        "claim-server dev is ready on {address} (database: {database}); try: \
         grpcurl {how} -d '{{\"entity_url\": \"/chat/a\", \"consumer_id\": \"w_1\"}}' \
         {address} claim.v1.ClaimService/Mint"
    );
}

/// Where the reaper serves its metrics: the port after the server's, by default its own default;
/// a free one if the server takes a free one.
fn beside(server: SocketAddr) -> SocketAddr {
    let port = if server.port() == 0 { 0 } else { server.port().wrapping_add(1) };
    SocketAddr::new(server.ip(), port)
}

/// Keeps the reaper until its own input ends: when this program lets go of it, or dies.
const KEEPER: &str =
    r#"trap '' INT; "$0" & reaper=$!; read -r _; kill "$reaper" 2>/dev/null; wait "$reaper""#;

/// The reaper's process; asked to stop, and awaited, when dropped.
struct Reaper {
    keeper: Child,
}

impl Reaper {
    /// Starts the program that was built beside this one.
    fn start(url: Option<&str>, metrics_listen: SocketAddr) -> Result<Self, Box<dyn Error>> {
        let binary = env::current_exe()?.with_file_name("claim-reaper");
        if !binary.exists() {
            return Err(format!("{} is missing; build it too", binary.display()).into());
        }
        Ok(Self { keeper: keep(&binary, url, metrics_listen)? })
    }
}

fn keep(binary: &Path, url: Option<&str>, metrics_listen: SocketAddr) -> io::Result<Child> {
    let mut keeper = Command::new("sh");
    keeper.args(["-c", KEEPER]).arg(binary).stdin(Stdio::piped());
    // Both programs read the same setting, and it is the server's here.
    keeper.env("CLAIM_METRICS_LISTEN", metrics_listen.to_string());
    if let Some(url) = url {
        keeper.env("DATABASE_URL", url);
    }
    keeper.spawn()
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        if let Err(error) = self.keeper.wait() {
            tracing::error!(%error, "the reaper's end was not seen");
        }
    }
}
