//! Closed loops of many callers, each with one call, or one life of a claim, under way.

use super::call::{self, Client};
use crate::fleet::holders::{Turns, consumer};
use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, Measured, clients};
use crate::sql::Sql;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many of the claims whose names begin so have been done and left nothing behind.
const ENDED: &str = "SELECT count(*)
    FROM consumer_claims AS c
    JOIN claim_events AS e
        ON (e.tenant_id, e.consumer_id, e.epoch) = (c.tenant_id, c.consumer_id, c.epoch)
    JOIN entity_dispatch_state AS d
        ON (d.tenant_id, d.entity_url) = (c.tenant_id, c.entity_url)
    WHERE c.tenant_id = 'bench' AND c.state = 'released' AND starts_with(c.consumer_id, $1)
        AND e.type = 'released' AND d.state = 'idle' AND d.fence = 1
        AND NOT EXISTS (SELECT FROM claim_leases AS l
            WHERE (l.tenant_id, l.consumer_id, l.epoch) = (c.tenant_id, c.consumer_id, c.epoch))";

/// How many, and how long.
#[derive(Clone, Copy)]
pub(crate) struct Crowd<'a> {
    pub(crate) address: &'a str,
    pub(crate) callers: u32,
    pub(crate) length: Duration,
}

impl Crowd<'_> {
    async fn all<F>(self, caller: impl Fn(u32, Client, Instant) -> F) -> Result<(Measured, u64)>
    where
        F: Future<Output = Result<Latencies>> + Send + 'static,
    {
        let clients = clients(self.address, CONNECTIONS, usize::try_from(self.callers)?).await?;
        let began = Instant::now();
        let mut loops = JoinSet::new();
        for (number, client) in (0..self.callers).zip(clients) {
            loops.spawn(caller(number, client, began + self.length));
        }
        let mut all = Latencies::new()?;
        while let Some(latencies) = loops.join_next().await {
            all.add(&latencies??)?;
        }
        Ok((Measured::of(&all, began.elapsed())?, all.count()))
    }

    /// Lives of claims: a mint of a fresh entity, perhaps a heartbeat, and its done. Their names begin
    /// as given.
    pub(crate) async fn lives(self, names: &str, heartbeat: bool) -> Result<(Measured, u64)> {
        let names: Arc<str> = names.into();
        self.all(|caller, client, until| live(caller, client, until, Arc::clone(&names), heartbeat))
            .await
    }

    /// Mints of fresh entities, whose names begin as given.
    pub(crate) async fn mints(self, names: &str) -> Result<(Measured, u64)> {
        let names: Arc<str> = names.into();
        self.all(|caller, client, until| mint(caller, client, until, Arc::clone(&names))).await
    }

    /// Authorizations of the holders.
    pub(crate) async fn authorizations(self, tokens: &Arc<Vec<String>>) -> Result<(Measured, u64)> {
        let claims = u32::try_from(tokens.len())?;
        let ask = |caller, client, until| {
            let turns = Turns::of(caller, self.callers, claims);
            authorize(client, turns, until, Arc::clone(tokens))
        };
        self.all(ask).await
    }
}

async fn live(
    caller: u32,
    mut client: Client,
    until: Instant,
    names: Arc<str>,
    heartbeat: bool,
) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut number = 0_u64;
    while Instant::now() < until {
        let name = format!("{names}{caller}_{number}");
        number += 1;
        let sent = Instant::now();
        let token = call::mint(&mut client, &name).await?;
        if heartbeat {
            call::heartbeat(&mut client, &name).await?;
        }
        call::done(&mut client, &name, &token).await?;
        latencies.record(sent.elapsed())?;
    }
    Ok(latencies)
}

async fn mint(
    caller: u32,
    mut client: Client,
    until: Instant,
    names: Arc<str>,
) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut number = 0_u64;
    while Instant::now() < until {
        let name = format!("{names}{caller}_{number}");
        number += 1;
        let sent = Instant::now();
        call::mint(&mut client, &name).await?;
        latencies.record(sent.elapsed())?;
    }
    Ok(latencies)
}

async fn authorize(
    mut client: Client,
    mut turns: Turns,
    until: Instant,
    tokens: Arc<Vec<String>>,
) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    while Instant::now() < until {
        let number = turns.next()?;
        let token = tokens.get(usize::try_from(number)?).context("a token")?;
        let (entity, consumer) = (format!("/held/{number}"), consumer(number));
        let sent = Instant::now();
        call::authorize_write(&mut client, &entity, &consumer, 1, token).await?;
        latencies.record(sent.elapsed())?;
    }
    Ok(latencies)
}

/// Fails unless so many claims whose names begin so have ended in good order.
pub(crate) fn check_ended(sql: &Sql, names: &str, count: u64) -> Result<()> {
    let rows = sql.rows(ENDED, &[&names])?;
    let ended: i64 = rows.first().context("a count")?.try_get(0)?;
    ensure!(
        u64::try_from(ended)? == count,
        "{count} claims of {names} were done, but {ended} have ended in good order"
    );
    Ok(())
}
