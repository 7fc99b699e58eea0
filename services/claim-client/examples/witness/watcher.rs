//! Watches every event from the beginning, whatever happens on the way, and holds the watch to its word:
//! each event once, in order, and all that was acknowledged among them (E2).

use crate::ledger::Ledger;
use crate::record::Grant;
use claim_client::v1::{ClaimEvent, ClaimEventType, WatchClaimEventsRequest};
use claim_client::{Client, WatchItem};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long the last events may take to be told. A watch that hears nothing begins anew after 20 s.
const PATIENCE: Duration = Duration::from_secs(30);
/// From one look at what was told to the next.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A watch, and what it was told.
#[derive(Debug)]
pub(crate) struct Watcher {
    told: Arc<Mutex<Told>>,
    watch: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Told {
    last: i64,
    /// Fences of mints and re-mints, by entity.
    granted: BTreeSet<(String, i64)>,
    /// Claims that were reported done.
    released: BTreeSet<(String, i64)>,
}

impl Watcher {
    /// With a client of its own, so that the servers it changes to are not those of the workers.
    pub(crate) fn start(client: &Client, ledger: &Arc<Ledger>) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let ask = WatchClaimEventsRequest { after_sequence: Some(0), ..Default::default() };
        let mut events = client.watch_claim_events(ask);
        let (all, ledger) = (Arc::clone(&told), Arc::clone(ledger));
        let watch = tokio::spawn(async move {
            loop {
                match events.next().await {
                    Ok(WatchItem::Event(event)) => lock(&all).hear(&event, &ledger),
                    Ok(WatchItem::Checkpoint(_)) => {}
                    Err(error) => {
                        ledger.violated(format!("the watch has ended: {error}"));
                        return;
                    }
                }
            }
        });
        Self { told, watch }
    }

    /// Waits until all that was acknowledged was told.
    pub(crate) async fn acknowledged_was_told(self, ledger: &Ledger) {
        let record = ledger.record();
        let last = Instant::now() + PATIENCE;
        loop {
            let missing: Vec<String> = {
                let told = lock(&self.told);
                record.0.iter().filter_map(|grant| told.lacks(grant)).collect()
            };
            if missing.is_empty() {
                break;
            }
            if Instant::now() >= last {
                missing.into_iter().for_each(|what| ledger.violated(what));
                break;
            }
            sleep(LOOK_EVERY).await;
        }
        self.watch.abort();
    }
}

impl Told {
    fn hear(&mut self, event: &ClaimEvent, ledger: &Ledger) {
        if event.sequence <= self.last {
            let (sequence, last) = (event.sequence, self.last);
            ledger.violated(format!("the watch tells event {sequence} after {last}"));
        }
        self.last = event.sequence;
        match event.r#type() {
            ClaimEventType::Minted | ClaimEventType::Reminted => {
                self.granted.insert((event.entity_url.clone(), event.fence));
            }
            ClaimEventType::Released => {
                self.released.insert((event.consumer_id.clone(), event.epoch));
            }
            _ => {}
        }
    }

    /// What the watch has not told of this claim.
    fn lacks(&self, grant: &Grant) -> Option<String> {
        let name = format!("{} epoch {} on {}", grant.consumer, grant.epoch, grant.entity);
        if !self.granted.contains(&(grant.entity.clone(), grant.fence)) {
            return Some(format!("{name} was granted, and the watch never told"));
        }
        let is_told = self.released.contains(&(grant.consumer.clone(), grant.epoch));
        (grant.done && !is_told).then(|| format!("{name} was done, and the watch never told"))
    }
}

fn lock(told: &Mutex<Told>) -> MutexGuard<'_, Told> {
    told.lock().unwrap_or_else(PoisonError::into_inner)
}
