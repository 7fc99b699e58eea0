//! Heartbeats at a moderate rate through gRPC, alone, and while two reapers work off claims that
//! fall due one after the other.

use super::Settings;
use super::daemon::Daemon;
use super::ground::{Claims, Ground};
use super::renewals::Renewals;
use super::report::{Beats, BeatsBeside};
use crate::load::{self, Holder};
use crate::progress;
use crate::stage::Stage;
use anyhow::{Result, ensure};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Each holder sends a heartbeat every so many seconds.
const BEAT_SECONDS: u32 = 10;
/// From when to when leases lapse after the beginning, and before the end, of the heartbeats: so early
/// that the claims fall due, and are expired, meanwhile.
const LAPSE_SECONDS: (f64, f64) = (2.0, -10.0);
/// Longest wait until the last due claims are expired.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);

/// Both, one after the other.
pub(crate) fn measure(
    settings: &Settings,
    stage: &Stage,
    ground: &mut Ground,
    address: &str,
) -> Result<BeatsBeside> {
    ground.grow_to(Claims { live: settings.live, finished: 0 })?;
    ground.settle()?;
    let holders = (settings.rate.saturating_mul(BEAT_SECONDS)).min(settings.live / 4);
    let holders: Vec<Holder> = ground
        .holders(holders)?
        .into_iter()
        .map(|(tenant, consumer, epoch)| Holder { tenant, consumer, epoch })
        .collect();
    let count = u32::try_from(holders.len())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let beat = |ground: &Ground| beat(settings, ground, &runtime, address, &holders);

    progress(&format!("{} heartbeats a second, nothing else", settings.rate));
    let alone = beat(ground)?;

    let expiring = settings.due / 2;
    progress(&format!("{} heartbeats a second while {expiring} claims expire", settings.rate));
    let load = settings.load.as_secs_f64();
    let mut reapers = [Daemon::start(stage, "1", &[])?, Daemon::start(stage, "2", &[])?];
    for reaper in &mut reapers {
        reaper.await_self_checks(1)?;
    }
    ground.age(expiring, LAPSE_SECONDS.0, load + LAPSE_SECONDS.1)?;
    let before = expired_so_far(ground)?;
    let beside = beat(ground)?;
    let meanwhile = expired_so_far(ground)? - before;
    await_expiry(ground, expiring)?;
    for reaper in &mut reapers {
        reaper.check()?;
    }
    ensure!(meanwhile > 0 || expiring == 0, "nothing expired beside the heartbeats");
    let expired = u64::try_from(meanwhile)?;
    Ok(BeatsBeside { holders: count, due: expiring, expired, alone, beside })
}

/// Heartbeats for the length of the measurement.
fn beat(
    settings: &Settings,
    ground: &Ground,
    runtime: &tokio::runtime::Runtime,
    address: &str,
    holders: &[Holder],
) -> Result<Beats> {
    let renewals = Renewals::count(ground.sql())?;
    let measured =
        runtime.block_on(load::open_heartbeats(address, holders, settings.rate, settings.load))?;
    let renewed = renewals.await_at_least(measured.sent)?;
    Ok(Beats { heap_only_percent: renewed.heap_only_percent()?, measured })
}

/// Claims that passes have recorded as expired.
fn expired_so_far(ground: &Ground) -> Result<i64> {
    ground.sql().value("SELECT coalesce(sum(expired), 0)::bigint FROM reaper_passes")
}

/// Waits until all of them are.
fn await_expiry(ground: &mut Ground, count: u32) -> Result<()> {
    ground.expired(count);
    let began = Instant::now();
    loop {
        let verdict = ground.check();
        if verdict.is_ok() || began.elapsed() > PATIENCE {
            return verdict;
        }
        sleep(LOOK);
    }
}
