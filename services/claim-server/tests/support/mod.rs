//! Real programs on a real Postgres, and what cuts the lines between them.
#![allow(dead_code, reason = "each test program uses its share")]

pub(crate) mod certificates;
pub(crate) mod collector;
pub(crate) mod event_tokens;
pub(crate) mod holders;
pub(crate) mod identity;
pub(crate) mod issuer;
pub(crate) mod issuer_site;
pub(crate) mod limits;
pub(crate) mod mutate;
pub(crate) mod own_database;
pub(crate) mod page_tokens;
pub(crate) mod probes;
pub(crate) mod quota_file;
pub(crate) mod raw;
pub(crate) mod reaper;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod rows;
pub(crate) mod scrape;
pub(crate) mod streams;

use claim_proto::v1::claim_admin_service_client::ClaimAdminServiceClient;
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{AuthorizeWriteRequest, Entity, GetClaimRequest};
use claim_proto::v1::{DoneRequest, GetEntityRequest, HeartbeatRequest, MintRequest, MintResponse};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStderr, Command};
use tonic::transport::Channel;

/// Longest wait for something that another process does.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A running `claim-server serve`; killed when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) child: Child,
    pub(crate) log: Arc<std::sync::Mutex<String>>,
}

impl Server {
    /// Starts one on that database and waits for its ready line.
    pub(crate) async fn start(database_url: &str) -> Self {
        Self::start_with(database_url, &[]).await
    }

    /// As [`Server::start`], with more environment.
    pub(crate) async fn start_with(database_url: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_claim-server"))
            .arg("serve")
            .env("DATABASE_URL", database_url)
            .env("CLAIM_LISTEN", "127.0.0.1:0")
            .env("CLAIM_METRICS_LISTEN", "127.0.0.1:0")
            .env("CLAIM_LOG_FORMAT", "text")
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("claim-server starts");
        let log = gathered(child.stderr.take().expect("a pipe"));
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let ready = tokio::time::timeout(PATIENCE, stdout.next_line());
        let line = ready.await.expect("a ready line in time").expect("a pipe");
        let line = line.unwrap_or_else(|| panic!("no ready line: {}", log.lock().expect("a log")));
        let (_, address) = line.rsplit_once("://").expect("an address in the ready line");
        Self { address: address.parse().expect("an address"), child, log }
    }

    /// A client of its own connection.
    pub(crate) async fn client(&self) -> ClaimServiceClient<Channel> {
        client(self.address).await
    }

    /// SIGKILL: the process gets no chance to do anything.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("a running process");
    }

    /// Sends a signal by name.
    pub(crate) fn signal(&self, name: &str) {
        let pid = self.child.id().expect("a running process").to_string();
        let status = std::process::Command::new("kill").args(["-s", name, &pid]).status();
        assert!(status.expect("kill runs").success());
    }
}

/// What a server had to say is shown with the test that failed on it.
impl Drop for Server {
    #[expect(clippy::print_stdout, reason = "the test's own output is where it is looked for")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            println!("the log of the server at {}:\n{log}", self.address);
        }
    }
}

/// What is written to a pipe, as it comes.
pub(crate) fn gathered(pipe: ChildStderr) -> Arc<std::sync::Mutex<String>> {
    let log = Arc::new(std::sync::Mutex::new(String::new()));
    let kept = log.clone();
    tokio::spawn(async move {
        let mut lines = BufReader::new(pipe).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            let mut log = kept.lock().expect("no panic holds it");
            log.push_str(&line);
            log.push('\n');
        }
    });
    log
}

/// A client of the service.
pub(crate) type Client = ClaimServiceClient<Channel>;

/// A client over a connection of its own.
pub(crate) async fn client(address: SocketAddr) -> ClaimServiceClient<Channel> {
    ClaimServiceClient::connect(format!("http://{address}")).await.expect("a connection")
}

/// A connection of its own, for any client.
pub(crate) async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("an address");
    endpoint.connect().await.expect("a connection")
}

/// A client for operators, over a connection of its own.
pub(crate) async fn admin(address: SocketAddr) -> ClaimAdminServiceClient<Channel> {
    ClaimAdminServiceClient::new(channel(address).await)
}

