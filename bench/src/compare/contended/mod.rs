//! Many callers that mint claims of the same few entities, with rising epochs of one authority. A mint
//! either takes over from the one before (M4) or comes too late behind a higher epoch (M3); any other answer
//! is an error.

mod section;

use super::call::Client;
use super::crowd::Crowd;
use super::settings::Settings;
use crate::fleet::holders;
use crate::latencies::Latencies;
use crate::load::{CONNECTIONS, Measured, TENANT, clients};
use crate::numbers::float;
use crate::programs::Server;
use crate::progress;
use crate::sql::Sql;
use crate::stage::Stage;
use anyhow::{Context, Result, bail, ensure};
use claim_proto::v1::MintRequest;
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tonic_types::StatusExt as _;

/// So many entities are wanted by all.
const ENTITIES: [u32; 2] = [1, 8];
const END: &str = include_str!("../../../sql/compare/contended_end.sql");

/// In all rounds.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Contended {
    /// None: each mint of an entity of its own.
    pub(crate) ways: Vec<(Option<u32>, Vec<Answers>)>,
}

/// In one round.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Answers {
    /// Accepted or refused.
    pub(crate) measured: Measured,
    pub(crate) accepted_per_second: f64,
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
}

/// An entity that is wanted: its URL, and the last epoch that was drawn.
struct Wanted {
    url: String,
    drawn: AtomicI64,
}

/// What one caller got: (entity, epoch, fence) of each accepted mint.
struct Part {
    accepted: Vec<(usize, i64, i64)>,
    refused: u64,
    latencies: Latencies,
}

/// Measures.
pub(crate) fn measure(settings: &Settings, runtime: &Runtime) -> Result<Contended> {
    let stage = Stage::over_tcp()?;
    let sql = Sql::connect(stage.url())?;
    let mut server = Server::start(stage.url(), &[])?;
    // As in a database that has been in use for a minute.
    runtime.block_on(holders::mint(server.address(), settings.claims))?;
    sql.batch("VACUUM (ANALYZE)")?;
    let mut ways: Vec<(Option<u32>, Vec<Answers>)> = vec![(None, Vec::new())];
    ways.extend(ENTITIES.map(|entities| (Some(entities), Vec::new())));
    for round in 0..settings.rounds {
        progress(&format!("contended: round {} of {}", round + 1, settings.rounds));
        let (first, count) = (usize::try_from(round)?, ways.len());
        for place in 0..count {
            let (entities, rounds) = ways.get_mut((first + place) % count).context("a way")?;
            let Settings { callers, length, .. } = *settings;
            let crowd = Crowd { address: server.address(), callers, length };
            rounds.push(match entities {
                None => alone(crowd, runtime, round)?,
                Some(entities) => together(crowd, runtime, &sql, round, *entities)?,
            });
        }
    }
    server.check()?;
    Ok(Contended { ways })
}

/// Each mint of an entity of its own.
fn alone(crowd: Crowd<'_>, runtime: &Runtime, round: u32) -> Result<Answers> {
    let (measured, accepted) = runtime.block_on(crowd.mints(&format!("u{round}_")))?;
    Ok(Answers { measured, accepted_per_second: measured.per_second, accepted, refused: 0 })
}

/// All of these.
pub(super) fn together(
    crowd: Crowd<'_>,
    runtime: &Runtime,
    sql: &Sql,
    round: u32,
    entities: u32,
) -> Result<Answers> {
    let wanted = |number| Wanted {
        url: format!("/wanted/{round}_{entities}/{number}"),
        drawn: AtomicI64::new(0),
    };
    let wanted: Arc<Vec<Wanted>> = Arc::new((0..entities).map(wanted).collect());
    let (part, seconds) = runtime.block_on(contend(crowd, &wanted))?;
    for (number, entity) in wanted.iter().enumerate() {
        let of = |(entity, epoch, fence): &(usize, i64, i64)| {
            (*entity == number).then_some((*epoch, *fence))
        };
        let mut accepted: Vec<(i64, i64)> = part.accepted.iter().filter_map(of).collect();
        accepted.sort_unstable();
        check(sql, entity, &accepted)?;
    }
    let accepted = u64::try_from(part.accepted.len())?;
    Ok(Answers {
        measured: Measured::of(&part.latencies, seconds)?,
        accepted_per_second: float(accepted)? / seconds.as_secs_f64(),
        accepted,
        refused: part.refused,
    })
}

