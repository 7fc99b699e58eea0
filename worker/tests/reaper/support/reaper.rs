//! The program: run to its end, or running and sent signals.

use claims::testing::{PATIENCE, eventually};
use serde_json::Value;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How a reaper ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) log: String,
}

/// Runs a reaper to its end, in that environment and no other.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    Running::start(arguments, environment).end().await
}

/// One pass and what it told.
#[derive(Debug)]
pub(crate) struct Pass {
    pub(crate) code: i32,
    pub(crate) summary: Value,
    pub(crate) log: String,
}

impl Pass {
    /// What the summary says under these keys.
    pub(crate) fn told(&self, keys: &[&str]) -> Value {
        keys.iter().map(|key| self.summary[key].clone()).collect()
    }

    /// A count of the summary.
    pub(crate) fn count(&self, key: &str) -> i64 {
        self.summary[key].as_i64().unwrap_or_else(|| panic!("{key} is a count: {self:?}"))
    }
}

/// One pass with the default settings.
pub(crate) async fn once(database_url: &str) -> Pass {
    pass(database_url, &[], &[]).await
}

/// One pass with these arguments and settings too.
pub(crate) async fn pass(
    database_url: &str,
    arguments: &[&str],
    settings: &[(&str, &str)],
) -> Pass {
    Running::once(database_url, arguments, settings).passed().await
}

/// What a pipe has brought so far.
type Gathered = Arc<Mutex<String>>;

/// A reaper that has been started; killed when dropped.
pub(crate) struct Running {
    child: Child,
    stdout: (Gathered, JoinHandle<()>),
    log: (Gathered, JoinHandle<()>),
}

impl Running {
    /// Starts one, in that environment and no other.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claim-reaper"));
        command.args(arguments).env_clear().envs(environment.iter().copied()).kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("claim-reaper starts");
        let stdout = gathered(child.stdout.take().expect("a pipe"));
        let log = gathered(child.stderr.take().expect("a pipe"));
        Self { child, stdout, log }
    }

    /// Starts one pass with a summary.
    pub(crate) fn once(database_url: &str, arguments: &[&str], settings: &[(&str, &str)]) -> Self {
        let defaults = [("DATABASE_URL", database_url), ("CLAIM_LOG_FORMAT", "text")];
        Self::start(&[&["--once", "--json"], arguments].concat(), &[&defaults, settings].concat())
    }

    /// Starts a daemon that makes a pass every 100 ms, unless the settings say otherwise.
    pub(crate) fn daemon(database_url: &str, settings: &[(&str, &str)]) -> Self {
        let defaults = [
            ("DATABASE_URL", database_url),
            ("CLAIM_REAPER_INTERVAL", "100ms"),
            ("CLAIM_METRICS_LISTEN", "127.0.0.1:0"),
            ("CLAIM_LOG_FORMAT", "text"),
        ];
        Self::start(&[], &[&defaults, settings].concat())
    }

    /// What it has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.0.lock().expect("no panic holds it").clone()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a process").is_none()
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.pid().to_string();
        let sent = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill runs").success(), "SIG{name} to {pid}");
    }

    /// Stops it where it stands; returns when it does stand.
    pub(crate) async fn freeze(&self) {
        self.signal("STOP");
        let stat = format!("/proc/{}/stat", self.pid());
        eventually("the process is stopped", async || {
            let stat = std::fs::read_to_string(&stat).expect("a process");
            let (_, after_name) = stat.rsplit_once(") ").expect("a name in brackets");
            after_name.starts_with('T')
        })
        .await;
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// Asks it to stop; its exit code.
    pub(crate) async fn stop(&mut self, signal: &str) -> Option<i32> {
        self.signal(signal);
        self.exit().await.code()
    }

    /// Ends it without a chance to do anything.
    pub(crate) async fn kill(mut self) {
        self.signal("KILL");
        assert_eq!(self.exit().await.code(), None, "it was killed");
    }

    /// Waits for its end.
    pub(crate) async fn end(mut self) -> Ended {
        let code = self.exit().await.code().expect("an exit code");
        let [stdout, log] = [self.stdout, self.log];
        Ended { code, stdout: all_of(stdout).await, log: all_of(log).await }
    }

    /// Waits for the end of its one pass.
    pub(crate) async fn passed(self) -> Pass {
        let ended = self.end().await;
        assert_eq!(ended.stdout.lines().count(), 1, "one line: {ended:?}");
        let summary = serde_json::from_str(&ended.stdout).expect("JSON");
        Pass { code: ended.code, summary, log: ended.log }
    }

    async fn exit(&mut self) -> ExitStatus {
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.unwrap_or_else(|_| panic!("it does not end: {}", self.log())).expect("a process")
    }
}

fn gathered(pipe: impl AsyncRead + Send + Unpin + 'static) -> (Gathered, JoinHandle<()>) {
    let text = Gathered::default();
    let kept = text.clone();
    let mut lines = BufReader::new(pipe).lines();
    let reading = tokio::spawn(async move {
        while let Some(line) = lines.next_line().await.expect("UTF-8 from a pipe") {
            let mut text = kept.lock().expect("no panic holds it");
            text.push_str(&line);
            text.push('\n');
        }
    });
    (text, reading)
}

/// What a pipe brought until it was closed.
async fn all_of((text, reading): (Gathered, JoinHandle<()>)) -> String {
    reading.await.expect("no panic");
    let text = text.lock().expect("no panic holds it");
    text.clone()
}
