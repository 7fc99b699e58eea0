//! The ways in which heartbeats reach the server. Every answer must be a renewal.

use crate::fleet::holders::{Turns, accept, heartbeat};
use crate::fleet::line::Line;
use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, Measured, clients};
use crate::numbers::float;
use anyhow::{Context, Result, bail, ensure};
use claim_proto::v1::HeartbeatBatchRequest;
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::heartbeat_result::Result as Outcome;
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Heartbeats of a batch: as many as the contract allows.
pub(crate) const BATCH: usize = 500;

/// Who sends heartbeats of which claims for how long.
#[derive(Clone, Copy)]
pub(crate) struct Crowd<'a> {
    pub(crate) address: &'a str,
    pub(crate) callers: u32,
    pub(crate) claims: u32,
    pub(crate) length: Duration,
}

/// What was accepted.
pub(crate) struct Beaten {
    pub(crate) accepted: u64,
    /// Claims that were heard of.
    pub(crate) touched: u64,
    pub(crate) measured: Measured,
}

/// What was accepted of one caller.
struct Part {
    accepted: u64,
    touched: u64,
    latencies: Latencies,
}

impl Crowd<'_> {
    /// Has every caller do its part at the same time.
    async fn all<F>(
        self,
        part: impl Fn(ClaimServiceClient<Channel>, Turns, Instant) -> F,
    ) -> Result<Beaten>
    where
        F: Future<Output = Result<Part>> + Send + 'static,
    {
        let clients = clients(self.address, CONNECTIONS, usize::try_from(self.callers)?).await?;
        let began = Instant::now();
        let mut parts = JoinSet::new();
        for (caller, client) in (0..self.callers).zip(clients) {
            let turns = Turns::of(caller, self.callers, self.claims);
            parts.spawn(part(client, turns, began + self.length));
        }
        let (mut accepted, mut touched, mut latencies) = (0, 0, Latencies::new()?);
        while let Some(part) = parts.join_next().await {
            let part = part??;
            accepted += part.accepted;
            touched += part.touched;
            latencies.add(&part.latencies)?;
        }
        let time = began.elapsed();
        let per_second = float(accepted)? / time.as_secs_f64();
        let measured = Measured { per_second, ..Measured::of(&latencies, time)? };
        Ok(Beaten { accepted, touched, measured })
    }
}

/// Each a call.
pub(crate) async fn unary(crowd: Crowd<'_>) -> Result<Beaten> {
    crowd.all(one_by_one).await
}

async fn one_by_one(
    mut client: ClaimServiceClient<Channel>,
    mut turns: Turns,
    until: Instant,
) -> Result<Part> {
    let mut latencies = Latencies::new()?;
    while Instant::now() < until {
        let sent = Instant::now();
        accept(client.heartbeat(heartbeat(turns.next()?)).await?.get_ref())?;
        latencies.record(sent.elapsed())?;
    }
    Ok(Part { accepted: latencies.count(), touched: turns.touched(), latencies })
}

/// A stream for each caller, with so many heartbeats under way.
pub(crate) async fn keep_alive(crowd: Crowd<'_>, under_way: u32) -> Result<Beaten> {
    crowd.all(move |client, turns, until| over_a_stream(client, turns, until, under_way)).await
}

async fn over_a_stream(
    mut client: ClaimServiceClient<Channel>,
    mut turns: Turns,
    until: Instant,
    under_way: u32,
) -> Result<Part> {
    let mut line = Line::open(&mut client, usize::try_from(under_way)?).await?;
    let mut latencies = Latencies::new()?;
    let mut waiting = HashMap::new();
    let mut tags = 1..;
    for tag in tags.by_ref().take(usize::try_from(under_way)?) {
        waiting.insert(tag, Instant::now());
        line.send(tag, turns.next()?).await?;
    }
    while !waiting.is_empty() {
        let answered = line.answered().await?;
        let sent: Instant = waiting.remove(&answered).context("an answer to nothing")?;
        latencies.record(sent.elapsed())?;
        if Instant::now() < until {
            let tag = tags.next().context("a tag")?;
            waiting.insert(tag, Instant::now());
            line.send(tag, turns.next()?).await?;
        }
    }
    line.close().await?;
    Ok(Part { accepted: latencies.count(), touched: turns.touched(), latencies })
}

/// In calls of 500.
pub(crate) async fn batches(crowd: Crowd<'_>) -> Result<Beaten> {
    crowd.all(in_batches).await
}

async fn in_batches(
    mut client: ClaimServiceClient<Channel>,
    mut turns: Turns,
    until: Instant,
) -> Result<Part> {
    let (mut accepted, mut latencies) = (0, Latencies::new()?);
    while Instant::now() < until {
        let heartbeats =
            (0..BATCH).map(|_| Ok(heartbeat(turns.next()?))).collect::<Result<Vec<_>>>()?;
        let sent = Instant::now();
        let answer = client.heartbeat_batch(HeartbeatBatchRequest { heartbeats }).await?;
        latencies.record(sent.elapsed())?;
        let results = answer.into_inner().results;
        ensure!(results.len() == BATCH, "{} results of {BATCH}", results.len());
        for result in results {
            match result.result.context("a result")? {
                Outcome::Response(response) => accept(&response)?,
                Outcome::Error(status) => bail!("a heartbeat was refused: {status:?}"),
            }
            accepted += 1;
        }
    }
    Ok(Part { accepted, touched: turns.touched(), latencies })
}
