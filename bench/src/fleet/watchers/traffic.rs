//! Claims that are minted and done as fast as asked: each mint at its time, its done when the mint is
//! answered. A mint waits if no entity is idle, so a server that cannot keep up is not flooded; the
//! wait counts.

use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, clients};
use crate::numbers::float;
use anyhow::{Context, Result, ensure};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::{DoneOutcome, DoneRequest, EntityState, MintRequest};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tonic::transport::Channel;

/// Entities, and so most claims at the same time.
const ENTITIES: u32 = 1_000;
/// One done in so many says that the work failed, for the sake of other events.
const FAILED_IN: u64 = 8;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Traffic {
    pub(crate) tenant: String,
    /// Mints a second, and as many dones.
    pub(crate) rate: u32,
    pub(crate) length: Duration,
}

/// What was reached.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Driven {
    /// Mints a second that were asked for, and as many dones.
    pub(crate) asked: u32,
    /// Mints, each with its done.
    pub(crate) cycles: u64,
    /// Until the last was answered.
    pub(crate) seconds: f64,
    /// From when the mint was to be sent to the answer to its done.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// The name of an entity.
pub(crate) fn entity(number: u32) -> String {
    format!("/watched/{number}")
}

impl Traffic {
    /// Mints and ends claims for the length that is asked. Fails if anything is refused.
    pub(crate) async fn drive(&self, address: &str) -> Result<Driven> {
        let clients = clients(address, CONNECTIONS, CONNECTIONS).await?;
        let (free, mut idle) = mpsc::unbounded_channel();
        for number in 0..ENTITIES {
            free.send(number)?;
        }
        let mut latencies = Latencies::new()?;
        let mut under_way: JoinSet<Result<Duration>> = JoinSet::new();
        let began = Instant::now();
        for (number, client) in (0_u64..).zip(clients.iter().cycle()) {
            let due = Duration::from_secs(1).mul_f64(float(number)? / f64::from(self.rate));
            if due.max(began.elapsed()) >= self.length {
                break;
            }
            tokio::time::sleep_until((began + due).into()).await;
            let entity = idle.recv().await.context("an idle entity")?;
            let (cycle, free) = (self.cycle(client.clone(), number, entity), free.clone());
            under_way.spawn(async move {
                cycle.await?;
                free.send(entity)?;
                Ok((began + due).elapsed())
            });
            while let Some(latency) = under_way.try_join_next() {
                latencies.record(latency??)?;
            }
        }
        while let Some(latency) = under_way.join_next().await {
            latencies.record(latency??)?;
        }
        Ok(Driven {
            asked: self.rate,
            cycles: latencies.count(),
            seconds: began.elapsed().as_secs_f64(),
            p50_ms: latencies.quantile_ms(0.5)?,
            p99_ms: latencies.quantile_ms(0.99)?,
        })
    }

    /// One claim from mint to done.
    fn cycle(
        &self,
        mut client: ClaimServiceClient<Channel>,
        number: u64,
        entity_number: u32,
    ) -> impl Future<Output = Result<()>> + Send + use<> {
        let tenant_id = self.tenant.clone();
        async move {
            let request = MintRequest {
                tenant_id: tenant_id.clone(),
                entity_url: entity(entity_number),
                consumer_id: format!("w{number}"),
                runner_id: "bench".into(),
                request_id: number.to_string(),
                ..Default::default()
            };
            let minted = client.mint(request).await?.into_inner();
            let claim = minted.claim.context("a claim")?;
            ensure!(!minted.reminted && minted.ended_predecessor.is_none(), "a fresh claim");
            let outcome = match number % FAILED_IN {
                0 => DoneOutcome::Failed,
                _ => DoneOutcome::Completed,
            };
            let request = DoneRequest {
                tenant_id,
                consumer_id: claim.consumer_id,
                epoch: claim.epoch,
                write_token: minted.write_token,
                outcome: outcome.into(),
                ..Default::default()
            };
            let done = client.done(request).await?.into_inner();
            ensure!(done.entity_cleared && !done.already_ended, "an end that counts: {done:?}");
            ensure!(done.entity_state() == EntityState::Idle, "an idle entity: {done:?}");
            Ok(())
        }
    }
}
