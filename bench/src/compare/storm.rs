//! A storm: heartbeats at their times, undisturbed and while a reaper expires thousands of other claims
//! that all fall due at once.

use super::goals::{Goal, at_most, ratio};
use super::section::Section;
use super::settings::Settings;
use crate::load::{Holder, OpenLoad, open_heartbeats};
use crate::numbers::{Spread, float, grouped, rounded};
use crate::programs::Server;
use crate::reaper::daemon::Daemon;
use crate::reaper::ground::{Claims, Ground};
use crate::reaper::renewals::Renewals;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{progress, reaper};
use anyhow::{Result, ensure};
use serde::Serialize;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::runtime::Runtime;

/// Claims that expire; a tenth of the live ones, so that the brake lets them go (R7).
const EXPIRING: u32 = 10_000;
const EXPIRING_QUICK: u32 = 2_000;
const LIVE_TIMES: u32 = 10;
/// Each holder sends a heartbeat every so many seconds.
const BEAT_SECONDS: u32 = 10;
/// The leases have lapsed so long ago when the heartbeats begin, in seconds: 2 s less than the reap grace.
/// The next pass after that takes them all, at most 5 s later.
const LAPSED_AGO: f64 = 3.0;
/// Long enough for the expiry to begin and to end.
const LENGTH: Duration = Duration::from_secs(25);
const LENGTH_QUICK: Duration = Duration::from_secs(8);
/// How much later the last of a thousand heartbeats may be answered.
const MOST: f64 = 2.0;

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Storm {
    pub(crate) live: u32,
    pub(crate) holders: u32,
    pub(crate) rate: u32,
    pub(crate) expiring: u32,
    pub(crate) rounds: Vec<Round>,
}

/// One after the other; which is first alternates.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Round {
    pub(crate) undisturbed: OpenLoad,
    pub(crate) storm: OpenLoad,
    /// Of the claims, how many had expired when the last heartbeat was answered.
    pub(crate) expired_meanwhile: u64,
    /// Of the pass that expired them.
    pub(crate) pass_ms: f64,
}

impl Storm {
    fn ratio(&self, of: fn(&OpenLoad) -> f64) -> Spread {
        let ratios = self.rounds.iter().map(|round| of(&round.storm) / of(&round.undisturbed));
        Spread::of(ratios.collect::<Vec<f64>>().into_iter())
    }
}

/// What is measured in.
struct Sea<'a> {
    stage: &'a Stage,
    address: &'a str,
    runtime: &'a Runtime,
    rate: u32,
    length: Duration,
}

/// Measures.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Storm> {
    let (expiring, length) = match settings.quick {
        true => (EXPIRING_QUICK, LENGTH_QUICK),
        false => (EXPIRING, LENGTH),
    };
    let live = expiring * LIVE_TIMES;
    let stage = Stage::over_tcp()?;
    let mut ground = Ground::new(Sql::connect(stage.url())?)?;
    let mut server = Server::start(stage.url(), &reaper::SERVER)?;
    let rate = settings.rate;
    let sea = Sea { stage: &stage, address: server.address(), runtime, rate, length };
    let mut rounds = Vec::new();
    let count = (rate * BEAT_SECONDS).min(live / 2);
    for round in 0..settings.rounds {
        ground.grow_to(Claims { live, finished: live })?;
        ground.settle()?;
        let holders = ground.holders(count)?.into_iter();
        let holders: Vec<Holder> =
            holders.map(|(tenant, consumer, epoch)| Holder { tenant, consumer, epoch }).collect();
        progress(&format!("storm: round {} of {}", round + 1, settings.rounds));
        // The first change of each page after the checkpoint writes the whole page to the log, which
        // neither of both is to pay alone.
        sea.beat(&ground, &holders)?;
        rounds.push(if round % 2 == 0 {
            let undisturbed = sea.beat(&ground, &holders)?;
            sea.storm(&mut ground, &holders, expiring, undisturbed)?
        } else {
            let not_yet = OpenLoad { sent: 0, p50_ms: 0.0, p99_ms: 0.0, p999_ms: 0.0, max_ms: 0.0 };
            let storm = sea.storm(&mut ground, &holders, expiring, not_yet)?;
            Round { undisturbed: sea.beat(&ground, &holders)?, ..storm }
        });
    }
    server.check()?;
    Ok(Storm { live, holders: count, rate, expiring, rounds })
}

