//! The comparison: what the store recorded, and what the claims say.

use crate::protocol::StoreLine;
use crate::store::Store;
use crate::work::{Begun, Outcome, begin, report};
use anyhow::{Context, Result};
use claim_client::v1::{Claim, ClaimState, EntityState, ListClaimsRequest};
use claim_client::{Client, MintRequest, Refusal};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::sleep;

/// Lease of a claim that only reports.
const REPORT_LEASE: Duration = Duration::from_secs(5);
/// From the end of a lease to the next attempt.
const AGAIN: Duration = Duration::from_millis(50);
/// The most that are shown of what does not fit.
const SHOWN_MAX: usize = 20;

/// Ends what runners did not live to end, and reports what they finished, as the next runner would
/// have done.
pub(crate) async fn settle(
    client: &Client,
    store: &Store,
    store_address: SocketAddr,
    entities: &[String],
) -> Result<()> {
    let mut line = StoreLine::open(store_address).await?;
    for entity in entities {
        let finished = store.look(|record| record.pieces(&stream(entity)));
        let acks = acks(&claims_of(client, entity).await?);
        if acks.len() == finished.len() && is_idle(client, entity).await? {
            continue;
        }
        let guard = loop {
            let consumer = format!("w_{:016x}", fastrand::u64(..));
            let asked = MintRequest::new(entity, consumer).lease_ttl(REPORT_LEASE);
            match client.mint(asked).await {
                Ok(guard) => break guard,
                Err(error) => match error.refusal() {
                    // Of a runner that was killed: it is waited for as long as its lease runs.
                    Some(Refusal::AlreadyClaimed { takeable_in, .. }) => {
                        sleep(*takeable_in + AGAIN).await;
                    }
                    _ => return Err(error).context("an entity cannot be settled"),
                },
            }
        };
        let outcome = match begin(client, &guard, &mut line).await? {
            Begun::Last(_) => Outcome::Nothing,
            Begun::Ended(outcome) => outcome,
        };
        report(guard, &outcome).await;
    }
    Ok(())
}

/// Says how it stands; fails if any piece was not finished exactly as often as the claims say, if two
/// holders were allowed to write at the same time, or if an entity is not idle.
pub(crate) async fn compare(
    client: &Client,
    store: &Store,
    entities: &[String],
) -> Result<ExitCode> {
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let mut acked = 0;
    for entity in entities {
        let claims = claims_of(client, entity).await?;
        for claim in &claims {
            *states.entry(claim.state().as_str_name()).or_default() += 1;
        }
        if !is_idle(client, entity).await? {
            wrong.push(format!("{entity} is not idle"));
        }
        let (acks, pieces) = (acks(&claims), store.look(|record| record.pieces(&stream(entity))));
        acked += acks.len();
        let expected: Vec<u64> = (1..).take(pieces.len()).collect();
        if pieces != expected || acks != expected {
            wrong.push(format!("{entity}: finished {pieces:?}, reported {acks:?}"));
        }
    }
    let finished = store.look(|record| {
        println!(
            "writes: {} accepted, {} refused as lapsed, {} as invalid, {} by their fence; \
             {} times the service did not answer",
            record.accepted, record.lapsed, record.invalid, record.fenced, record.unknown
        );
        record.finished()
    });
    println!("claims: {states:?}");
    println!("{finished} pieces are finished by the store's record, {acked} by the claims");
    wrong.extend(store.look(|record| record.contradictions.clone()));
    for line in wrong.iter().take(SHOWN_MAX) {
        println!("WRONG: {line}");
    }
    if !wrong.is_empty() || finished == 0 {
        println!("{} things are wrong with {} entities", wrong.len(), entities.len());
        return Ok(ExitCode::FAILURE);
    }
    println!("every piece of work was finished exactly as often as the claims say: once");
    println!("no two holders were allowed to write at the same time, and all entities are idle");
    Ok(ExitCode::SUCCESS)
}

/// The pieces that claims of an entity report, sorted; one that is reported twice is there twice.
fn acks(claims: &[Claim]) -> Vec<u64> {
    let released = claims.iter().filter(|claim| claim.state() == ClaimState::Released);
    let acks = released.flat_map(|claim| &claim.acked_streams);
    let mut pieces: Vec<u64> = acks.filter_map(|ack| ack.offset.parse().ok()).collect();
    pieces.sort_unstable();
    pieces
}

/// Whether nobody has it. One that was never claimed is not known.
async fn is_idle(client: &Client, entity: &str) -> Result<bool> {
    match client.get_entity("", entity).await {
        Ok(seen) => Ok(seen.state() == EntityState::Idle),
        Err(error) if error.refusal() == Some(&Refusal::EntityNotFound) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

async fn claims_of(client: &Client, entity: &str) -> Result<Vec<Claim>> {
    let mut claims = Vec::new();
    let mut page_token = String::new();
    loop {
        let entity_url = entity.to_owned();
        let ask = ListClaimsRequest { entity_url, page_token, ..ListClaimsRequest::default() };
        let page = client.list_claims(ask).await?;
        claims.extend(page.claims);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(claims);
        }
    }
}

fn stream(entity: &str) -> String {
    format!("{entity}/main")
}
