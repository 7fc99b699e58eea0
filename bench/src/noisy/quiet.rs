//! A tenant that does its ordinary work: it mints, heartbeats and ends claims at their times.

use crate::compare::call;
use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, clients};
use crate::numbers::float;
use anyhow::Result;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// What it felt.
pub(super) struct Quiet {
    /// Latencies of all its calls; of a mint from when it was due, of the others from when the answer
    /// before was there.
    pub(super) calls: Latencies,
}

impl Quiet {
    /// Lives so many lives a second, each at its time whether or not others have ended. Every answer is
    /// verified.
    pub(super) async fn watch(
        address: &str,
        lives: u32,
        length: Duration,
        prefix: &str,
    ) -> Result<Self> {
        let clients = clients(address, CONNECTIONS, CONNECTIONS).await?;
        let mut under_way: JoinSet<Result<[Duration; 3]>> = JoinSet::new();
        let began = Instant::now();
        for (number, client) in (0..).zip(clients.iter().cycle()) {
            let due = began + Duration::from_secs(1).mul_f64(float(number)? / f64::from(lives));
            if due.duration_since(began) >= length {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            let (mut client, name) = (client.clone(), format!("{prefix}{number}"));
            under_way.spawn(async move {
                let token = call::mint(&mut client, &name).await?;
                let (minted, sent) = (due.elapsed(), Instant::now());
                call::heartbeat(&mut client, &name).await?;
                let (renewed, sent) = (sent.elapsed(), Instant::now());
                call::done(&mut client, &name, &token).await?;
                Ok([minted, renewed, sent.elapsed()])
            });
        }
        let mut calls = Latencies::new()?;
        while let Some(life) = under_way.join_next().await {
            for latency in life?? {
                calls.record(latency)?;
            }
        }
        Ok(Self { calls })
    }
}
