//! `claim-server dev`: everything runs with one command, and nothing of it outlives that command.
//!
//! Who descends from a process is read from `/proc`, which is Linux's.
#![cfg(target_os = "linux")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on has failed"
)]

mod support;

use claims::testing::{TestDatabase, claim_id, connect};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use support::{PATIENCE, authorize, claim, client, eventually, mint};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

/// A folder of a test's own; removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("claim-dev-{}-{number}", std::process::id()));
        fs::create_dir(&folder).expect("a folder");
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left over in the temporary folder is no reason to fail.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process, and when it was started, which tells it from a later one of the same number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Process {
    name: String,
    pid: u32,
    parent: u32,
    started: u64,
}

/// All processes there are; the dead that nobody has buried are not counted.
fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| process(&entry.path())).collect()
}

/// From `/proc/<pid>/stat`: number, name in parentheses, state, parent, and, as the 22nd, the
/// start.
fn process(folder: &Path) -> Option<Process> {
    let pid = folder.file_name()?.to_str()?.parse().ok()?;
    // It may have ended since it was listed.
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    let (head, rest) = stat.rsplit_once(") ")?;
    let rest: Vec<&str> = rest.split(' ').collect();
    let name = head.split_once('(')?.1.to_owned();
    (rest[0] != "Z").then_some(Process {
        name,
        pid,
        parent: rest[1].parse().ok()?,
        started: rest[19].parse().ok()?,
    })
}

/// Those of `all` that descend from a process.
fn descendants(of: u32, all: &[Process]) -> BTreeSet<Process> {
    let mut found = BTreeSet::new();
    for child in all.iter().filter(|process| process.parent == of) {
        found.insert(child.clone());
        found.extend(descendants(child.pid, all));
    }
    found
}

