//! The lanes that renew leases and sign the liveness record.
//!
//! A batch of heartbeats is one statement that takes no entity lock. Heartbeats of one claim with
//! one token become one, with the longer lease and the last progress, and every caller is
//! answered ([`merged`]). A second statement serves what the first one left, because the lease had
//! lapsed or was held by another session. A row that neither renewed is looked at: either there is
//! a reason to refuse, or a stranger held it, and then a solo lane waits for it ([`renew`]). A
//! heartbeat may be repeated at will (H6), so a statement that failed is tried again.
//!
//! A server signs the liveness record through the same lanes, so that a signature shows what it
//! means: heartbeats are served (R6, [`sign`]).

mod merged;
mod renew;
mod sign;

use super::connect::{ConnectError, warmed};
use super::error::StoreError;
use super::lane::{Call, OfTenant, Queue, Service, Session, WayBack};
use super::statement::Patient;
use super::statements::{RenewLeases, RenewRunning};
use crate::domain::{Heartbeat, Renewal, TenantId};
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use merged::{Merged, first_tokens, merged};
use renew::{Failed, Patience, renew};
use sign::sign;
use std::time::Duration;

pub use sign::Signature;

/// How long a batch waits for a row that another session holds, before it leaves that row for later.
/// Decisions hold a lease for as long as a commit takes; strangers may hold it for ever, and nobody
/// else in the batch should feel it.
const BATCH_LOCK_TIMEOUT: Duration = Duration::from_millis(10);

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

impl Ask {
    fn heartbeat(&self) -> Option<&Heartbeat> {
        match self {
            Self::Heartbeat(heartbeat) => Some(heartbeat),
            Self::Sign { .. } => None,
        }
    }
}

impl OfTenant for Ask {
    fn tenant(&self) -> Option<&TenantId> {
        self.heartbeat().map(|heartbeat| &heartbeat.id.tenant)
    }
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
    /// Most heartbeats of one statement.
    pub(super) batch: usize,
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

    fn batch_max(&self) -> usize {
        self.batch
    }

    async fn warm(&self, connection: &AsyncPgConnection) -> Result<(), ConnectError> {
        let mut c = connection;
        let patience = format!("SET lock_timeout = {}", BATCH_LOCK_TIMEOUT.as_millis());
        warmed(c.batch_execute(&patience)).await?;
        warmed(RenewRunning::default().execute(&mut c)).await?;
        warmed(RenewLeases::default().execute(&mut c)).await
    }

    async fn serve(&self, session: &mut Session, calls: Calls) {
        let (beats, signs): (Calls, Calls) =
            calls.into_iter().partition(|call| call.ask.heartbeat().is_some());
        for call in signs {
            match sign(self, session, &call.ask).await {
                // Another server signs at this moment, and takes its time.
                Err(Failed::MayRetry) => self.solo.pass_on(call),
                Err(Failed::For(error)) => call.answer(Err(error)),
                Ok(signed) => call.answer(Ok(signed)),
            }
        }
        // One claim, several tokens: all but one wait their turn.
        let (beats, later) = first_tokens(beats);
        for call in later {
            self.solo.pass_on(call);
        }
        if beats.is_empty() {
            return;
        }
        let asked = merged(&beats);
        let mut renewed = renew(self, session, &asked, Patience::Skip).await;
        if matches!(renewed, Err(Failed::MayRetry)) {
            // A connection that went stale while idle, as after a failover, is the usual cause.
            session.discard();
            renewed = renew(self, session, &asked, Patience::Skip).await;
        }
        let counts: Vec<usize> = asked.iter().map(|merged| merged.count).collect();
        let mut beats = beats.into_iter();
        match renewed {
            Ok(verdicts) => {
                let both = counts.iter().zip(&verdicts);
                let renewed = both.filter(|(_, verdict)| matches!(verdict, Some(Ok(_))));
                session.metrics().renewed(renewed.map(|(count, _)| count).sum());
                for (count, verdict) in counts.into_iter().zip(verdicts) {
                    for call in beats.by_ref().take(count) {
                        match &verdict {
                            Some(Ok(renewal)) => call.answer(Ok(Reply::Renewed(renewal.clone()))),
                            Some(Err(refusal)) => call.answer(Err(refusal.clone().into())),
                            None => self.solo.pass_on(call),
                        }
                    }
                }
            }
            Err(Failed::MayRetry) => beats.for_each(|call| self.solo.pass_on(call)),
            Err(Failed::For(error)) => beats.for_each(|call| call.answer(Err(error.clone()))),
        }
    }
}

impl Service for BeatSolo {
    type Ask = Ask;
    type Answer = Reply;
    const KIND: &'static str = "heartbeat-solo";

    fn batch_max(&self) -> usize {
        1
    }

    async fn warm(&self, connection: &AsyncPgConnection) -> Result<(), ConnectError> {
        let mut c = connection;
        warmed(Patient(RenewLeases::default()).execute(&mut c)).await
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
        let Some(heartbeat) = call.ask.heartbeat() else {
            return match sign(self, session, &call.ask).await {
                Err(Failed::MayRetry) => self.back.try_again(call, StoreError::Unavailable),
                Err(Failed::For(error)) => call.answer(Err(error)),
                Ok(signed) => call.answer(Ok(signed)),
            };
        };
        let asked = [Merged::of(heartbeat)];
        match renew(self, session, &asked, Patience::Wait).await.map(|mut all| all.pop().flatten())
        {
            Ok(Some(Ok(renewal))) => {
                session.metrics().renewed(1);
                call.answer(Ok(Reply::Renewed(renewal)));
            }
            Ok(Some(Err(refusal))) => call.answer(Err(refusal.into())),
            // It was renewable when it was looked at. If that goes on, its lease is missing: damage.
            Ok(None) => self.back.try_again(call, StoreError::Internal),
            Err(Failed::MayRetry) => self.back.try_again(call, StoreError::Unavailable),
            Err(Failed::For(error)) => call.answer(Err(error)),
        }
    }
}
