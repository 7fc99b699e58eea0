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
use super::lane::{Call, Queue, Service, Session, WayBack};
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
/// What is asked of these lanes.
#[derive(Debug)]
pub(super) enum Ask {
    /// Renew a lease.
    Heartbeat(Heartbeat),
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
pub(super) struct Beat {
    pub(super) solo: Queue<Ask, Reply>,
}

/// Renews one lease at a time, waiting for locks.
#[derive(Clone)]
pub(super) struct BeatSolo {
    pub(super) back: WayBack<Ask, Reply>,
}

type Calls = Vec<Call<Ask, Reply>>;

impl Service for Beat {
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

impl Service for BeatSolo {
    type Ask = Ask;
    type Answer = Reply;
    const KIND: &'static str = "heartbeat-solo";
    const BATCH_MAX: usize = 1;

    async fn warm(&self, connection: &AsyncPgConnection) -> diesel::QueryResult<()> {
        warm(connection).await
    }

    async fn serve(&self, session: &mut Session, calls: Calls) {
        for call in calls {
            self.serve_one(session, call).await;
        }
    }
}

impl BeatSolo {
    /// Renews one lease, once; if that fails the call waits its turn again.
    async fn serve_one(&self, session: &mut Session, call: Call<Ask, Reply>) {
        let Ask::Heartbeat(heartbeat) = &call.ask else {
            let signed = sign(self, session, &call.ask).await;
            return call.answer(signed);
        };
        let merged = Merged::of(heartbeat);
        match renew(self, session, &[&merged], Patience::Wait).await {
            Ok(mut verdicts) => match verdicts.remove(&merged.id) {
                Some(Ok(renewal)) => call.answer(Ok(Reply::Renewed(renewal))),
                Some(Err(refusal)) => call.answer(Err(refusal.into())),
                // It was renewable when it was looked at. If that goes on, its lease is missing:
                // damage.
                None => self.back.try_again(call, StoreError::Internal),
            },
            Err(Failed::MayRetry) => self.back.try_again(call, StoreError::Unavailable),
            Err(Failed::For(error)) => call.answer(Err(error)),
        }
    }
}

async fn warm(connection: &AsyncPgConnection) -> diesel::QueryResult<()> {
    let mut c = connection;
    RenewLeases::default().execute(&mut c).await?;
    Patient(RenewLeases::default()).execute(&mut c).await?;
    Ok(())
}
