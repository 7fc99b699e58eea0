//! A private cluster serves its process, and nothing of it outlives that process by more than a
//! moment.

#![cfg(feature = "cluster")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "in a test a panic is the report"
)]

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use claims::cluster::{Cluster, ClusterError, PostgresPrograms};
use tokio_postgres::NoTls;

/// Longest wait for something that another process does.
const PATIENCE: Duration = Duration::from_secs(30);

/// Set in a copy of this test program that a test starts in order to kill it: the folder of its
/// cluster, or `ephemeral`.
const ROLE: &str = "CLAIM_TEST_CLUSTER_ROLE";

/// What such a copy says before the facts the test needs.
const MARK: &str = "cluster-ready ";

#[test]
fn an_ephemeral_cluster_answers_under_its_url() {
    let cluster = ephemeral();
    assert_eq!(ask(&cluster, "SELECT 1 + 1"), "2");
    // What the tests that take the database away rely on.
    assert_eq!(ask(&cluster, "SELECT current_setting('synchronous_commit')"), "on");
}

#[test]
fn psql_understands_the_same_url() {
    let programs = PostgresPrograms::locate().unwrap();
    let psql = programs.folder().join("psql");
    if !psql.is_file() {
        // Server packages without the client exist; the URL's other reader is asked in the test
        // above.
        return;
    }
    let cluster = Cluster::ephemeral(programs).unwrap();
    let output = Command::new(psql)
        .args(["-XAtc", "SELECT 1 + 1", &cluster.url("postgres")])
        // A developer's own settings must not lead elsewhere.
        .env("PGPORT", "1")
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "2\n", "{output:?}");
}

#[test]
fn a_cluster_is_closed_to_other_accounts_and_never_run_by_root() {
    let cluster = ephemeral();
    let folder = fs::metadata(cluster.folder()).unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let server = fs::metadata(cluster.folder().join("data/postmaster.pid")).unwrap();
    assert_eq!(server.uid(), folder.uid());
    assert_ne!(server.uid(), 0);
    assert_eq!(ask(&cluster, "SELECT current_setting('listen_addresses')"), "");
}

#[test]
fn a_dropped_ephemeral_cluster_leaves_no_folder() {
    let cluster = ephemeral();
    let folder = cluster.folder().to_owned();
    drop(cluster);
    assert!(!folder.exists());
}

