//! One who is not to blame: a holder that heartbeats now and then, and looks whether the server is
//! there.

use super::super::alone::check;
use super::super::call::{self, Client};
use crate::latencies::Latencies;
use crate::load::clients;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tonic::transport::Endpoint;
use tonic_health::pb::health_client::HealthClient;

/// From one heartbeat to the next.
const PAUSE: Duration = Duration::from_millis(20);
const NAME: &str = "bystander";

/// What it saw.
pub(super) struct Bystander {
    pub(super) heartbeats: Latencies,
    /// Heartbeats that were not accepted.
    pub(super) failed: u64,
    pub(super) echoes: Latencies,
}

impl Bystander {
    /// Mints its claim.
    pub(super) async fn arrive(address: &str) -> Result<Client> {
        let mut client = clients(address, 1, 1).await?.pop().context("a client")?;
        call::mint(&mut client, NAME).await?;
        Ok(client)
    }

    /// Heartbeats until told that it is over.
    pub(super) async fn watch(
        mut client: Client,
        address: &str,
        over: watch::Receiver<bool>,
    ) -> Result<Self> {
        let mut health =
            HealthClient::new(Endpoint::from_shared(address.to_owned())?.connect().await?);
        let (heartbeats, echoes) = (Latencies::new()?, Latencies::new()?);
        let mut seen = Self { heartbeats, failed: 0, echoes };
        while !*over.borrow() {
            let sent = Instant::now();
            check(&mut health).await?;
            seen.echoes.record(sent.elapsed())?;
            let sent = Instant::now();
            match call::heartbeat(&mut client, NAME).await {
                Ok(()) => seen.heartbeats.record(sent.elapsed())?,
                Err(_) => seen.failed += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(seen)
    }
}
