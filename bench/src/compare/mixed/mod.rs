//! A fleet with all it does: thousands of holders, each of which heartbeats at its times, asks whether it
//! may write, and now and then is done and comes back with the next epoch; and a reaper, which would expire
//! whom the service does not hear.

mod holder;
mod section;

use super::settings::Settings;
use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, OpenLoad, clients};
use crate::numbers::grouped;
use crate::programs::Server;
use crate::progress;
use crate::reaper::daemon::Daemon;
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::{Context, Result, ensure};
use holder::{Fleet, Holder};
use serde::Serialize;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The default lease.
const TTL: Duration = Duration::from_secs(30);
/// A third of it, as the service suggests.
const PERIOD: Duration = Duration::from_secs(10);
/// Of the periods of a holder, one in so many begins with a done in place of a heartbeat.
const CHURN: u32 = 20;
const PERIODS: u32 = 6;
const PERIODS_QUICK: u32 = 1;
/// Mints at the same time before it begins.
const MINTERS: u32 = 64;
/// Heartbeats begin so long after the last mint.
const LEAD: Duration = Duration::from_millis(500);
const END: &str = include_str!("../../../sql/compare/fleet_end.sql");

/// A call of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    Heartbeat,
    Authorize,
    Done,
    Mint,
}

/// All of them.
const KINDS: [Kind; 4] = [Kind::Heartbeat, Kind::Authorize, Kind::Done, Kind::Mint];

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Mixed {
    pub(crate) holders: u32,
    pub(crate) seconds: f64,
    /// Latencies are from when a call was to be sent.
    pub(crate) calls: Vec<(Kind, OpenLoad)>,
}

/// Measures.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Mixed> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let mut server = Server::start(stage.url(), &[])?;
    let mut daemon = Daemon::start(&stage, "fleet", &[])?;
    let periods = if settings.quick { PERIODS_QUICK } else { PERIODS };
    let count = settings.fleet;
    progress(&format!("{} holders, {:?}", grouped(count.into()), PERIOD * periods));
    let holders = runtime.block_on(mint(server.address(), count))?;
    // As in a database that has been in use for a minute.
    sql.batch("VACUUM (ANALYZE)")?;
    let calls = runtime.block_on(live(holders, periods))?;
    server.check()?;
    daemon.check()?;
    check_end(&sql, count, &calls)?;
    let seconds = (PERIOD * periods).as_secs_f64();
    let told = calls.iter().map(|(kind, latencies)| Ok((*kind, OpenLoad::of(latencies)?)));
    Ok(Mixed { holders: count, seconds, calls: told.collect::<Result<_>>()? })
}

/// Mints the claims of so many holders.
async fn mint(address: &str, count: u32) -> Result<Vec<Holder>> {
    let clients = clients(address, CONNECTIONS, usize::try_from(MINTERS)?).await?;
    let mut minters: JoinSet<Result<Vec<Holder>>> = JoinSet::new();
    for (minter, client) in (0..MINTERS).zip(clients) {
        minters.spawn(async move {
            let mut minted = Vec::new();
            for number in (minter..count).step_by(usize::try_from(MINTERS)?) {
                minted.push(Holder::mint(client.clone(), number).await?);
            }
            Ok(minted)
        });
    }
    let mut holders = Vec::new();
    while let Some(minted) = minters.join_next().await {
        holders.extend(minted??);
    }
    Ok(holders)
}

/// Has them live for so many periods; latencies of their calls.
async fn live(holders: Vec<Holder>, periods: u32) -> Result<Vec<(Kind, Latencies)>> {
    let count = u32::try_from(holders.len())?;
    let (tell, mut told) = mpsc::unbounded_channel();
    let fleet = Fleet { began: Instant::now() + LEAD, count, periods };
    let mut lives = JoinSet::new();
    for holder in holders {
        lives.spawn(holder.live(fleet, tell.clone()));
    }
    drop(tell);
    let mut all = Vec::new();
    for kind in KINDS {
        all.push((kind, Latencies::new()?));
    }
    while let Some((kind, latency)) = told.recv().await {
        let known = all.iter_mut().find(|(known, _)| *known == kind);
        known.context("a kind")?.1.record(latency)?;
    }
    while let Some(lived) = lives.join_next().await {
        lived??;
    }
    Ok(all)
}

/// Fails unless every holder has its claim, and everything that was answered is in the tables, no more
/// and no less.
fn check_end(sql: &Sql, holders: u32, calls: &[(Kind, Latencies)]) -> Result<()> {
    let count = |kind| {
        let found = calls.iter().find(|(known, _)| *known == kind);
        Ok::<_, anyhow::Error>(i64::try_from(found.context("a kind")?.1.count())?)
    };
    let (holders, mints, dones) = (i64::from(holders), count(Kind::Mint)?, count(Kind::Done)?);
    ensure!(mints == dones, "{dones} dones, but {mints} came back");
    let rows = sql.rows(END, &[])?;
    let row = rows.first().context("the end")?;
    let found = (0..9).map(|column| row.try_get(column)).collect::<Result<Vec<i64>, _>>()?;
    let minted = holders + mints;
    let expected = [holders, dones, 0, holders, holders, holders, minted, minted, dones];
    ensure!(
        found == expected,
        "active, released, ended otherwise, leases, of those running, running entities, fences, minted and \
         released events: {found:?}, not {expected:?}"
    );
    Ok(())
}