#[test]
fn ephemeral_clusters_do_not_share_anything() {
    let clusters: Vec<Cluster> = thread::scope(|scope| {
        let starts: Vec<_> = (0..3).map(|_| scope.spawn(ephemeral)).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    run(&clusters[0], "CREATE TABLE only_here ()");
    for other in &clusters[1..] {
        assert_eq!(ask(other, "SELECT to_regclass('only_here') IS NULL"), "true");
    }
}

#[test]
fn committed_rows_survive_an_immediate_stop_and_the_url_stays() {
    let mut cluster = ephemeral();
    let url = cluster.url("postgres");
    run(&cluster, "CREATE TABLE kept (n int)");
    run(&cluster, "INSERT INTO kept VALUES (7)");
    cluster.stop_immediately().unwrap();
    assert!(connect_fails(&url), "a stopped cluster answered");
    cluster.stop_immediately().unwrap();
    cluster.start().unwrap();
    cluster.start().unwrap();
    assert_eq!(cluster.url("postgres"), url);
    assert_eq!(ask(&cluster, "SELECT n FROM kept"), "7");
}

#[test]
fn a_stopped_ephemeral_cluster_is_removed_too() {
    let mut cluster = ephemeral();
    let folder = cluster.folder().to_owned();
    cluster.stop().unwrap();
    assert!(folder.exists());
    drop(cluster);
    assert!(!folder.exists());
}

#[test]
fn an_ephemeral_cluster_is_gone_after_its_process_was_killed() {
    if hold_cluster_if_asked() {
        return;
    }
    let mut holder =
        Holder::start("an_ephemeral_cluster_is_gone_after_its_process_was_killed", "ephemeral");
    assert!(holder.folder.exists());
    holder.kill();
    // The folder is removed only when no process of the server is left.
    wait_until("the folder to be removed", || !holder.folder.exists());
    wait_until("the server to end", || !process_exists(&holder.server));
}

#[test]
fn a_durable_cluster_is_stopped_in_good_order_and_usable_again_after_its_process_was_killed() {
    if hold_cluster_if_asked() {
        return;
    }
    let scratch = Scratch::new();
    let mut holder = Holder::start(
        "a_durable_cluster_is_stopped_in_good_order_and_usable_again_after_its_process_was_killed",
        scratch.0.to_str().unwrap(),
    );
    holder.kill();
    // Started while the old server is still stopping: it has to wait, not to fail.
    let cluster = durable(&scratch.0);
    assert_eq!(ask(&cluster, "SELECT n FROM held"), "1");
    assert!(!process_exists(&holder.server));
    let log = fs::read_to_string(cluster.folder().join("log")).unwrap();
    assert!(log.contains("received fast shutdown request"), "{log}");
    assert!(!log.contains("not properly shut down"), "{log}");
}

#[test]
fn a_durable_cluster_is_usable_again_after_its_server_was_killed_with_it() {
    if hold_cluster_if_asked() {
        return;
    }
    let scratch = Scratch::new();
    let mut holder = Holder::start(
        "a_durable_cluster_is_usable_again_after_its_server_was_killed_with_it",
        scratch.0.to_str().unwrap(),
    );
    let killed = Command::new("kill").args(["-KILL", &holder.server]).status().unwrap();
    assert!(killed.success());
    holder.kill();
    let cluster = durable(&scratch.0);
    assert_eq!(ask(&cluster, "SELECT n FROM held"), "1");
}

#[test]
fn a_durable_cluster_keeps_its_data_and_its_safe_settings() {
    let scratch = Scratch::new();
    let first = durable(&scratch.0);
    assert_eq!(first.folder(), scratch.0);
    run(&first, "CREATE TABLE kept AS SELECT 7 AS n");
    let url = first.url("postgres");
    drop(first);
    assert!(connect_fails(&url), "a dropped cluster answered");

    let second = durable(&scratch.0);
    assert_eq!(second.url("postgres"), url);
    assert_eq!(ask(&second, "SELECT n FROM kept"), "7");
    for setting in ["fsync", "full_page_writes", "synchronous_commit", "autovacuum"] {
        assert_eq!(
            ask(&second, &format!("SELECT current_setting('{setting}')")),
            "on",
            "{setting}"
        );
    }
}

#[test]
fn a_durable_cluster_in_use_is_refused_with_its_folder_and_process() {
    let scratch = Scratch::new();
    let first = durable(&scratch.0);
    let error = Cluster::durable(PostgresPrograms::locate().unwrap(), &scratch.0).unwrap_err();
    let line = error.to_string();
    assert!(matches!(error, ClusterError::InUse { .. }), "{error:?}");
    assert!(line.contains(scratch.0.to_str().unwrap()), "{line}");
    assert!(line.contains(&format!("process {}:", std::process::id())), "{line}");
    assert_eq!(ask(&first, "SELECT 1"), "1");
}

#[test]
fn data_of_another_version_are_refused_and_left_alone() {
    let scratch = Scratch::new();
    let cluster = durable(&scratch.0);
    let version = cluster.folder().join("data/PG_VERSION");
    drop(cluster);
    fs::write(&version, "9\n").unwrap();
    let error = Cluster::durable(PostgresPrograms::locate().unwrap(), &scratch.0).unwrap_err();
    assert!(matches!(error, ClusterError::OtherVersion { .. }), "{error:?}");
    assert!(version.exists());
}

#[test]
fn a_failed_start_shows_the_end_of_the_log() {
    let scratch = Scratch::new();
    let cluster = durable(&scratch.0);
    let settings = cluster.folder().join("data/postgresql.conf");
    drop(cluster);
    fs::write(&settings, "no_such_setting = 1\n").unwrap();
    let error = Cluster::durable(PostgresPrograms::locate().unwrap(), &scratch.0).unwrap_err();
    assert!(matches!(error, ClusterError::Start { .. }), "{error:?}");
    assert!(error.to_string().contains("no_such_setting"), "{error}");
}

#[test]
fn a_folder_too_deep_for_a_socket_is_replaced_and_a_note_says_where() {
    let scratch = Scratch::new();
    let deep = scratch.0.join("d".repeat(100)).join("postgres");
    let cluster = durable(&deep);
    let elsewhere = Scratch(cluster.folder().to_owned());
    assert!(elsewhere.0.starts_with("/var/tmp"), "{}", elsewhere.0.display());
    let note = fs::read_to_string(deep.with_file_name("LOCATION")).unwrap();
    assert_eq!(Path::new(note.trim()), elsewhere.0);
    run(&cluster, "CREATE TABLE kept ()");
    drop(cluster);
    let again = durable(&deep);
    assert_eq!(again.folder(), elsewhere.0);
    assert_eq!(ask(&again, "SELECT to_regclass('kept') IS NOT NULL"), "true");
    drop(again);
}

#[test]
fn a_folder_closed_to_the_clusters_account_is_replaced() {
    let scratch = Scratch::new();
    let closed = scratch.0.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let cluster = durable(&closed.join("postgres"));
    let elsewhere = Scratch(cluster.folder().to_owned());
    // Only root hands its cluster to an account to which its folders may be closed.
    let by_root = fs::metadata(&closed).unwrap().uid() == 0;
    assert_eq!(elsewhere.0.starts_with("/var/tmp"), by_root, "{}", elsewhere.0.display());
    assert_eq!(ask(&cluster, "SELECT 1"), "1");
    drop(cluster);
}

#[test]
fn a_wrong_pg_bin_dir_is_named_in_one_line() {
    if env::var_os(ROLE).is_some() {
        println!("{MARK}{}", PostgresPrograms::locate().unwrap_err());
        return;
    }
    let scratch = Scratch::new();
    let output = copy_of_this_test("a_wrong_pg_bin_dir_is_named_in_one_line", "locate")
        .env("PG_BIN_DIR", &scratch.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let line = format!(
        "PG_BIN_DIR is {}, which does not hold the Postgres server programs initdb and postgres",
        scratch.0.display()
    );
    assert!(said.lines().any(|said| said.ends_with(&line)), "{said}");
}

fn ephemeral() -> Cluster {
    Cluster::ephemeral(PostgresPrograms::locate().unwrap()).unwrap()
}

fn durable(folder: &Path) -> Cluster {
    Cluster::durable(PostgresPrograms::locate().unwrap(), folder).unwrap()
}

/// Runs one statement and returns the first column of its only row as text.
fn ask(cluster: &Cluster, select: &str) -> String {
    let sql = format!("SELECT (({select}))::text");
    session(&cluster.url("postgres"), async |client| {
        client.query_one(&sql, &[]).await.unwrap().get(0)
    })
    .unwrap()
}

fn run(cluster: &Cluster, sql: &str) {
    session(&cluster.url("postgres"), async |client| client.batch_execute(sql).await.unwrap())
        .unwrap();
}

fn connect_fails(url: &str) -> bool {
    session(url, async |_| ()).is_err()
}

fn session<T>(
    url: &str,
    work: impl AsyncFnOnce(tokio_postgres::Client) -> T,
) -> Result<T, tokio_postgres::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let driver = tokio::spawn(connection);
        let answer = work(client).await;
        // The client is dropped, so the connection ends by itself.
        driver.await.unwrap()?;
        Ok(answer)
    })
}

