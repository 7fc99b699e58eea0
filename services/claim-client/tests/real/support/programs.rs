//! The programs of the workspace, as they were built beside this one.

use super::PATIENCE;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// A running `claim-server serve`; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
}

impl Server {
    /// Starts one on that database, on a free port.
    pub(crate) async fn start(database_url: &str) -> Self {
        Self::start_at(database_url, "127.0.0.1:0").await
    }

    /// Starts one at that address, and waits until it is ready.
    pub(crate) async fn start_at(database_url: &str, address: &str) -> Self {
        Self::start_with(database_url, address, &[]).await
    }

    /// As [`Server::start_at`], with more environment.
    pub(crate) async fn start_with(
        database_url: &str,
        address: &str,
        environment: &[(&str, &Path)],
    ) -> Self {
        let mut child = Command::new(program("claim-server"))
            .arg("serve")
            .env("DATABASE_URL", database_url)
            .env("CLAIM_LISTEN", address)
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "off")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("claim-server starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = timeout(PATIENCE, lines.next_line()).await.expect("a ready line in time");
        let ready = ready.expect("a pipe").expect("a ready line");
        let (_, address) = ready.rsplit_once("http://").expect("an address in the ready line");
        Self { address: address.parse().expect("an address"), child }
    }

    /// As a client takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// SIGKILL: the process gets no chance to do anything.
    pub(crate) async fn kill(&mut self) {
        self.child.kill().await.expect("a running process");
    }

    /// Waits for its end, in good order.
    pub(crate) async fn ended(&mut self) {
        let ended = timeout(PATIENCE, self.child.wait()).await.expect("it ends in time");
        assert!(ended.expect("a process").success());
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process").to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill runs").success());
    }
}

/// A running `claim-reaper`, a pass each second; killed when dropped.
pub(crate) struct Reaper {
    _child: Child,
}

impl Reaper {
    /// Starts one on that database.
    pub(crate) fn start(database_url: &str) -> Self {
        let child = Command::new(program("claim-reaper"))
            .env("DATABASE_URL", database_url)
            .env("CLAIM_REAPER_INTERVAL", "1s")
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "off")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        Self { _child: child.expect("claim-reaper starts") }
    }
}

/// One pass of the real reaper; it has to succeed.
pub(crate) async fn reap(database_url: &str) {
    let ended = Command::new(program("claim-reaper"))
        .arg("--once")
        .env("DATABASE_URL", database_url)
        .env("RUST_LOG", "off")
        .stdout(Stdio::null())
        .status();
    assert!(ended.await.expect("claim-reaper runs").success());
}

/// A program of the workspace.
fn program(name: &str) -> PathBuf {
    let binary = target_folder().join(name);
    assert!(binary.exists(), "build it first: cargo build --workspace --bins");
    binary
}

/// An example of this package, which `cargo test` builds unless it is told what else to build.
pub(crate) fn example(name: &str) -> PathBuf {
    let binary = target_folder().join("examples").join(name);
    assert!(binary.exists(), "build it first: cargo build -p claim-client --examples");
    binary
}

/// Tests lie in a folder within it.
fn target_folder() -> PathBuf {
    let tests = std::env::current_exe().expect("a program");
    tests.parent().and_then(Path::parent).expect("a target folder").to_owned()
}
