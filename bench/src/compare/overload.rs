//! Ten times as many mints as the server manages, sent at their times whether or not others are
//! answered, and what one feels who heartbeats meanwhile.
//!
//! The generator shares the cores with the server and Postgres. At ten times capacity a client of
//! gRPC would take most of them, so this one writes and reads the frames of HTTP/2 itself: one thread,
//! every millisecond. What it costs is measured too.

mod answer;
mod bystander;
mod connection;
mod flood;
mod frame;
#[cfg(test)]
mod tests;

use super::crowd::Crowd;
use super::settings::Settings;
use crate::fleet::meter::Meter;
use crate::numbers::float;
use crate::programs::Server;
use crate::sql::Sql;
use crate::{cpu, progress, resident};
use anyhow::{Result, ensure};
use bystander::Bystander;
pub(crate) use flood::{CONNECTIONS, Flood};
use serde::Serialize;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// How many times what the server manages.
pub(crate) const TIMES: f64 = 10.0;
/// Claims that were minted by the flood.
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
    pub(crate) connections: usize,
    /// Calls under way, at most.
    pub(crate) under_way: usize,
    /// Due while no connection took another.
    pub(crate) not_sent: u64,
    pub(crate) minted_per_second: f64,
    pub(crate) refused: u64,
    /// Of those, with RetryInfo.
    pub(crate) refused_saying_when: u64,
    /// Refused with another code than RESOURCE_EXHAUSTED.
    pub(crate) failed: u64,
    pub(crate) refused_p50_ms: f64,
    pub(crate) refused_p99_ms: f64,
    pub(crate) minted_p50_ms: f64,
    pub(crate) minted_p99_ms: f64,
    /// Heartbeats of a bystander, of which so many were not accepted.
    pub(crate) heartbeats: u64,
    pub(crate) heartbeats_failed: u64,
    pub(crate) heartbeat_p50_ms: f64,
    pub(crate) heartbeat_p99_ms: f64,
    pub(crate) echo_p50_ms: f64,
    pub(crate) echo_p99_ms: f64,
    /// Shares of one core.
    pub(crate) generator_percent: f64,
    pub(crate) server_percent: f64,
    pub(crate) postgres_percent: f64,
    pub(crate) memory_before: u64,
    pub(crate) memory_peak: u64,
}

/// Processor time while calls were sent, as shares of one core.
struct Shares {
    generator: f64,
    server: f64,
    postgres: f64,
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
    let memory_before = resident::bytes(server.id())?;
    let rate = peak.per_second * TIMES;
    progress(&format!("overload: {rate:.0} mints a second"));
    let (flood, bystander, shares) = both(server, sql, runtime, rate, length)?;
    let minted: i64 = sql.value(MINTED)?;
    ensure!(
        u64::try_from(minted)? == flood.minted.count(),
        "{} mints were accepted, but {minted} are in the table",
        flood.minted.count()
    );
    if let Some(code) = flood.failed_with {
        progress(&format!("overload: some calls failed with {code:?}"));
    }
    let Flood { seconds, .. } = flood;
    Ok(Overload {
        peak_per_second: peak.per_second,
        asked_per_second: rate,
        sent_per_second: float(flood.sent)? / seconds,
        connections: CONNECTIONS,
        under_way: flood.under_way,
        not_sent: flood.not_sent,
        minted_per_second: float(flood.in_time)? / seconds,
        refused: flood.refused.count(),
        refused_saying_when: flood.says_when,
        failed: flood.failed,
        refused_p50_ms: flood.refused.quantile_ms(0.5)?,
        refused_p99_ms: flood.refused.quantile_ms(0.99)?,
        minted_p50_ms: flood.minted.quantile_ms(0.5)?,
        minted_p99_ms: flood.minted.quantile_ms(0.99)?,
        heartbeats: bystander.heartbeats.count(),
        heartbeats_failed: bystander.failed,
        heartbeat_p50_ms: bystander.heartbeats.quantile_ms(0.5)?,
        heartbeat_p99_ms: bystander.heartbeats.quantile_ms(0.99)?,
        echo_p50_ms: bystander.echoes.quantile_ms(0.5)?,
        echo_p99_ms: bystander.echoes.quantile_ms(0.99)?,
        generator_percent: shares.generator,
        server_percent: shares.server,
        postgres_percent: shares.postgres,
        memory_before,
        memory_peak: resident::peak_bytes(server.id())?,
    })
}

/// The flood, and the bystander meanwhile.
fn both(
    server: &Server,
    sql: &Sql,
    runtime: &Runtime,
    rate: f64,
    length: Duration,
) -> Result<(Flood, Bystander, Shares)> {
    let address = server.address().to_owned();
    let client = runtime.block_on(Bystander::arrive(&address))?;
    let (over, told) = watch::channel(false);
    let bystander = {
        let address = address.clone();
        runtime.spawn(async move { Bystander::watch(client, &address, told).await })
    };
    let meter = Meter::begin(server, sql)?;
    let generator = cpu::of_process(std::process::id())?;
    let flood = Flood::send(&address, rate, length);
    let generator = cpu::of_process(std::process::id())?.saturating_sub(generator);
    let used = meter.used()?;
    over.send_replace(true);
    let bystander = runtime.block_on(bystander)??;
    let (generator, used) = (used.percent(generator), used.shares());
    let shares = Shares { generator, server: used.server_percent, postgres: used.postgres_percent };
    Ok((flood?, bystander, shares))
}