/// A running `claim-server dev`; killed when dropped.
struct Dev {
    child: Child,
    ready: String,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Dev {
    /// Starts one in a folder and waits for its ready line.
    async fn start(folder: &Folder, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_claim-server"))
            .arg("dev")
            .args(arguments)
            .current_dir(&folder.0)
            .env_remove("DATABASE_URL")
            .env("CLAIM_LISTEN", "127.0.0.1:0")
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("CLAIM_LOG_FORMAT", "text")
            // So that what is lapsed is expired soon.
            .env("CLAIM_OUTAGE_GRACE", "0")
            .env("CLAIM_REAPER_INTERVAL", "100ms")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .expect("claim-server dev starts");
        let log = support::gathered(child.stderr.take().expect("a pipe"));
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = timeout(PATIENCE, stdout.next_line()).await.expect("a ready line in time");
        let ready = ready.expect("a pipe");
        let ready = ready.unwrap_or_else(|| panic!("no ready line: {}", log.lock().unwrap()));
        Self { child, ready, stdout }
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("a running process")
    }

    /// What stands behind some words of the ready line.
    fn told_behind(&self, words: &str) -> &str {
        let (_, rest) = self.ready.split_once(words).unwrap_or_else(|| panic!("{}", self.ready));
        rest.split([' ', ')']).next().expect("a word")
    }

    async fn client(&self) -> support::Client {
        client(self.told_behind("is ready on ").parse().expect("an address")).await
    }

    /// Whoever works for it, itself included.
    fn household(&self) -> BTreeSet<Process> {
        let all = processes();
        let mut household = descendants(self.pid(), &all);
        household.extend(all.into_iter().filter(|process| process.pid == self.pid()));
        household
    }

    /// Sends a signal to it, or to its group, as a terminal does; its exit code.
    async fn end(mut self, signal: &str, to_group: bool) -> Option<i32> {
        let to = format!("{}{}", if to_group { "-" } else { "" }, self.pid());
        let sent = Command::new("kill").args(["-s", signal, "--", &to]).status().await;
        assert!(sent.expect("kill runs").success());
        let ended = timeout(PATIENCE, self.child.wait()).await;
        let code = ended.expect("it ends in time").expect("a process").code();
        let more = timeout(PATIENCE, self.stdout.next_line()).await.expect("an end in time");
        assert_eq!(more.expect("a pipe"), None, "one line, and no more");
        code
    }
}

/// Waits until none of them is left.
async fn all_are_gone(household: &BTreeSet<Process>) {
    let mut left = vec![];
    let waited = timeout(PATIENCE, async {
        loop {
            let present = processes();
            let same = |one: &Process, other: &Process| {
                (one.pid, one.started) == (other.pid, other.started)
            };
            left = household.iter().filter(|one| present.iter().any(|o| same(one, o))).collect();
            if left.is_empty() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "still there: {left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_command_runs_everything_and_leaves_nothing_behind() {
    for (signal, to_group, code) in
        [("TERM", false, Some(0)), ("INT", true, Some(0)), ("KILL", false, None)]
    {
        let folder = Folder::new();
        let dev = Dev::start(&folder, &["--ephemeral"], &[]).await;
        let mut client = dev.client().await;
        let minted = client.mint(mint("/chat/a", "w_1")).await.unwrap().into_inner();
        assert_eq!(authorize(&mut client, &minted).await.unwrap(), 1);

        let household = dev.household();
        let named = |name: &str| household.iter().filter(|one| one.name.starts_with(name)).count();
        assert_eq!(named("claim-reaper"), 1, "{household:?}");
        assert!(named("postgres") > 3, "{household:?}");
        let data = {
            let sql = connect(dev.told_behind("database: ")).await;
            let row = sql.query_one("SELECT current_setting('data_directory')", &[]).await;
            PathBuf::from(row.unwrap().get::<_, String>(0))
        };
        assert!(data.exists());

        assert_eq!(dev.end(signal, to_group).await, code, "{signal}");
        all_are_gone(&household).await;
        eventually("the throw-away database is thrown away", async || !data.exists()).await;
        let left: Vec<_> = fs::read_dir(&folder.0).unwrap().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_that_it_says_to_try_is_one() {
    let folder = Folder::new();
    let dev = Dev::start(&folder, &["--ephemeral"], &[]).await;
    let address = dev.told_behind("is ready on ");
    let command = dev.ready.split_once("try: ").unwrap().1;
    assert!(command.starts_with("grpcurl -plaintext -d '{"), "{command}");
    assert!(command.ends_with(&format!("}}' {address} claim.v1.ClaimService/Mint")), "{command}");
    let body = command.split('\'').nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    let asked = mint(
        body["entity_url"].as_str().expect("a required field"),
        body["consumer_id"].as_str().expect("a required field"),
    );
    dev.client().await.mint(asked).await.unwrap();
    assert_eq!(body.as_object().unwrap().len(), 2, "nothing else is in it");
}

#[tokio::test(flavor = "multi_thread")]
async fn its_database_is_kept_between_runs_and_lies_where_it_was_started() {
    let folder = Folder::new();
    for run in 1..=2 {
        let dev = Dev::start(&folder, &[], &[]).await;
        let mut client = dev.client().await;
        if run == 1 {
            client.mint(mint("/chat/a", "w_1")).await.unwrap();
            assert!(folder.0.join(".dev").is_dir());
        }
        assert_eq!(claim(&mut client, "w_1", 1).await.entity_url, "/chat/a");
        let household = dev.household();
        assert_eq!(dev.end("TERM", false).await, Some(0));
        all_are_gone(&household).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_given_database_is_migrated_served_reaped_and_left_running() {
    let db = TestDatabase::empty().await;
    let folder = Folder::new();
    let dev = Dev::start(&folder, &[], &[("DATABASE_URL", db.url())]).await;
    assert!(!dev.ready.contains(db.url()), "a URL may hold a password: {}", dev.ready);
    let mut client = dev.client().await;
    client.mint(mint("/chat/a", "w_1")).await.unwrap();
    db.lapse(&claim_id("w_1", 1), std::time::Duration::from_secs(6)).await;
    let expired = "SELECT count(*) FROM claim_events WHERE type = 'expired' AND actor = 'reaper'";
    eventually("the reaper expires it", async || db.number(expired).await == 1).await;
    let household = dev.household();
    assert!(household.iter().all(|one| one.name != "postgres"), "{household:?}");
    assert_eq!(dev.end("TERM", false).await, Some(0));
    all_are_gone(&household).await;
    assert!(!folder.0.join(".dev").exists());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_is_said_in_one_line() {
    let folder = Folder::new();
    for (code, names, environment) in [
        (64, "CLAIM_LISTEN", [("CLAIM_LISTEN", "here")]),
        (64, "CLAIM_OUTAGE_GRACE", [("CLAIM_OUTAGE_GRACE", "25h")]),
        (64, "DATABASE_URL", [("DATABASE_URL", "not a url")]),
        (1, "PG_BIN_DIR", [("PG_BIN_DIR", "/nowhere/at/all")]),
    ] {
        let dev = Command::new(env!("CARGO_BIN_EXE_claim-server"))
            .args(["dev", "--ephemeral"])
            .current_dir(&folder.0)
            .env_remove("DATABASE_URL")
            .env("CLAIM_LISTEN", "127.0.0.1:0")
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("CLAIM_LOG_FORMAT", "text")
            .envs(environment)
            .kill_on_drop(true)
            .output();
        let ended = timeout(PATIENCE, dev).await.expect("in time").expect("it runs");
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(code), "{names}: {told}");
        assert!(told.contains(names), "{names}: {told}");
        assert_eq!(told.lines().count(), 1, "{names}: {told}");
        assert!(ended.stdout.is_empty());
    }
}
