//! What is measured: a private Postgres with safe settings and a claim-server on it.

use anyhow::{Context, Result, bail};
use claims::cluster::{Cluster, PostgresPrograms};
use claims::store::{Database, migrations};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// A cluster and a server; both end with it.
pub(crate) struct Stage {
    server: Child,
    address: String,
    programs: PathBuf,
    url: String,
    _cluster: Cluster,
    folder: PathBuf,
}

impl Stage {
    /// Starts both.
    pub(crate) fn set() -> Result<Self> {
        let programs = PostgresPrograms::locate()?;
        let pgbench = programs.folder().to_path_buf();
        let folder = std::env::temp_dir().join(format!("claim-bench-{}", std::process::id()));
        let cluster = Cluster::durable(programs, &folder.join("postgres"))?;
        let url = cluster.url("postgres");
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(migrations::migrate(&Database::parse(&url)?))?;

        let binary = std::env::current_exe()?.with_file_name("claim-server");
        if !binary.exists() {
            bail!("{} is missing; build the workspace in the same profile", binary.display());
        }
        let mut server = Command::new(binary)
            .arg("serve")
            .env("DATABASE_URL", &url)
            .env("CLAIM_LISTEN", "127.0.0.1:0")
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = server.stdout.take().context("a pipe")?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready)?;
        let (_, address) = ready.trim().rsplit_once(' ').context("no ready line")?;
        let address = address.to_owned();
        Ok(Self { server, address, programs: pgbench, url, _cluster: cluster, folder })
    }

    /// Where the server listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// pgbench on the same database.
    pub(crate) fn pgbench(&self) -> Command {
        let mut command = Command::new(self.programs.join("pgbench"));
        command.arg(&self.url);
        command
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The cluster's data follow when nothing uses them any more.
        let _ = self.server.kill();
        let _ = self.server.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