/// Another process with a cluster, for a test to kill.
struct Holder {
    process: Child,
    folder: PathBuf,
    server: String,
}

impl Holder {
    /// Runs `test`, which must begin with [`hold_cluster_if_asked`], as a process of its own and
    /// waits for its cluster.
    fn start(test: &str, role: &str) -> Self {
        let mut process = copy_of_this_test(test, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let facts = said
            .lines()
            .map(Result::unwrap)
            .find_map(|line| Some(line.split_once(MARK)?.1.to_owned()));
        let facts = facts.expect("the other process got no cluster");
        let (server, folder) = facts.split_once(' ').unwrap();
        Self { process, folder: folder.into(), server: server.to_owned() }
    }

    /// Ends the process with SIGKILL, so that nothing of its own can tidy up.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

fn copy_of_this_test(test: &str, role: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(ROLE, role);
    command
}

/// In a copy of this program: starts the cluster asked for and holds it until killed. Elsewhere:
/// false.
fn hold_cluster_if_asked() -> bool {
    let Some(role) = env::var_os(ROLE) else {
        return false;
    };
    let cluster = if role == "ephemeral" { ephemeral() } else { durable(Path::new(&role)) };
    run(&cluster, "CREATE TABLE held AS SELECT 1 AS n");
    let pid = fs::read_to_string(cluster.folder().join("data/postmaster.pid")).unwrap();
    println!("{MARK}{} {}", pid.lines().next().unwrap(), cluster.folder().display());
    // Ends if the test that started this process fails before it kills it.
    let _ = std::io::stdin().lines().count();
    true
}

fn process_exists(pid: &str) -> bool {
    let kill = Command::new("kill").args(["-0", pid]).stderr(Stdio::null()).status().unwrap();
    kill.success()
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for {what}");
        thread::yield_now();
    }
}

/// A folder of its own, removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "claim-cluster-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        // Open to all and short, which the folder of a temporary-folder setting need not be.
        let folder = Path::new("/tmp").canonicalize().unwrap().join(name);
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
