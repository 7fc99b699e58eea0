//! What the server keeps in memory for streams: a fresh server for each number of them, looked at
//! before anybody connects, with connections only, with idle streams, while each heartbeats, and when
//! all have left.

use super::heartbeats::check_moved;
use super::meter::{Meter, Shares};
use super::settings;
use super::streams::{Schedule, Streams, connect};
use crate::numbers::{float, grouped};
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{progress, resident};
use anyhow::Result;
use serde::Serialize;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};
use tokio::runtime::Runtime;

/// Until the server has done what a start or a departure makes it do.
const SETTLE: Duration = Duration::from_secs(3);
/// Between two looks while streams heartbeat.
const LOOK: Duration = Duration::from_millis(500);

/// Bytes of the server in memory, with so many streams.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Memory {
    pub(crate) streams: u32,
    pub(crate) connections: u32,
    /// Before anybody connects.
    pub(crate) started: u64,
    /// With connections, without streams.
    pub(crate) connected: u64,
    /// With streams each of which has heartbeaten once, some time ago.
    pub(crate) idle: u64,
    pub(crate) idle_shares: Shares,
    /// None without streams.
    pub(crate) beating: Option<Beating>,
    /// After all streams have ended.
    pub(crate) streams_left: u64,
    /// After all connections have.
    pub(crate) all_left: u64,
    /// The most that there ever was.
    pub(crate) peak: u64,
}

/// While each stream heartbeats.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Beating {
    /// The most that was seen meanwhile.
    pub(crate) bytes: u64,
    pub(crate) shares: Shares,
    pub(crate) heartbeats: u64,
    /// From when a heartbeat was to be sent.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Memory {
    /// What a stream and its share of a connection add, idle.
    pub(crate) fn idle_each(&self) -> Result<f64> {
        Ok(float(self.idle.saturating_sub(self.started))? / f64::from(self.streams.max(1)))
    }
}

impl Beating {
    /// What a stream and its share of a connection add while it heartbeats.
    pub(crate) fn each(&self, memory: &Memory) -> Result<f64> {
        Ok(float(self.bytes.saturating_sub(memory.started))? / f64::from(memory.streams.max(1)))
    }
}

/// How the streams are opened, and for how long they do what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// That they share.
    pub(crate) connections: u32,
    pub(crate) idle: Duration,
    pub(crate) beats: Duration,
    /// From one heartbeat of a stream to its next.
    pub(crate) interval: Duration,
}

/// With no stream, and with each number of them.
pub(crate) fn measure(
    settings: &settings::Settings,
    stage: &Stage,
    sql: &Sql,
) -> Result<Vec<Memory>> {
    let runtime = Runtime::new()?;
    let counts = [0].into_iter().chain(settings.streams.iter().copied());
    let settings::Settings { connections, idle, beats, interval, .. } = *settings;
    let settings = Settings { connections, idle, beats, interval };
    counts.map(|count| with(count, settings, stage, sql, &runtime)).collect()
}

/// With so many, whose claims there are.
pub(crate) fn with(
    count: u32,
    settings: Settings,
    stage: &Stage,
    sql: &Sql,
    runtime: &Runtime,
) -> Result<Memory> {
    let streams_named = grouped(count.into());
    progress(&format!("memory with {streams_named} streams"));
    let mut server = Server::start(stage.url(), &[])?;
    let bytes = || resident::bytes(server.id());
    sleep(SETTLE);
    let started = bytes()?;
    let connections = settings.connections.min(count);
    let clients = runtime.block_on(connect(server.address(), connections))?;
    sleep(SETTLE);
    let connected = bytes()?;

    let mut streams = runtime.block_on(Streams::open(clients, count))?;
    let meter = Meter::begin(&server, sql)?;
    sleep(settings.idle);
    let (idle, idle_shares) = (bytes()?, meter.used()?.shares());
    let beating = match count {
        0 => None,
        _ => Some(beat(&mut streams, settings, &server, sql, runtime)?),
    };

    let clients = runtime.block_on(streams.close())?;
    sleep(SETTLE);
    let streams_left = bytes()?;
    drop(clients);
    sleep(SETTLE);
    let (all_left, peak) = (bytes()?, resident::peak_bytes(server.id())?);
    server.check()?;
    Ok(Memory {
        streams: count,
        connections,
        started,
        connected,
        idle,
        idle_shares,
        beating,
        streams_left,
        all_left,
        peak,
    })
}

fn beat(
    streams: &mut Streams,
    settings: Settings,
    server: &Server,
    sql: &Sql,
    runtime: &Runtime,
) -> Result<Beating> {
    progress("… each with a heartbeat each interval");
    let since: SystemTime = sql.value("SELECT clock_timestamp()")?;
    let meter = Meter::begin(server, sql)?;
    let began = Instant::now();
    streams.beat(Schedule { length: settings.beats, interval: settings.interval });
    let mut bytes = 0;
    while began.elapsed() < settings.beats {
        sleep(LOOK);
        bytes = bytes.max(resident::bytes(server.id())?);
    }
    let shares = meter.used()?.shares();
    let latencies = runtime.block_on(streams.rest())?;
    let heartbeats = latencies.count();
    check_moved(sql, since, u64::from(streams.count()))?;
    let (p50_ms, p99_ms) = (latencies.quantile_ms(0.5)?, latencies.quantile_ms(0.99)?);
    Ok(Beating { bytes, shares, heartbeats, p50_ms, p99_ms })
}
