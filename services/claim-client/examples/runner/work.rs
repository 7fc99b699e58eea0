//! One runner: claims entities and works on them, a few at the same time, until its standard input
//! ends. Then it finishes what it has begun.

use crate::protocol::{Entry, Finished, StoreLine, Write, Written};
use crate::settings::{self, Common, entity};
use anyhow::{Result, bail};
use claim_client::v1::ClaimState;
use claim_client::{ClaimGuard, ClaimHandle, ClaimId, Client, Done, MintRequest, Refusal};
use std::io::Read;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// From an entity that somebody else has to the next.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How the work under one claim ended.
pub(crate) enum Outcome {
    /// That many pieces are finished, the last of them with this claim or by one that died.
    Finished(u64),
    /// There is nothing to report, or it is not ours to report.
    Nothing,
}

/// Works until standard input ends.
pub(crate) async fn run(settings: settings::Work) -> Result<()> {
    // One client for the process: one connection, one stream for the heartbeats of all slots.
    let client = settings.common.client()?;
    let finish = CancellationToken::new();
    let mut slots = JoinSet::new();
    for _ in 0..settings.common.slots {
        slots.spawn(slot(client.clone(), settings.clone(), finish.clone()));
    }
    std::thread::spawn(move || {
        // Whatever is read, its end is what counts.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        finish.cancel();
    });
    while let Some(ended) = slots.join_next().await {
        ended??;
    }
    Ok(())
}

async fn slot(client: Client, settings: settings::Work, finish: CancellationToken) -> Result<()> {
    while !finish.is_cancelled() {
        let url = entity(&settings.prefix, fastrand::usize(..settings.common.entities));
        let asked = MintRequest::new(url, format!("w_{:016x}", fastrand::u64(..)))
            .runner_id(&settings.name)
            .lease_ttl(settings.common.lease);
        match client.mint(asked).await {
            Ok(guard) => hold(&client, guard, &settings).await?,
            Err(error) => {
                if !matches!(error.refusal(), Some(Refusal::AlreadyClaimed { .. })) {
                    tracing::warn!("no claim: {error}");
                }
                sleep(LOOK_AGAIN.mul_f64(0.5 + fastrand::f64())).await;
            }
        }
    }
    Ok(())
}

/// Works under a claim, and reports.
async fn hold(client: &Client, guard: ClaimGuard, settings: &settings::Work) -> Result<()> {
    let handle = guard.handle();
    let work = async {
        // A line for this claim alone: work that is cut short leaves an answer behind on it.
        let mut store = StoreLine::open(settings.store).await?;
        piece(client, &handle, &mut store, &settings.common).await
    };
    // A definite loss ends the work wherever it is; a bad connection does not.
    let outcome = guard.cancellation().run_until_cancelled(work).await;
    match outcome {
        Some(Ok(outcome)) => report(guard, &outcome).await,
        Some(Err(error)) => {
            let _ = guard.done(Done::failed(error.to_string())).await;
            return Err(error);
        }
        // Lost: there is nothing to show for it. A superseded claim is ended all the same.
        None => report(guard, &Outcome::Nothing).await,
    }
    Ok(())
}

/// Reports what was done. As long as nobody answers, the claim is held and the report repeated.
pub(crate) async fn report(mut guard: ClaimGuard, outcome: &Outcome) {
    loop {
        let done = match outcome {
            Outcome::Finished(pieces) => {
                Done::completed().ack(&guard.claim().stream_path, pieces.to_string())
            }
            Outcome::Nothing => Done::completed(),
        };
        match guard.done(done).await {
            Ok(_) => return,
            Err(failed) if failed.error.refusal().is_some() => {
                tracing::error!("{failed}");
                return;
            }
            Err(failed) => {
                tracing::warn!("{failed}");
                guard = *failed.guard;
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// The next piece of work of the claimed entity.
async fn piece(
    client: &Client,
    claim: &ClaimHandle,
    store: &mut StoreLine,
    settings: &Common,
) -> Result<Outcome> {
    let last = match begin(client, claim, store).await? {
        Begun::Last(pieces) => pieces,
        Begun::Ended(outcome) => return Ok(outcome),
    };
    let piece = last + 1;
    for _ in 0..settings.steps {
        if claim.is_stop_requested() {
            // A checkpoint: the piece is left to whoever claims the entity next.
            return Ok(Outcome::Nothing);
        }
        sleep(settings.step_time.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        if write(claim, store, Entry::Step { piece }).await?.is_none() {
            return Ok(Outcome::Nothing);
        }
    }
    match write(claim, store, Entry::Finish { piece }).await? {
        Some(_) => Ok(Outcome::Finished(piece)),
        None => Ok(Outcome::Nothing),
    }
}

/// How a claim begins.
pub(crate) enum Begun {
    /// So many pieces are finished and reported.
    Last(u64),
    /// There is nothing to work on.
    Ended(Outcome),
}

/// Bars older claims from the stream, and finds out where the work stands. A piece that was finished
/// by a claim that was never reported done is reported by this one.
pub(crate) async fn begin(
    client: &Client,
    claim: &ClaimHandle,
    store: &mut StoreLine,
) -> Result<Begun> {
    Ok(match write(claim, store, Entry::Begin).await? {
        None => Begun::Ended(Outcome::Nothing),
        Some(None) => Begun::Last(0),
        Some(Some(last)) if is_reported(client, &last).await? => Begun::Last(last.piece),
        // Noted first: should this claim not live to report it, the next one asks about this one.
        Some(Some(last)) => Begun::Ended(match write(claim, store, Entry::Adopt).await? {
            Some(_) => Outcome::Finished(last.piece),
            None => Outcome::Nothing,
        }),
    })
}

/// Whether the claim that was to report a piece was reported done. The present claim could only be minted
/// after that one had ended, so the answer does not change any more.
async fn is_reported(client: &Client, finished: &Finished) -> Result<bool> {
    let id = ClaimId {
        tenant_id: String::new(),
        consumer_id: finished.consumer_id.clone(),
        epoch: finished.epoch,
    };
    loop {
        match client.get_claim(&id).await {
            Ok(claim) => {
                let piece = finished.piece.to_string();
                let is_acked = claim.acked_streams.iter().any(|ack| ack.offset == piece);
                return Ok(claim.state() == ClaimState::Released && is_acked);
            }
            Err(error) if error.refusal().is_some() => bail!(error),
            Err(error) => {
                tracing::warn!("where the work stands is not known yet: {error}");
                sleep(LOOK_AGAIN).await;
            }
        }
    }
}

/// Writes to the stream when the lease allows it. None if the claim may not write any more; else
/// the last piece that was finished before.
async fn write(
    claim: &ClaimHandle,
    store: &mut StoreLine,
    entry: Entry,
) -> Result<Option<Option<Finished>>> {
    let write = Write {
        stream: claim.claim().stream_path.clone(),
        write_token: claim.write_token().reveal().to_owned(),
        entry,
    };
    // Waits while the lease may have run out; ends when the claim is lost.
    while claim.may_write().await.is_ok() {
        match store.write(&write).await? {
            Written::Accepted { last } => return Ok(Some(last)),
            Written::Barred => return Ok(None),
            // A heartbeat is on its way.
            Written::Lapsed | Written::Unknown => sleep(LOOK_AGAIN).await,
        }
    }
    Ok(None)
}
