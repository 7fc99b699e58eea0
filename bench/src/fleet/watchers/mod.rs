//! Watchers while claims are minted and done: one that is cut off at random and resumes, one that
//! never is, and others that want an entity's events or only the new ones. At the end what each saw
//! is compared with the table.

mod chance;
mod history;
#[cfg(test)]
mod tests;
mod traffic;
mod watcher;

use super::meter::{Meter, Shares};
use super::settings::Settings;
use crate::latencies::Latencies;
use crate::numbers::{float, grouped};
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{progress, resident};
use anyhow::{Context, Result, bail, ensure};
use chance::Chance;
use serde::Serialize;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
pub(crate) use traffic::Driven;
use traffic::{Traffic, entity};
use watcher::{Begin, Saw, Watcher};

/// How long claims are minted before anybody watches: a history to begin with.
const HEAD_START: Duration = Duration::from_secs(1);
/// Watchers of one entity each, and of what happens from now on.
const OF_ENTITIES: u32 = 5;
const FROM_NOW_ON: u32 = 3;
/// Longest wait until all have seen everything.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was asked and reached at one rate.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Watched {
    pub(crate) traffic: Driven,
    /// Rows of the table that belong to it.
    pub(crate) events: u64,
    pub(crate) watchers: Vec<Watches>,
    pub(crate) shares: Shares,
    /// The most memory that the server ever had.
    pub(crate) server_peak: u64,
}

/// Watchers of one kind.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Watches {
    pub(crate) kind: Kind,
    pub(crate) count: u64,
    /// Of all of them together; each equal to the table.
    pub(crate) events: u64,
    pub(crate) cuts: u64,
    /// How often the server ended one that was too slow; it resumed.
    pub(crate) too_slow: u64,
    /// From an event to its receipt, where it happened while the watcher was connected.
    pub(crate) lag_p50_ms: f64,
    pub(crate) lag_p99_ms: f64,
    pub(crate) lag_max_ms: f64,
}

/// What makes watchers different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// From the beginning, cut off at random.
    Cut,
    /// From the beginning, never cut off.
    Steady,
    /// One entity's events, from the beginning.
    OfEntity,
    /// From now on.
    FromNow,
}

const KINDS: [Kind; 4] = [Kind::Cut, Kind::Steady, Kind::OfEntity, Kind::FromNow];

/// At every rate, with a fresh server.
pub(crate) fn measure(settings: &Settings, stage: &Stage, sql: &Sql) -> Result<Vec<Watched>> {
    let runtime = Runtime::new()?;
    let mut all = Vec::new();
    for (round, rate) in settings.rates.iter().enumerate() {
        let rate_named = grouped((*rate).into());
        progress(&format!("watchers while {rate_named} claims a second are minted and done"));
        let mut server = Server::start(stage.url(), &[])?;
        let traffic =
            Traffic { tenant: format!("watched{round}"), rate: *rate, length: settings.watch };
        let meter = Meter::begin(&server, sql)?;
        let (driven, saw) = watch(settings, server.address(), &traffic, sql, &runtime)?;
        let shares = meter.used()?.shares();
        let server_peak = resident::peak_bytes(server.id())?;
        server.check()?;
        let events = u64::try_from(history::count(sql, &traffic.tenant)?)?;
        ensure!(
            events == 2 * driven.cycles,
            "{} mints and as many dones, but {events} events",
            driven.cycles
        );
        let watchers = KINDS.iter().map(|kind| summed(*kind, &saw)).collect::<Result<_>>()?;
        all.push(Watched { traffic: driven, events, watchers, shares, server_peak });
    }
    Ok(all)
}

/// Watches the traffic until every watcher has seen the last event, and compares.
pub(super) fn watch(
    settings: &Settings,
    address: &str,
    traffic: &Traffic,
    sql: &Sql,
    runtime: &Runtime,
) -> Result<(Driven, Vec<(Kind, Saw)>)> {
    let (last, lasts) = watch::channel(None);
    let mut watching = JoinSet::new();
    let driving = {
        let (address, traffic) = (address.to_owned(), traffic.clone());
        runtime.spawn(async move { traffic.drive(&address).await })
    };
    sleep(HEAD_START.min(traffic.length / 2));
    for (kind, watcher) in crowd(settings, address, traffic) {
        let lasts = lasts.clone();
        watching
            .spawn_on(async move { Ok((kind, watcher.follow(lasts).await?)) }, runtime.handle());
    }
    let driven = runtime.block_on(driving)??;
    progress("… until every watcher has seen the last event");
    last.send_replace(Some(Arc::new(history::lasts(sql, &traffic.tenant)?)));
    let ended = runtime.block_on(async { timeout(PATIENCE, all_of(watching)).await });
    let Ok(saw) = ended else { bail!("a watcher has not seen the last event in {PATIENCE:?}") };
    let saw = saw?;
    for (kind, saw) in &saw {
        history::compare(sql, &traffic.tenant, saw).with_context(|| {
            format!("what a watcher saw ({kind:?}) is not what is in the table")
        })?;
    }
    Ok((driven, saw))
}

async fn all_of(mut watching: JoinSet<Result<(Kind, Saw)>>) -> Result<Vec<(Kind, Saw)>> {
    let mut all = Vec::new();
    while let Some(ended) = watching.join_next().await {
        all.push(ended??);
    }
    Ok(all)
}

fn crowd(settings: &Settings, address: &str, traffic: &Traffic) -> Vec<(Kind, Watcher)> {
    let watcher = |entity, begin, cuts| Watcher {
        address: address.to_owned(),
        tenant: traffic.tenant.clone(),
        entity,
        begin,
        cuts,
    };
    let cuts = (Chance::new(settings.seed), settings.cut);
    let mut all = vec![
        (Kind::Cut, watcher(None, Begin::Oldest, Some(cuts))),
        (Kind::Steady, watcher(None, Begin::Oldest, None)),
    ];
    for number in 0..OF_ENTITIES {
        all.push((Kind::OfEntity, watcher(Some(entity(number)), Begin::Oldest, None)));
    }
    for _ in 0..FROM_NOW_ON {
        all.push((Kind::FromNow, watcher(None, Begin::Now, None)));
    }
    all
}

fn summed(kind: Kind, saw: &[(Kind, Saw)]) -> Result<Watches> {
    let mut lag = Latencies::new()?;
    let (mut count, mut events, mut cuts, mut too_slow) = (0, 0, 0, 0);
    for (_, saw) in saw.iter().filter(|(of, _)| *of == kind) {
        count += 1;
        events += u64::try_from(saw.events.len())?;
        cuts += saw.cuts;
        too_slow += saw.too_slow;
        lag.add(&saw.lag)?;
    }
    let of = |share| lag.quantile_ms(share);
    let (lag_p50_ms, lag_p99_ms, lag_max_ms) = (of(0.5)?, of(0.99)?, of(1.0)?);
    Ok(Watches { kind, count, events, cuts, too_slow, lag_p50_ms, lag_p99_ms, lag_max_ms })
}

impl Watched {
    /// Mints and dones a second.
    pub(crate) fn events_per_second(&self) -> Result<f64> {
        Ok(2.0 * float(self.traffic.cycles)? / self.traffic.seconds)
    }

    /// Watchers of a kind.
    pub(crate) fn of(&self, kind: Kind) -> Result<&Watches> {
        self.watchers.iter().find(|watches| watches.kind == kind).context("watchers of each kind")
    }
}
