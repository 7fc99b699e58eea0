//! Load through gRPC. Every answer is checked; a call that fails ends the measurement.
//!
//! Closed loops: each caller sends its next call when it has the answer to the last. Open ones: calls
//! are sent at their times, and latencies are counted from then on, so that a server which stands
//! still does not look fast.

use crate::latencies::Latencies;
use crate::numbers::float;
use anyhow::{Context, Result};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{HeartbeatRequest, MintRequest};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Connections that the callers share, as the processes of a fleet would.
pub(crate) const CONNECTIONS: usize = 8;
/// Whose claims they are, also those of the floor.
pub(crate) const TENANT: &str = "bench";

/// Rate and latencies of one measurement.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Measured {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// One for each caller; they share so many connections to each server. Several addresses are separated by
/// commas.
pub(crate) async fn clients(
    address: &str,
    connections: usize,
    count: usize,
) -> Result<Vec<ClaimServiceClient<Channel>>> {
    let mut connected = Vec::new();
    for _ in 0..connections.min(count) {
        for address in address.split(',') {
            connected.push(ClaimServiceClient::connect(address.to_owned()).await?);
        }
    }
    Ok((0..count).filter_map(|caller| connected.get(caller % connected.len()).cloned()).collect())
}

/// Claims for the heartbeats: one for each caller, by both ways of sending them.
pub(crate) async fn holders(
    address: &str,
    count: usize,
) -> Result<Vec<(ClaimServiceClient<Channel>, String)>> {
    let mut holders = Vec::new();
    for (number, mut client) in clients(address, CONNECTIONS, count).await?.into_iter().enumerate()
    {
        let request = MintRequest {
            tenant_id: TENANT.into(),
            entity_url: format!("/held/{number}"),
            consumer_id: format!("holder{number}"),
            epoch: Some(1),
            authority: "bench".into(),
            runner_id: "bench".into(),
            ..Default::default()
        };
        client.mint(request).await?;
        holders.push((client, format!("holder{number}")));
    }
    Ok(holders)
}

/// Mints, each of a new entity.
pub(crate) async fn mints(
    address: &str,
    callers: usize,
    length: Duration,
    round: usize,
) -> Result<Measured> {
    let mut loops = JoinSet::new();
    let began = Instant::now();
    for (caller, mut client) in
        clients(address, CONNECTIONS, callers).await?.into_iter().enumerate()
    {
        loops.spawn(async move {
            let mut latencies = Latencies::new()?;
            for number in 0.. {
                let sent = Instant::now();
                if sent.duration_since(began) >= length {
                    break;
                }
                let request = MintRequest {
                    tenant_id: TENANT.into(),
                    entity_url: format!("/minted/{round}/{caller}/{number}"),
                    consumer_id: format!("w{round}_{caller}_{number}"),
                    epoch: Some(1),
                    authority: "bench".into(),
                    ..Default::default()
                };
                let minted = client.mint(request).await?.into_inner();
                anyhow::ensure!(minted.claim.context("a claim")?.fence == 1, "a fresh entity");
                latencies.record(sent.elapsed())?;
            }
            Ok(latencies)
        });
    }
    measured(loops, began).await
}

/// Heartbeats, each caller of its own claim.
pub(crate) async fn heartbeats(
    holders: Vec<(ClaimServiceClient<Channel>, String)>,
    length: Duration,
) -> Result<Measured> {
    let mut loops = JoinSet::new();
    let began = Instant::now();
    for (mut client, consumer_id) in holders {
        loops.spawn(async move {
            let mut latencies = Latencies::new()?;
            loop {
                let sent = Instant::now();
                if sent.duration_since(began) >= length {
                    break;
                }
                let request = HeartbeatRequest {
                    tenant_id: TENANT.into(),
                    consumer_id: consumer_id.clone(),
                    epoch: 1,
                    ..Default::default()
                };
                let renewed = client.heartbeat(request).await?.into_inner();
                anyhow::ensure!(renewed.lease_expire_time.is_some(), "a lease");
                latencies.record(sent.elapsed())?;
            }
            Ok(latencies)
        });
    }
    measured(loops, began).await
}

/// The identity of a claim that somebody holds.
pub(crate) struct Holder {
    pub(crate) tenant: String,
    pub(crate) consumer: String,
    pub(crate) epoch: i64,
}

/// Latencies of calls that were sent at their times.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct OpenLoad {
    pub(crate) sent: u64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
}

/// Heartbeats at a rate, of one holder after the other.
pub(crate) async fn open_heartbeats(
    address: &str,
    holders: &[Holder],
    rate: u32,
    length: Duration,
) -> Result<OpenLoad> {
    let mut turns = holders.iter().cycle();
    let latencies = open(address, f64::from(rate), length, |mut client, _| {
        let request = turns.next().map(|holder| HeartbeatRequest {
            tenant_id: holder.tenant.clone(),
            consumer_id: holder.consumer.clone(),
            epoch: holder.epoch,
            ..Default::default()
        });
        async move {
            let renewed = client.heartbeat(request.context("a holder")?).await?.into_inner();
            anyhow::ensure!(renewed.lease_expire_time.is_some(), "a lease");
            Ok(())
        }
    });
    OpenLoad::of(&latencies.await?)
}

/// Calls at a rate, numbered, each at its time whether or not others are answered. Latencies are counted
/// from that time.
pub(crate) async fn open<F>(
    address: &str,
    rate: f64,
    length: Duration,
    mut call: impl FnMut(ClaimServiceClient<Channel>, u64) -> F,
) -> Result<Latencies>
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let clients = clients(address, CONNECTIONS, CONNECTIONS).await?;
    let mut under_way: JoinSet<Result<Duration>> = JoinSet::new();
    let began = Instant::now();
    for (number, client) in (0..).zip(clients.iter().cycle()) {
        let due = began + Duration::from_secs(1).mul_f64(float(number)? / rate);
        if due.duration_since(began) >= length {
            break;
        }
        tokio::time::sleep_until(due.into()).await;
        let answered = call(client.clone(), number);
        under_way.spawn(async move {
            answered.await?;
            Ok(due.elapsed())
        });
    }
    let mut latencies = Latencies::new()?;
    while let Some(latency) = under_way.join_next().await {
        latencies.record(latency??)?;
    }
    Ok(latencies)
}

impl OpenLoad {
    /// What these calls took.
    pub(crate) fn of(latencies: &Latencies) -> Result<Self> {
        Ok(Self {
            sent: latencies.count(),
            p50_ms: latencies.quantile_ms(0.5)?,
            p99_ms: latencies.quantile_ms(0.99)?,
            p999_ms: latencies.quantile_ms(0.999)?,
            max_ms: latencies.quantile_ms(1.0)?,
        })
    }
}

/// Waits for the loops, and sums up what they did since they began.
async fn measured(mut loops: JoinSet<Result<Latencies>>, began: Instant) -> Result<Measured> {
    let mut all = Latencies::new()?;
    while let Some(latencies) = loops.join_next().await {
        all.add(&latencies??)?;
    }
    Measured::of(&all, began.elapsed())
}

impl Measured {
    /// So many calls in that time.
    pub(crate) fn of(calls: &Latencies, time: Duration) -> Result<Self> {
        Ok(Self {
            per_second: float(calls.count())? / time.as_secs_f64(),
            p50_ms: calls.quantile_ms(0.5)?,
            p99_ms: calls.quantile_ms(0.99)?,
        })
    }
}
