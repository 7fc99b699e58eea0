//! Where it is measured: a private Postgres with safe settings and this version's schema.

use anyhow::{Result, bail};
use claims::cluster::{Cluster, ClusterError, PostgresPrograms};
use claims::store::{Database, migrations};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A cluster in the temporary folder; its data go with it. A run that is interrupted leaves them. There
/// may be several at once.
pub(crate) struct Stage {
    programs: PathBuf,
    url: String,
    cluster: Cluster,
    folder: PathBuf,
}

impl Stage {
    /// Starts it; it is reached over a Unix socket.
    pub(crate) fn set() -> Result<Self> {
        Self::start(Cluster::durable)
    }

    /// Starts it; it is reached over TCP, by every program.
    pub(crate) fn over_tcp() -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        Self::start(|programs, folder| Cluster::durable_over_tcp(programs, folder, port))
    }

    fn start(
        cluster: impl FnOnce(PostgresPrograms, &Path) -> Result<Cluster, ClusterError>,
    ) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let programs = PostgresPrograms::locate()?;
        let pgbench = programs.folder().to_path_buf();
        let name =
            format!("claim-bench-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        let cluster = cluster(programs, &folder.join("postgres"))?;
        let url = cluster.url("postgres");
        let stage = Self { programs: pgbench, url, cluster, folder };
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(migrations::migrate(&Database::parse(&stage.url)?))?;
        Ok(stage)
    }

    /// The database, for every program.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same database, whose sessions are begun with these Postgres settings.
    pub(crate) fn url_with(&self, settings: &[(&str, &str)]) -> Result<String> {
        let mut options = String::new();
        for (name, value) in settings {
            if !value
                .bytes()
                .chain(name.bytes())
                .all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b))
            {
                bail!("{name}={value} would have to be quoted");
            }
            options.push_str(&format!("-c%20{name}%3D{value}%20"));
        }
        Ok(format!("{}?options={options}", self.url))
    }

    /// What Postgres says.
    pub(crate) fn log(&self) -> &Path {
        self.cluster.log()
    }

    /// A folder for what a measurement has to keep for a while.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// A folder on the disk that has the database.
    pub(crate) fn disk(&self) -> &Path {
        self.cluster.folder()
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
        // The data follow when nothing uses them any more, wherever they found their place.
        let _ = self.cluster.stop_immediately();
        let _ = std::fs::remove_dir_all(self.cluster.folder());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
