//! Those that take turns: the service, the same work as plain SQL, and the peers. Each round begins with
//! another one, so that whatever one leaves behind does not always meet the same.

use super::alone::Alone;
use super::crowd::{Crowd, check_ended};
use super::etcd::{self, Etcd};
use super::queues::{About, Line, Queue, Queues};
use super::settings::Settings;
use crate::fleet::heartbeats::{self, Round, Rounds, Way};
use crate::fleet::holders;
use crate::load::Measured;
use crate::programs::Server;
use crate::sql::Sql;
use crate::stage::Stage;
use crate::{floor, progress};
use anyhow::{Context, Result};
use serde::Serialize;
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Who {
    /// A mint of a fresh entity and its done.
    Cycle,
    /// The same with a heartbeat in between.
    CycleWithHeartbeat,
    /// By pgbench with so many clients.
    CycleSql(u32),
    Authorize,
    AuthorizeSql(u32),
    Heartbeat(Way),
    /// Over streams with so many of each under way.
    EtcdKeepAlive(u32),
    /// Grant, put under the lease if absent, revoke.
    EtcdCycle,
    Queue(Line),
}

enum Turn {
    Who(Who),
    Alone,
    Queue(Queue),
}

/// What came out.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contested {
    pub(crate) entries: Vec<Rounds<Who>>,
    pub(crate) alone: Alone,
    pub(crate) queues: Vec<About>,
    pub(crate) etcd_fsync_ms: f64,
}

/// What they all need.
struct Contest<'a> {
    settings: &'a Settings,
    stage: &'a Stage,
    sql: &'a Sql,
    server: &'a Server,
    runtime: &'a Runtime,
    tokens: Arc<Vec<String>>,
    etcd: Etcd,
    queues: Option<Queues>,
    entries: Vec<Rounds<Who>>,
    alone: Alone,
}

/// Mints the claims of the holders and has everybody take turns.
pub(crate) fn measure(
    settings: &Settings,
    stage: &Stage,
    sql: &Sql,
    server: &Server,
    runtime: &Runtime,
) -> Result<Contested> {
    progress(&format!("minting {} claims", settings.claims));
    let tokens = runtime.block_on(holders::mint(server.address(), settings.claims))?;
    let leases = settings.streams * settings.under_way;
    let etcd = runtime.block_on(Etcd::start(&stage.disk().join("etcd"), leases))?;
    let queues = if settings.no_queues { None } else { Queues::install() };
    sql.batch("VACUUM (ANALYZE)")?;
    let mut contest = Contest {
        settings,
        stage,
        sql,
        server,
        runtime,
        tokens: Arc::new(tokens),
        etcd,
        queues,
        entries: Vec::new(),
        alone: Alone::new(),
    };
    let turns = contest.turns();
    for round in 0..settings.rounds {
        let first = usize::try_from(round)? * 7 % turns.len();
        for place in 0..turns.len() {
            let turn = turns.get((first + place) % turns.len()).context("a turn")?;
            progress(&format!(
                "round {} of {}, {} of {}",
                round + 1,
                settings.rounds,
                place + 1,
                turns.len()
            ));
            contest.take(turn, round)?;
        }
    }
    contest.etcd.check()?;
    check_floor(sql)?;
    Ok(Contested {
        entries: contest.entries,
        alone: contest.alone,
        queues: contest.queues.map(|queues| queues.about()).unwrap_or_default(),
        etcd_fsync_ms: contest.etcd.mean_fsync_ms()?,
    })
}

