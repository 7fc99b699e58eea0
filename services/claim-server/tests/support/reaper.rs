//! The real reaper as a daemon, beside the servers.

use super::{gathered, reaper_binary};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::process::{Child, Command};

/// A running `claim-reaper` with its default settings; killed when dropped.
pub(crate) struct ReaperDaemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl ReaperDaemon {
    /// Starts one on that database.
    pub(crate) fn start(database_url: &str) -> Self {
        let mut child = Command::new(reaper_binary())
            // Whatever this shell sets for reapers: the defaults are meant.
            .env_clear()
            .env("DATABASE_URL", database_url)
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("CLAIM_LOG_FORMAT", "text")
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("claim-reaper starts");
        let log = gathered(child.stderr.take().expect("a pipe"));
        Self { child, log }
    }

    /// What it has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no panic holds it").clone()
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a process").is_none()
    }
}