/// The reaper's binary, built beside the server's.
pub(crate) fn reaper_binary() -> PathBuf {
    let binary = PathBuf::from(env!("CARGO_BIN_EXE_claim-server")).with_file_name("claim-reaper");
    assert!(binary.exists(), "build it first: cargo build --workspace --bins");
    binary
}

/// One pass of the real reaper; its exit code and JSON summary.
pub(crate) async fn reap_once(database_url: &str) -> (i32, serde_json::Value) {
    let output = Command::new(reaper_binary())
        .args(["--once", "--json"])
        .env("DATABASE_URL", database_url)
        .output()
        .await
        .expect("claim-reaper runs");
    let summary = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("an exit code"), summary)
}

/// A mint request with only what must be there.
pub(crate) fn mint(entity: &str, consumer: &str) -> MintRequest {
    MintRequest { entity_url: entity.into(), consumer_id: consumer.into(), ..Default::default() }
}

/// A mint request with an epoch of an authority.
pub(crate) fn mint_epoch(entity: &str, consumer: &str, authority: &str, epoch: i64) -> MintRequest {
    MintRequest { authority: authority.into(), epoch: Some(epoch), ..mint(entity, consumer) }
}

/// A done with one ack.
pub(crate) fn done(consumer: &str, epoch: i64) -> DoneRequest {
    let ack = claim_proto::v1::AckedStream { path: "/in/main".into(), offset: "7".into() };
    DoneRequest {
        consumer_id: consumer.into(),
        epoch,
        acked_streams: vec![ack],
        ..Default::default()
    }
}

/// A heartbeat by identity alone.
pub(crate) fn heartbeat(consumer: &str, epoch: i64) -> HeartbeatRequest {
    HeartbeatRequest { consumer_id: consumer.into(), epoch, ..Default::default() }
}

/// Whether the token of a mint authorizes writes to the claim's stream.
pub(crate) async fn authorize(
    client: &mut ClaimServiceClient<Channel>,
    minted: &MintResponse,
) -> Result<i64, tonic::Status> {
    let request = AuthorizeWriteRequest {
        stream_path: minted.claim.as_ref().expect("a claim").stream_path.clone(),
        write_token: minted.write_token.clone(),
        ..Default::default()
    };
    client.authorize_write(request).await.map(|answer| answer.into_inner().fence)
}

/// The entity as the service shows it.
pub(crate) async fn entity(client: &mut ClaimServiceClient<Channel>, url: &str) -> Entity {
    let request = GetEntityRequest { entity_url: url.into(), ..Default::default() };
    client.get_entity(request).await.expect("an entity").into_inner().entity.expect("an entity")
}

/// The claim as the service shows it.
pub(crate) async fn claim(
    client: &mut ClaimServiceClient<Channel>,
    consumer: &str,
    epoch: i64,
) -> claim_proto::v1::Claim {
    let request = GetClaimRequest { consumer_id: consumer.into(), epoch, ..Default::default() };
    client.get_claim(request).await.expect("a claim").into_inner().claim.expect("a claim")
}

/// The one ErrorInfo of a refusal.
pub(crate) fn reason(status: &tonic::Status) -> String {
    use tonic_types::StatusExt;
    let info = status.get_details_error_info().expect("an ErrorInfo");
    assert_eq!(info.domain, "claim.v1");
    info.reason
}

/// Waits until `holds` says so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A line between a client and a server that can be cut in one direction: requests get through,
/// answers are lost.
pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    mute: Arc<AtomicBool>,
}

impl Line {
    /// A line to `target`.
    pub(crate) async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mute = Arc::new(AtomicBool::new(false));
        let muted = mute.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(target).await else { continue };
                let (mut near_read, mut near_write) = near.into_split();
                let (mut far_read, mut far_write) = far.into_split();
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut near_read, &mut far_write).await;
                });
                let muted = muted.clone();
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = far_read.read(&mut bytes).await {
                        if muted.load(Ordering::SeqCst) {
                            // The connection breaks before the answer is through.
                            return;
                        }
                        if near_write.write_all(&bytes[..count]).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, mute }
    }

    /// From now on the next answer breaks the connection instead of arriving.
    pub(crate) fn lose_answers(&self) {
        self.mute.store(true, Ordering::SeqCst);
    }
}