impl Contest<'_> {
    fn turns(&self) -> Vec<Turn> {
        let floor = self.settings.floor_clients();
        let mut who = vec![Who::Cycle];
        who.extend(floor.iter().copied().map(Who::CycleSql));
        who.extend([Who::CycleWithHeartbeat, Who::EtcdCycle, Who::Authorize]);
        who.extend(floor.iter().copied().map(Who::AuthorizeSql));
        let under_way = [1, self.settings.under_way];
        who.push(Who::Heartbeat(Way::Unary));
        who.extend(under_way.map(Way::KeepAlive).map(Who::Heartbeat));
        who.push(Who::Heartbeat(Way::Batch));
        who.extend(floor.iter().copied().map(Way::PlainSql).map(Who::Heartbeat));
        who.extend(under_way.map(Who::EtcdKeepAlive));
        who.dedup();
        let mut turns: Vec<Turn> = who.into_iter().map(Turn::Who).collect();
        turns.push(Turn::Alone);
        if self.queues.is_some() {
            turns.extend([Turn::Queue(Queue::PgBoss), Turn::Queue(Queue::GraphileWorker)]);
        }
        turns
    }

    fn take(&mut self, turn: &Turn, round: u32) -> Result<()> {
        let (callers, length) = (self.settings.callers, self.settings.length);
        match turn {
            Turn::Who(who) => {
                let measured = self.measure(who, round)?;
                self.enter(who.clone(), measured);
            }
            Turn::Alone => {
                let (server, times) = (self.server.address(), self.settings.alone);
                self.alone.measure(self.stage, self.runtime, server, times, round)?;
            }
            Turn::Queue(queue) => {
                let queues = self.queues.as_mut().context("the queues")?;
                // It measures several things for that long.
                for (line, measured) in queues.run(*queue, self.stage, callers, length / 2)? {
                    self.enter(Who::Queue(line), Round { measured, cost: None });
                }
            }
        }
        Ok(())
    }

    fn enter(&mut self, way: Who, round: Round) {
        match self.entries.iter_mut().find(|entry| entry.way == way) {
            Some(entry) => entry.rounds.push(round),
            None => self.entries.push(Rounds { way, rounds: vec![round] }),
        }
    }

    fn measure(&self, who: &Who, round: u32) -> Result<Round> {
        let Settings { callers, streams, length, .. } = *self.settings;
        let crowd = Crowd { address: self.server.address(), callers, length };
        let holders = self.tokens.len();
        let free = |measured: Measured| Round { measured, cost: None };
        Ok(match who {
            Who::Cycle => free(self.lives(crowd, &format!("c{round}_"), false)?),
            Who::CycleWithHeartbeat => free(self.lives(crowd, &format!("b{round}_"), true)?),
            Who::CycleSql(clients) => {
                free(floor::cycles(self.stage, usize::try_from(*clients)?, length)?)
            }
            Who::Authorize => free(self.runtime.block_on(crowd.authorizations(&self.tokens))?.0),
            Who::AuthorizeSql(clients) => {
                let clients = usize::try_from(*clients)?;
                free(floor::authorizations(self.stage, clients, holders, length)?)
            }
            Who::Heartbeat(Way::PlainSql(clients)) => {
                heartbeats::plain(self.settings.sizes(callers), self.stage, *clients)?
            }
            Who::Heartbeat(way) => {
                let callers = if *way == Way::Unary { callers } else { streams };
                let sizes = self.settings.sizes(callers);
                heartbeats::through(*way, sizes, self.server, self.runtime, self.sql)?
            }
            Who::EtcdKeepAlive(under_way) => {
                free(self.runtime.block_on(self.etcd.keep_alives(streams, *under_way, length))?)
            }
            Who::EtcdCycle => {
                free(self.runtime.block_on(etcd::cycles(&self.etcd, callers, length))?)
            }
            Who::Queue(_) => anyhow::bail!("a queue runs by itself"),
        })
    }

    fn lives(&self, crowd: Crowd<'_>, names: &str, heartbeat: bool) -> Result<Measured> {
        let (measured, count) = self.runtime.block_on(crowd.lives(names, heartbeat))?;
        check_ended(self.sql, names, count)?;
        Ok(measured)
    }
}

/// What pgbench minted has ended like what the service minted.
fn check_floor(sql: &Sql) -> Result<()> {
    let minted: i64 = sql.value(
        "SELECT count(*) FROM claim_events WHERE starts_with(entity_url, '/sql/') AND type = 'minted'",
    )?;
    check_ended(sql, "s", u64::try_from(minted)?)
}
