//! One of those who compete: mints, holds for a moment, reports done.

use crate::ledger::Ledger;
use claim_client::v1::ClaimState;
use claim_client::{Client, Done, MintRequest, Refusal};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long an entity is held: mostly for a moment, and every so often for long enough that the claim
/// is heartbeaten.
const MOMENT: Duration = Duration::from_millis(120);
/// See [`MOMENT`].
const LONG: Duration = Duration::from_secs(4);
/// One in so many is held for long.
const LONG_ONE_IN: u32 = 12;
/// From a refusal to the next attempt.
const AGAIN: Duration = Duration::from_millis(20);

pub(crate) struct Worker {
    pub(crate) client: Client,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) prefix: String,
    pub(crate) entities: usize,
    pub(crate) lease: Duration,
    pub(crate) abandon: bool,
    pub(crate) number: usize,
}

impl Worker {
    pub(crate) async fn run(self, end: Instant) {
        let mut wakes = 0_u64;
        while Instant::now() < end {
            wakes += 1;
            self.work(end, wakes).await;
        }
    }

    async fn work(&self, end: Instant, wake: u64) {
        let entity = format!("{}/{}", self.prefix, fastrand::usize(..self.entities));
        // One in two is a fresh consumer, as of a wake; the other a stable one.
        let consumer = match wake % 2 {
            0 => format!("worker-{}", self.number),
            _ => format!("worker-{}-{:016x}", self.number, fastrand::u64(..)),
        };
        let guard =
            match self.client.mint(MintRequest::new(&entity, consumer).lease_ttl(self.lease)).await
            {
                Ok(guard) => guard,
                Err(error) => {
                    match error.refusal() {
                        Some(Refusal::AlreadyClaimed { .. }) => self.ledger.refused(),
                        Some(refusal) => {
                            self.ledger
                                .violated(format!("a mint of {entity} is refused: {refusal}"));
                        }
                        None => self.ledger.failed(format!("a mint: {error}")),
                    }
                    sleep(AGAIN).await;
                    return;
                }
            };
        let place = self.ledger.granted(&guard);
        let hold = if fastrand::u32(..LONG_ONE_IN) == 0 { LONG } else { MOMENT };
        sleep(hold.mul_f64(fastrand::f64())).await;
        if self.abandon && Instant::now() >= end {
            return;
        }
        self.ledger.ends(place, &guard);
        let (id, ack) = (guard.id().clone(), format!("{:016x}", fastrand::u64(..)));
        match guard.done(Done::completed().ack(format!("{entity}/in"), &ack)).await {
            Ok(answer) => {
                let claim = answer.claim.unwrap_or_default();
                if claim.state() != ClaimState::Released || !answer.acks_recorded {
                    let state = claim.state().as_str_name();
                    self.ledger.violated(format!(
                        "{} epoch {} on {entity} was {state} ({}) before its holder reported it done",
                        id.consumer_id, id.epoch, claim.end_reason
                    ));
                }
                self.ledger.done(place, claim.last_heartbeat_time.is_some());
            }
            Err(failed) => match failed.error.refusal() {
                Some(refusal) => {
                    self.ledger.violated(format!("a done of {entity} is refused: {refusal}"));
                }
                None => self.ledger.failed(format!("a done: {}", failed.error)),
            },
        }
    }
}
