//! Ten times as many mints as the server manages, sent at their times whether or not others are
//! answered.

use super::call::{Client, fresh, says_when};
use super::crowd::Crowd;
use super::settings::Settings;
use crate::latencies::Latencies;
use crate::load::clients;
use crate::numbers::float;
use crate::programs::Server;
use crate::sql::Sql;
use crate::{progress, resident};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic::Code;

/// How many times what the server manages.
pub(crate) const TIMES: f64 = 10.0;
/// Enough for all calls under way: a connection takes 1 024.
const CONNECTIONS: usize = 64;
/// Calls under way; a call that would be one more is not sent, and counted.
const UNDER_WAY_MAX: usize = 60_000;
const TICK: Duration = Duration::from_millis(1);
/// Claims that were minted under this name.
const MINTED: &str = "SELECT count(*) FROM consumer_claims AS c
    JOIN claim_leases AS l USING (tenant_id, consumer_id, epoch)
    WHERE c.tenant_id = 'bench' AND starts_with(c.consumer_id, 'o_') AND c.state = 'active'";

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Overload {
    /// Mints of a closed loop.
    pub(crate) peak_per_second: f64,
    pub(crate) asked_per_second: f64,
    /// What the generator managed to send, sharing the cores with the server.
    pub(crate) sent_per_second: f64,
    pub(crate) minted_per_second: f64,
    pub(crate) refused: u64,
    /// Of those, with RetryInfo.
    pub(crate) refused_saying_when: u64,
    /// Refused with another code than RESOURCE_EXHAUSTED.
    pub(crate) failed: u64,
    pub(crate) not_sent: u64,
    pub(crate) refused_p50_ms: f64,
    pub(crate) refused_p99_ms: f64,
    pub(crate) minted_p99_ms: f64,
    pub(crate) memory_before: u64,
    pub(crate) memory_peak: u64,
}

/// The answer to a call.
enum Answer {
    Minted,
    Refused { says_when: bool },
    Failed(Code),
}

/// Measures.
pub(crate) fn measure(
    settings: &Settings,
    sql: &Sql,
    server: &Server,
    runtime: &Runtime,
) -> Result<Overload> {
    progress("overload: what the server manages");
    let Settings { callers, length, .. } = *settings;
    let crowd = Crowd { address: server.address(), callers, length };
    let (peak, count) = runtime.block_on(crowd.mints("p_"))?;
    ensure!(count > 0, "a mint");
    let before = resident::bytes(server.id())?;
    let rate = peak.per_second * TIMES;
    progress(&format!("overload: {rate:.0} mints a second"));
    let flood = runtime.block_on(flood(server.address(), rate, length))?;
    let minted: i64 = sql.value(MINTED)?;
    ensure!(
        u64::try_from(minted)? == flood.minted.count(),
        "{} mints were accepted, but {minted} are in the table",
        flood.minted.count()
    );
    if let Some(code) = flood.failed_with {
        progress(&format!("overload: some calls failed with {code:?}"));
    }
    let seconds = flood.seconds;
    Ok(Overload {
        peak_per_second: peak.per_second,
        asked_per_second: rate,
        sent_per_second: float(flood.sent)? / seconds,
        minted_per_second: float(flood.in_time)? / seconds,
        refused: flood.refused.count(),
        refused_saying_when: flood.says_when,
        failed: flood.failed,
        not_sent: flood.not_sent,
        refused_p50_ms: flood.refused.quantile_ms(0.5)?,
        refused_p99_ms: flood.refused.quantile_ms(0.99)?,
        minted_p99_ms: flood.minted.quantile_ms(0.99)?,
        memory_before: before,
        memory_peak: resident::peak_bytes(server.id())?,
    })
}

struct Flood {
    sent: u64,
    not_sent: u64,
    /// While calls were sent.
    seconds: f64,
    minted: Latencies,
    /// Minted while calls were sent.
    in_time: u64,
    refused: Latencies,
    says_when: u64,
    failed: u64,
    failed_with: Option<Code>,
}

async fn flood(address: &str, rate: f64, length: Duration) -> Result<Flood> {
    let clients = clients(address, CONNECTIONS, CONNECTIONS).await?;
    let mut flood = Flood {
        sent: 0,
        not_sent: 0,
        seconds: 0.0,
        minted: Latencies::new()?,
        in_time: 0,
        refused: Latencies::new()?,
        says_when: 0,
        failed: 0,
        failed_with: None,
    };
    let mut under_way = JoinSet::new();
    let began = Instant::now();
    let mut ticks = tokio::time::interval(TICK);
    let mut turns = clients.iter().cycle();
    while began.elapsed() < length {
        ticks.tick().await;
        while float(flood.sent + flood.not_sent)? < rate * began.elapsed().as_secs_f64() {
            if under_way.len() >= UNDER_WAY_MAX {
                flood.not_sent += 1;
                continue;
            }
            let client = turns.next().context("a client")?.clone();
            under_way.spawn(one(client, flood.sent));
            flood.sent += 1;
        }
        while let Some(answer) = under_way.try_join_next() {
            flood.count(answer??)?;
        }
    }
    flood.seconds = began.elapsed().as_secs_f64();
    flood.in_time = flood.minted.count();
    while let Some(answer) = under_way.join_next().await {
        flood.count(answer??)?;
    }
    Ok(flood)
}

impl Flood {
    fn count(&mut self, (answer, latency): (Answer, Duration)) -> Result<()> {
        match answer {
            Answer::Minted => self.minted.record(latency)?,
            Answer::Refused { says_when } => {
                self.says_when += u64::from(says_when);
                self.refused.record(latency)?;
            }
            Answer::Failed(code) => {
                self.failed += 1;
                self.failed_with = Some(code);
            }
        }
        Ok(())
    }
}

async fn one(mut client: Client, number: u64) -> Result<(Answer, Duration)> {
    let request = fresh(&format!("o_{number}"));
    let sent = Instant::now();
    let answer = client.mint(request).await;
    let latency = sent.elapsed();
    let answer = match answer {
        Ok(minted) => {
            ensure!(minted.into_inner().claim.context("a claim")?.fence == 1, "a fresh entity");
            Answer::Minted
        }
        Err(refusal) if refusal.code() == Code::ResourceExhausted => {
            Answer::Refused { says_when: says_when(&refusal) }
        }
        Err(failure) => Answer::Failed(failure.code()),
    };
    Ok((answer, latency))
}
