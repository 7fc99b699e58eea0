//! One caller alone: each call of a claim's life one after the other, an echo beside them, and the same
//! as statements of one pgbench client.

use super::call;
use crate::floor;
use crate::latencies::Latencies;
use crate::load::clients;
use crate::numbers::Spread;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// The entities of the floor's mints are counted from here on, beyond those chosen by chance.
const FIRST_COUNTED: u64 = 2_000_000_000_000_000;
const COUNTED_EACH: u64 = 1_000_000;
/// pgbench measures heartbeats and authorizations for so long.
const FLOOR_LENGTH: Duration = Duration::from_secs(1);
/// Echoes that warm the connection up before anything is measured.
const WARM_UP: u32 = 50;

/// A call of a claim's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Call {
    Mint,
    Heartbeat,
    Done,
    Authorize,
}

/// Those that are compared with statements.
pub(crate) const CALLS: [Call; 4] = [Call::Mint, Call::Heartbeat, Call::Done, Call::Authorize];

/// Latencies of one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Quantiles {
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

/// All rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Alone {
    pub(crate) echo: Vec<Quantiles>,
    pub(crate) calls: Vec<Pair>,
}

/// A call and its statements.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pair {
    pub(crate) call: Call,
    pub(crate) ours: Vec<Quantiles>,
    pub(crate) statements: Vec<Quantiles>,
}

impl Alone {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        let pair = |call| Pair { call, ours: Vec::new(), statements: Vec::new() };
        Self { echo: Vec::new(), calls: CALLS.map(pair).into() }
    }

    /// One more round.
    pub(crate) fn measure(
        &mut self,
        stage: &Stage,
        runtime: &Runtime,
        address: &str,
        times: u32,
        round: u32,
    ) -> Result<()> {
        let (echo, ours) = runtime.block_on(one_caller(address, times, round))?;
        let after = FIRST_COUNTED + COUNTED_EACH * u64::from(round);
        let [mint, done] = floor::mints_and_dones(stage, times, after)?;
        let heartbeat = floor::heartbeats(stage, 1, 1_000, FLOOR_LENGTH)?;
        let authorize = floor::authorizations(stage, 1, 1_000, FLOOR_LENGTH)?;
        self.echo.push(quantiles(&echo)?);
        for (pair, latencies) in self.calls.iter_mut().zip(&ours) {
            pair.ours.push(quantiles(latencies)?);
            let floor = match pair.call {
                Call::Mint => mint,
                Call::Heartbeat => heartbeat,
                Call::Done => done,
                Call::Authorize => authorize,
            };
            pair.statements.push(Quantiles { p50_ms: floor.p50_ms, p99_ms: floor.p99_ms });
        }
        Ok(())
    }

    /// What a call takes beyond the echo, as a multiple of its statements, by the p50 of each round.
    pub(crate) fn beyond_echo(&self, pair: &Pair) -> Spread {
        let rounds = pair.ours.iter().zip(&pair.statements).zip(&self.echo);
        let ratios = rounds.map(|((ours, floor), echo)| (ours.p50_ms - echo.p50_ms) / floor.p50_ms);
        Spread::of(ratios.collect::<Vec<f64>>().into_iter())
    }
}

/// The life of a claim, again and again; latencies of each call in the order of [`CALLS`].
async fn one_caller(address: &str, times: u32, round: u32) -> Result<(Latencies, Vec<Latencies>)> {
    let mut client = clients(address, 1, 1).await?.pop().context("a client")?;
    let channel = Endpoint::from_shared(address.to_owned())?.connect().await?;
    let mut health = HealthClient::new(channel);
    let mut echo = Latencies::new()?;
    let mut all = CALLS.iter().map(|_| Latencies::new()).collect::<Result<Vec<_>>>()?;
    for _ in 0..WARM_UP {
        check(&mut health).await?;
    }
    for number in 0..times {
        let name = format!("a{round}_{number}");
        let mut token = String::new();
        let sent = Instant::now();
        check(&mut health).await?;
        echo.record(sent.elapsed())?;
        for call in [Call::Mint, Call::Heartbeat, Call::Authorize, Call::Done] {
            let sent = Instant::now();
            match call {
                Call::Mint => token = call::mint(&mut client, &name).await?,
                Call::Heartbeat => call::heartbeat(&mut client, &name).await?,
                Call::Authorize => call::authorize(&mut client, &name, &token).await?,
                Call::Done => call::done(&mut client, &name, &token).await?,
            }
            let taken = sent.elapsed();
            let place = CALLS.iter().position(|known| *known == call).context("a place")?;
            all.get_mut(place).context("a place")?.record(taken)?;
        }
    }
    Ok((echo, all))
}

/// The echo: answered by the server from memory.
pub(super) async fn check(health: &mut HealthClient<tonic::transport::Channel>) -> Result<()> {
    let answer = health.check(HealthCheckRequest { service: String::new() }).await?.into_inner();
    ensure!(answer.status() == ServingStatus::Serving, "the server serves");
    Ok(())
}

fn quantiles(latencies: &Latencies) -> Result<Quantiles> {
    Ok(Quantiles { p50_ms: latencies.quantile_ms(0.5)?, p99_ms: latencies.quantile_ms(0.99)? })
}