impl Sea<'_> {
    /// Heartbeats for a while; every one was accepted and moved its lease.
    fn beat(&self, ground: &Ground, holders: &[Holder]) -> Result<OpenLoad> {
        let renewals = Renewals::count(ground.sql())?;
        let beats = open_heartbeats(self.address, holders, self.rate, self.length);
        let measured = self.runtime.block_on(beats)?;
        renewals.await_at_least(measured.sent)?;
        Ok(measured)
    }

    /// The same while as many others as given expire, each once, with its event.
    fn storm(
        &self,
        ground: &mut Ground,
        holders: &[Holder],
        expiring: u32,
        undisturbed: OpenLoad,
    ) -> Result<Round> {
        progress(&format!("… while {} claims expire", grouped(expiring.into())));
        let mut daemon = Daemon::start(self.stage, "storm", &[])?;
        daemon.await_self_checks(1)?;
        let before = daemon.passes()?.len();
        let expired = "SELECT count(*) FROM consumer_claims
            WHERE state = 'expired' AND ended_at > now() - interval '1 hour'";
        let already: i64 = ground.sql().value(expired)?;
        ground.age(expiring, -LAPSED_AGO, -LAPSED_AGO)?;
        let renewals = Renewals::count(ground.sql())?;
        let beats = open_heartbeats(self.address, holders, self.rate, self.length);
        let storm = self.runtime.block_on(beats)?;
        let meanwhile = ground.sql().value::<i64>(expired)? - already;
        let told = daemon.await_expiry(before)?;
        ensure!(told.expired == u64::from(expiring), "expired {} of {expiring}", told.expired);
        renewals.await_at_least(storm.sent)?;
        daemon.check()?;
        ground.expired(expiring);
        ground.check()?;
        let expired_meanwhile = u64::try_from(meanwhile)?;
        Ok(Round { undisturbed, storm, expired_meanwhile, pass_ms: told.duration_ms })
    }
}

impl Section for Storm {
    fn goals(&self) -> Result<Vec<Goal>> {
        let what = format!(
            "{} heartbeats/s while {} claims expire, p99.9 against undisturbed",
            grouped(self.rate.into()),
            grouped(self.expiring.into())
        );
        Ok(vec![at_most(&what, MOST, self.ratio(|load| load.p999_ms))])
    }

    fn text(&self, _settings: &Settings) -> Result<String> {
        Ok(format!(
            "## A storm

{rate} heartbeats a second, each a call at its time, of {holders} holders among {live} live claims; then \
the same while {expiring} other claims, which all fall due at once, are expired by a `claim-reaper` with \
its default settings. Latencies are from when a heartbeat was to be sent. Which of both is first \
alternates. No heartbeat was refused, each moved its lease, and all the claims expired, each with one event.

{table}
",
            rate = grouped(self.rate.into()),
            holders = grouped(self.holders.into()),
            live = grouped(self.live.into()),
            expiring = grouped(self.expiring.into()),
            table = self.table()?,
        ))
    }
}

impl Storm {
    fn table(&self) -> Result<String> {
        let mut out =
            "| round | | heartbeats | p50 ms | p99 ms | p99.9 ms | most ms | expired meanwhile | \
                       pass ms |\n|---|---|---|---|---|---|---|---|---|\n"
                .to_owned();
        for (round, measured) in (1..).zip(&self.rounds) {
            let rest = format!(
                "{} | {}",
                grouped(float(measured.expired_meanwhile)?),
                rounded(measured.pass_ms)
            );
            for (what, load, rest) in [
                ("undisturbed", &measured.undisturbed, "| "),
                ("storm", &measured.storm, rest.as_str()),
            ] {
                writeln!(
                    out,
                    "| {round} | {what} | {} | {} | {} | {} | {} | {rest} |",
                    grouped(float(load.sent)?),
                    rounded(load.p50_ms),
                    rounded(load.p99_ms),
                    rounded(load.p999_ms),
                    rounded(load.max_ms),
                )?;
            }
        }
        writeln!(
            out,
            "\nStorm against undisturbed: p99 {}, p99.9 {}.",
            ratio(self.ratio(|load| load.p99_ms)),
            ratio(self.ratio(|load| load.p999_ms))
        )?;
        Ok(out)
    }
}