async fn contend(
    crowd: Crowd<'_>,
    wanted: &Arc<Vec<Wanted>>,
) -> Result<(Part, std::time::Duration)> {
    let clients = clients(crowd.address, CONNECTIONS, usize::try_from(crowd.callers)?).await?;
    let began = Instant::now();
    let mut loops = JoinSet::new();
    for (caller, client) in clients.into_iter().enumerate() {
        loops.spawn(mint(client, caller, Arc::clone(wanted), began + crowd.length));
    }
    let mut all = Part { accepted: Vec::new(), refused: 0, latencies: Latencies::new()? };
    while let Some(part) = loops.join_next().await {
        let part = part??;
        all.accepted.extend(part.accepted);
        all.refused += part.refused;
        all.latencies.add(&part.latencies)?;
    }
    Ok((all, began.elapsed()))
}

async fn mint(
    mut client: Client,
    caller: usize,
    wanted: Arc<Vec<Wanted>>,
    until: Instant,
) -> Result<Part> {
    let mut part = Part { accepted: Vec::new(), refused: 0, latencies: Latencies::new()? };
    let mut turns = caller..;
    while Instant::now() < until {
        let number = turns.next().context("a turn")? % wanted.len();
        let entity = wanted.get(number).context("an entity")?;
        let epoch = entity.drawn.fetch_add(1, Ordering::Relaxed) + 1;
        let request = MintRequest {
            tenant_id: TENANT.into(),
            entity_url: entity.url.clone(),
            consumer_id: format!("{}_{epoch}", entity.url.trim_start_matches('/')),
            epoch: Some(epoch),
            authority: "bench".into(),
            ..Default::default()
        };
        let sent = Instant::now();
        let answer = client.mint(request).await;
        part.latencies.record(sent.elapsed())?;
        match answer {
            Ok(minted) => {
                let claim = minted.into_inner().claim.context("a claim")?;
                ensure!(claim.epoch == epoch, "another claim: {claim:?}");
                part.accepted.push((number, epoch, claim.fence));
            }
            Err(refusal) => {
                let Some(info) = refusal.get_details_error_info() else { bail!("{refusal}") };
                let highest = info.metadata.get("highest_epoch").and_then(|text| text.parse().ok());
                ensure!(
                    info.reason == "EPOCH_FENCED"
                        && highest.is_some_and(|highest: i64| highest > epoch),
                    "epoch {epoch} was refused against the rules: {info:?}"
                );
                part.refused += 1;
            }
        }
    }
    Ok(part)
}

/// Fails unless the accepted mints of an entity, by epoch, have the fences from 1 on, the last epoch that
/// was drawn was accepted, and the tables say so too: one active claim, the others superseded, an event each.
fn check(sql: &Sql, entity: &Wanted, accepted: &[(i64, i64)]) -> Result<()> {
    let count = i64::try_from(accepted.len())?;
    let url = &entity.url;
    ensure!(
        accepted.iter().map(|(_, fence)| *fence).eq(1..=count),
        "fences of {url} do not rise one by one with its epochs"
    );
    let last = accepted.last().context("an accepted mint")?.0;
    let drawn = entity.drawn.load(Ordering::Relaxed);
    ensure!(last == drawn, "epoch {drawn} of {url} was the highest, but {last} the last accepted");
    let rows = sql.rows(END, &[url])?;
    let row = rows.first().context("the entity")?;
    let found = (0..8).map(|column| row.try_get(column)).collect::<Result<Vec<i64>, _>>()?;
    let expected = [count, last, last, 1, count - 1, count, count, count - 1];
    ensure!(
        found == expected,
        "{url}: fence, mark, current epoch, active and superseded claims, leases, minted and superseded \
         events: {found:?}, not {expected:?}"
    );
    Ok(())
}
