//! The lanes that renew leases and sign the liveness record.
//!
//! A batch of heartbeats is one statement that takes no entity lock. Heartbeats of one claim with
//! one token become one, with the longer lease and the last progress, and every caller is
//! answered ([`merged`]). A row that the statement did not renew is looked at: either there is a
//! reason to refuse, or a stranger held it, and then a solo lane waits for it ([`renew`]). A
//! heartbeat may be repeated at will (H6), so a statement that failed is tried again.
//!
//! A server signs the liveness record through the same lanes, so that a signature shows what it
//! means: heartbeats are served (R6, [`sign`]).

mod merged;
mod renew;
mod sign;

use super::error::StoreError;
use super::lane::{Call, Queue, Service, Session};
use super::statement::Patient;
use super::statements::RenewLeases;
use crate::domain::{Heartbeat, Renewal};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use merged::{Merged, group};
use renew::{Failed, Patience, renew};
use sign::sign;
use std::time::Duration;

pub use sign::Signature;

/// Most heartbeats of one statement.
const BATCH_MAX: usize = 256;
/// How often one heartbeat is tried; see the decisions' own bound.
const TRIES_MAX: usize = 8;

/// What is asked of these lanes.
#[derive(Debug)]
pub(super) enum Ask {
    /// Renew a lease.
    Renew(Heartbeat),
    /// Sign the liveness record.
    Sign {
        /// This server's outage grace.
        outage_grace: Duration,
    },
}

/// What is answered.
#[derive(Debug)]
pub(super) enum Reply {
    Renewed(Renewal),
    Signed(Signature),
}

/// Renews whole batches.
#[derive(Clone)]
pub(super) struct Renew {
    pub(super) solo: Queue<Ask, Reply>,
}

/// Renews one lease at a time, waiting for locks.
#[derive(Clone)]
pub(super) struct RenewSolo;

type Calls = Vec<Call<Ask, Reply>>;

impl Service for Renew {
    type Ask = Ask;
    type Answer = Reply;
    const KIND: &'static str = "heartbeat";
    const BATCH_MAX: usize = BATCH_MAX;

    async fn warm(&self, connection: &AsyncPgConnection) -> diesel::QueryResult<()> {
        warm(connection).await
    }

    async fn serve(&self, session: &mut Session, calls: Calls) {
        let (signs, renews): (Calls, Calls) =
            calls.into_iter().partition(|call| matches!(call.ask, Ask::Sign { .. }));
        for call in signs {
            let signed = sign(self, session, &call.ask).await;
            call.answer(signed);
        }
        let (first, rest) = group(renews);
        // One claim, several tokens: all but one wait their turn.
        for call in rest {
            self.solo.pass_on(call);
        }
        if first.is_empty() {
            return;
        }
        let asked: Vec<&Merged> = first.iter().map(|group| &group.merged).collect();
        let mut renewed = renew(self, session, &asked, Patience::Skip).await;
        if matches!(renewed, Err(Failed::MayRetry)) {
            // A connection that went stale while idle, as after a failover, is the usual cause.
            session.discard();
            renewed = renew(self, session, &asked, Patience::Skip).await;
        }
        match renewed {
            Ok(mut verdicts) => {
                for group in first {
                    let verdict = verdicts.remove(&group.merged.id);
                    for call in group.calls {
                        match &verdict {
                            Some(Ok(renewal)) => call.answer(Ok(Reply::Renewed(renewal.clone()))),
                            Some(Err(refusal)) => call.answer(Err(refusal.clone().into())),
                            None => self.solo.pass_on(call),
                        }
                    }
                }
            }
            Err(Failed::MayRetry) => {
                for call in first.into_iter().flat_map(|group| group.calls) {
                    self.solo.pass_on(call);
                }
            }
            Err(Failed::For(error)) => {
                for call in first.into_iter().flat_map(|group| group.calls) {
                    call.answer(Err(error.clone()));
                }
            }
        }
    }
}

impl Service for RenewSolo {
    type Ask = Ask;
    type Answer = Reply;
    const KIND: &'static str = "heartbeat-solo";
    const BATCH_MAX: usize = 1;

    async fn warm(&self, connection: &AsyncPgConnection) -> diesel::QueryResult<()> {
        warm(connection).await
    }

    async fn serve(&self, session: &mut Session, calls: Calls) {
        for call in calls {
            let answer = renew_until_answered(self, session, &call).await;
            call.answer(answer);
        }
    }
}

async fn warm(connection: &AsyncPgConnection) -> diesel::QueryResult<()> {
    let mut c = connection;
    RenewLeases::default().execute(&mut c).await?;
    Patient(RenewLeases::default()).execute(&mut c).await?;
    Ok(())
}

async fn renew_until_answered(
    service: &RenewSolo,
    session: &mut Session,
    call: &Call<Ask, Reply>,
) -> Result<Reply, StoreError> {
    let Ask::Renew(heartbeat) = &call.ask else {
        return sign(service, session, &call.ask).await;
    };
    let merged = Merged::of(heartbeat);
    for _ in 0..TRIES_MAX {
        if !call.is_wanted() {
            break;
        }
        match renew(service, session, &[&merged], Patience::Wait).await {
            Ok(mut verdicts) => match verdicts.remove(&merged.id) {
                Some(Ok(renewal)) => return Ok(Reply::Renewed(renewal)),
                Some(Err(refusal)) => return Err(refusal.into()),
                // It was renewable when it was looked at; once more.
                None => {}
            },
            Err(Failed::MayRetry) => {}
            Err(Failed::For(error)) => return Err(error),
        }
    }
    Err(StoreError::Unavailable)
}
