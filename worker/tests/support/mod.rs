//! The real reaper on a real Postgres.

use claims::cluster::{Cluster, ClusterError, PostgresPrograms};
use claims::store::{Database, migrations};
use claims::testing::{PATIENCE, TestDatabase, mint};
use serde_json::Value;
use std::process::{Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

fn reaper(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_claim-reaper"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).kill_on_drop(true);
    command.stdin(Stdio::null());
    command
}

/// How a reaper ended that was run to its end.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) log: String,
}

/// Runs a reaper to its end.
pub(crate) async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let output = timeout(PATIENCE, reaper(arguments, environment).output()).await;
    let Output { status, stdout, stderr } = output.expect("it ends in time").expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ended { code: status.code().expect("an exit code"), stdout: text(stdout), log: text(stderr) }
}

/// One pass with a summary: its exit code, and the summary.
pub(crate) async fn once(database_url: &str) -> (i32, Value) {
    let ended = run(&["--once", "--json"], &[("DATABASE_URL", database_url)]).await;
    assert_eq!(ended.stdout.lines().count(), 1, "one line: {ended:?}");
    (ended.code, serde_json::from_str(&ended.stdout).expect("JSON"))
}

/// A reaper that makes a pass every 100 ms; killed when dropped.
pub(crate) struct Daemon {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    pub(crate) fn start(database_url: &str) -> Self {
        let environment = [
            ("DATABASE_URL", database_url),
            ("CLAIM_REAPER_INTERVAL", "100ms"),
            ("CLAIM_LOG_FORMAT", "text"),
        ];
        let mut command = reaper(&[], &environment);
        let mut child = command.stderr(Stdio::piped()).spawn().expect("claim-reaper starts");
        let log = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let kept = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                kept.lock().expect("a log").push_str(&format!("{line}\n"));
            }
        });
        Self { child, log }
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("a log").clone()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("a process").is_none()
    }

    /// Asks it to stop; its exit code.
    pub(crate) async fn stop(&mut self, signal: &str) -> Option<i32> {
        let pid = self.child.id().expect("a running process").to_string();
        let sent = Command::new("kill").args(["-s", signal, &pid]).status().await;
        assert!(sent.expect("kill runs").success());
        let ended = timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it stops in time").expect("a process").code()
    }
}

/// A database on a cluster of its own, which a test can take away and give back.
pub(crate) struct OwnDatabase {
    cluster: Option<Cluster>,
    pub(crate) url: String,
}

impl OwnDatabase {
    pub(crate) async fn new() -> Self {
        let start = || Cluster::ephemeral(PostgresPrograms::locate().expect("Postgres programs"));
        let cluster = spawn_blocking(start).await.expect("no panic").expect("a cluster");
        let url = cluster.url("postgres");
        let database = Database::parse(&url).expect("a URL");
        migrations::migrate(&database).await.expect("migrations run");
        Self { cluster: Some(cluster), url }
    }

    pub(crate) async fn stop(&mut self) {
        self.change(Cluster::stop_immediately).await;
    }

    pub(crate) async fn start(&mut self) {
        self.change(Cluster::start).await;
    }

    async fn change(&mut self, how: fn(&mut Cluster) -> Result<(), ClusterError>) {
        let mut cluster = self.cluster.take().expect("a cluster");
        let changed = spawn_blocking(move || how(&mut cluster).map(|()| cluster)).await;
        self.cluster = Some(changed.expect("no panic").expect("a cluster that does as it is told"));
    }
}

/// Mints that many claims, `w_0` of `/due/0` and so on, and ages them all: by default they lapsed
/// `ago`, and were minted, and last heard of, 30 s before that.
pub(crate) async fn lapsed(db: &TestDatabase, count: usize, ago: Duration) {
    let store = db.store();
    for number in 0..count {
        let asked = mint(&format!("/due/{number}"), &format!("w_{number}")).mint;
        store.mint(asked).await.expect("a claim");
    }
    let seconds = 30.0 + ago.as_secs_f64();
    let sql = db.stranger().await;
    // Guards and the rules behind them do not concern a test's own staging.
    let age = format!(
        "SET session_replication_role = replica;
         UPDATE consumer_claims SET claimed_at = claimed_at - {seconds} * interval '1 second';
         UPDATE claim_leases SET heard_at = heard_at - {seconds} * interval '1 second',
             lease_expires_at = lease_expires_at - {seconds} * interval '1 second'"
    );
    sql.batch_execute(&age).await.expect("aged rows");
}
