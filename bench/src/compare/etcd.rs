//! etcd, one member with its default settings, on the disk that has the database: leases that are kept
//! alive over streams, and leases that are granted, put a key under and revoked.

#[expect(
    unreachable_pub,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated code is as its generator writes it"
)]
mod api;
mod cycle;

pub(crate) use cycle::cycles;

use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, Measured};
use crate::programs::Running;
use anyhow::{Context, Result, bail, ensure};
use api::lease_client::LeaseClient;
use api::{LeaseGrantRequest, LeaseKeepAliveRequest};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

/// As long as ours.
const TTL_SECONDS: i64 = 600;
/// A start takes no longer.
const START_LIMIT: Duration = Duration::from_secs(20);

/// An etcd that ends with this value.
pub(crate) struct Etcd {
    running: Running,
    port: u16,
    clients: Vec<Channel>,
    leases: Vec<i64>,
}

impl Etcd {
    /// Starts one with its data in that folder, and grants so many leases.
    pub(crate) async fn start(folder: &Path, leases: u32) -> Result<Self> {
        let (port, peers) = (free_port()?, free_port()?);
        let (client_url, peer_url) =
            (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
        let mut command = Command::new(etcd_bin_vendored::etcd_bin_path()?);
        command
            .args(["--name", "bench", "--log-level", "error", "--data-dir"])
            .arg(folder)
            .args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url])
            .args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url])
            .args(["--initial-cluster", &format!("bench={peer_url}")])
            .stdin(Stdio::null())
            // At its end it complains of every connection.
            .stderr(Stdio::null());
        for (setting, _) in std::env::vars_os() {
            if setting.to_string_lossy().starts_with("ETCD_") {
                command.env_remove(setting);
            }
        }
        let running = Running::start(&mut command)?;
        let mut etcd = Self { running, port, clients: Vec::new(), leases: Vec::new() };
        etcd.wait().await?;
        for _ in 0..CONNECTIONS {
            etcd.clients.push(Endpoint::from_shared(client_url.clone())?.connect().await?);
        }
        etcd.grant(leases).await?;
        Ok(etcd)
    }

    async fn wait(&mut self) -> Result<()> {
        let began = Instant::now();
        while !self.get("/health").is_ok_and(|answer| answer.contains("\"true\"")) {
            self.check()?;
            ensure!(began.elapsed() < START_LIMIT, "etcd does not become healthy");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn grant(&mut self, leases: u32) -> Result<()> {
        let mut grants = JoinSet::new();
        for part in 0..64 {
            let mut client = LeaseClient::new(self.client(part)?);
            grants.spawn(async move {
                let mut granted = Vec::new();
                for _ in (part..leases).step_by(64) {
                    granted.push(grant(&mut client).await?);
                }
                Ok::<_, anyhow::Error>(granted)
            });
        }
        while let Some(granted) = grants.join_next().await {
            self.leases.extend(granted??);
        }
        Ok(())
    }

    fn client(&self, number: u32) -> Result<Channel> {
        let place = usize::try_from(number)? % self.clients.len().max(1);
        self.clients.get(place).cloned().context("a connection")
    }

    /// Fails if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.running.check("etcd")
    }

    /// Mean time of its syncs of the log, in milliseconds, as it counts them itself.
    pub(crate) fn mean_fsync_ms(&self) -> Result<f64> {
        let metrics = self.get("/metrics")?;
        let value = |name: &str| -> Result<f64> {
            let name = format!("etcd_disk_wal_fsync_duration_seconds_{name} ");
            let found = metrics.lines().find_map(|line| line.strip_prefix(name.as_str()));
            Ok(found.context("etcd tells nothing of its syncs")?.trim().parse()?)
        };
        Ok(1000.0 * value("sum")? / value("count")?)
    }

    fn get(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// Keep-alives over so many streams with so many of each under way, each of leases of its own.
    pub(crate) async fn keep_alives(
        &self,
        streams: u32,
        under_way: u32,
        length: Duration,
    ) -> Result<Measured> {
        let each = self.leases.len() / usize::try_from(streams)?;
        let under_way = usize::try_from(under_way)?;
        ensure!(each >= under_way, "{each} leases of a stream are too few");
        let began = Instant::now();
        let mut parts = JoinSet::new();
        for (stream, leases) in (0..streams).zip(self.leases.chunks_exact(each)) {
            let client = LeaseClient::new(self.client(stream)?);
            parts.spawn(keep_alive(client, leases.to_vec(), under_way, began + length));
        }
        let mut all = Latencies::new()?;
        while let Some(part) = parts.join_next().await {
            all.add(&part??)?;
        }
        Measured::of(&all, began.elapsed())
    }
}

/// Grants a lease; etcd chooses its number.
async fn grant(client: &mut LeaseClient<Channel>) -> Result<i64> {
    let request = LeaseGrantRequest { ttl: TTL_SECONDS, id: 0 };
    let granted = client.lease_grant(request).await?.into_inner();
    ensure!(granted.error.is_empty() && granted.ttl == TTL_SECONDS, "a lease: {granted:?}");
    Ok(granted.id)
}

/// etcd answers the keep-alives of a stream in their order.
async fn keep_alive(
    mut client: LeaseClient<Channel>,
    leases: Vec<i64>,
    under_way: usize,
    until: Instant,
) -> Result<Latencies> {
    let (requests, receiver) = mpsc::channel(under_way);
    let mut turns = leases.iter().copied().cycle();
    let mut waiting = std::collections::VecDeque::new();
    let mut latencies = Latencies::new()?;
    for id in turns.by_ref().take(under_way) {
        waiting.push_back((id, Instant::now()));
        requests.send(LeaseKeepAliveRequest { id }).await?;
    }
    // etcd opens its side of the stream with its first answer, so something must have been asked.
    let mut answers = client.lease_keep_alive(ReceiverStream::new(receiver)).await?.into_inner();
    loop {
        if waiting.len() < under_way && Instant::now() < until {
            let id = turns.next().context("a lease")?;
            waiting.push_back((id, Instant::now()));
            requests.send(LeaseKeepAliveRequest { id }).await?;
        }
        let Some((id, sent)) = waiting.pop_front() else { return Ok(latencies) };
        let answer = answers.message().await?.context("the stream has ended")?;
        if answer.id != id || answer.ttl != TTL_SECONDS {
            bail!("a keep-alive of {id} was answered by {answer:?}");
        }
        latencies.record(sent.elapsed())?;
    }
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
