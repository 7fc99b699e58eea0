//! Lives of claims whose names are spread like those of a fleet: consumer ids that are fresh per wake and
//! entities of a tenant that has many, so that they find their places all over the indexes.

use crate::compare::call::{self, Client};
use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, Measured, clients};
use crate::sql::Sql;
use anyhow::{Context, Result, ensure};
use claim_proto::v1::MintRequest;
use std::time::{Duration, Instant, SystemTime};
use tokio::task::JoinSet;

/// The tenant with half of all claims.
const TENANT: &str = "default";
/// How many of the claims that ended since then left nothing behind.
const ENDED: &str = include_str!("../../../sql/compare/ended_since.sql");

/// For so long, minted and done again and again by so many callers; the seed tells the names of one
/// measurement from another's.
pub(crate) async fn measure(
    address: &str,
    callers: u32,
    length: Duration,
    seed: u64,
) -> Result<(Measured, u64)> {
    let clients = clients(address, CONNECTIONS, usize::try_from(callers)?).await?;
    let began = Instant::now();
    let mut loops = JoinSet::new();
    for (caller, client) in (0..callers).zip(clients) {
        loops.spawn(live(client, began + length, (seed << 40) | (u64::from(caller) << 24)));
    }
    let mut all = Latencies::new()?;
    while let Some(latencies) = loops.join_next().await {
        all.add(&latencies??)?;
    }
    Ok((Measured::of(&all, began.elapsed())?, all.count()))
}

async fn live(mut client: Client, until: Instant, first: u64) -> Result<Latencies> {
    let mut latencies = Latencies::new()?;
    let mut number = first;
    while Instant::now() < until {
        let request = fresh(number);
        let consumer = request.consumer_id.clone();
        let sent = Instant::now();
        let token = call::mint_fresh(&mut client, request).await?;
        call::done_current(&mut client, TENANT, &consumer, 1, &token).await?;
        latencies.record(sent.elapsed())?;
        number += 1;
    }
    Ok(latencies)
}

/// The mint of a claim with names as those in the tables.
fn fresh(number: u64) -> MintRequest {
    let (one, other) = (mixed(number), mixed(!number));
    MintRequest {
        tenant_id: TENANT.into(),
        entity_url: format!("/chat/{one:016x}"),
        consumer_id: format!("w_{other:016x}{:08x}", one >> 32),
        wake_id: format!("wake_{:012x}", other >> 16),
        runner_id: format!("runner-{}", number % 500),
        epoch: Some(1),
        authority: format!("sub_{:08x}", mixed(number % 200) >> 32),
        ..Default::default()
    }
}

/// A number that looks like chance: SplitMix64.
fn mixed(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Fails unless so many claims have ended in good order since then.
pub(crate) fn check_ended(sql: &Sql, since: SystemTime, count: u64) -> Result<()> {
    let rows = sql.rows(ENDED, &[&since])?;
    let ended: i64 = rows.first().context("a count")?.try_get(0)?;
    ensure!(
        u64::try_from(ended)? == count,
        "{count} claims were done, but {ended} have ended in good order"
    );
    Ok(())
}
