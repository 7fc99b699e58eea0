//! One watcher: follows events, is cut off at random if it is to be, and resumes behind the last that
//! it has seen, be that an event or a checkpoint.

use super::chance::Chance;
use super::history::{Event, Lasts, told};
use crate::latencies::Latencies;
use anyhow::{Context, Result, bail, ensure};
use claim_proto::v1::claim_service_client::ClaimServiceClient;
use claim_proto::v1::watch_claim_events_response::Item;
use claim_proto::v1::{WatchClaimEventsRequest, WatchClaimEventsResponse};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::watch;
use tokio::time::{timeout, timeout_at};
use tonic::{Code, Status, Streaming};

/// How long a watcher that has seen the last event listens on, for what should not come.
const LISTEN_ON: Duration = Duration::from_millis(500);

/// What it is to see.
pub(crate) struct Watcher {
    pub(crate) address: String,
    pub(crate) tenant: String,
    /// All events if none.
    pub(crate) entity: Option<String>,
    pub(crate) begin: Begin,
    /// Chance, and the longest time from one cut to the next.
    pub(crate) cuts: Option<(Chance, Duration)>,
}

/// Where it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the oldest event.
    Oldest,
    /// With what happens from now on.
    Now,
}

/// What it saw.
pub(crate) struct Saw {
    pub(crate) entity: Option<String>,
    /// Events up to here were none of its business.
    pub(crate) after: i64,
    /// In the order in which they came.
    pub(crate) events: Vec<Event>,
    pub(crate) cuts: u64,
    pub(crate) too_slow: u64,
    pub(crate) lag: Latencies,
}

/// A watch that goes on over several connections.
struct Following {
    watcher: Watcher,
    /// The sequences of the last events, in the end.
    lasts: watch::Receiver<Option<Arc<Lasts>>>,
    /// The highest sequence that it was given, by an event or a checkpoint.
    position: Option<i64>,
    saw: Saw,
}

impl Watcher {
    /// Watches until everything up to its last event has come, once that is known.
    pub(crate) async fn follow(self, lasts: watch::Receiver<Option<Arc<Lasts>>>) -> Result<Saw> {
        let entity = self.entity.clone();
        let lag = Latencies::new()?;
        let saw = Saw { entity, after: 0, events: Vec::new(), cuts: 0, too_slow: 0, lag };
        let position = (self.begin == Begin::Oldest).then_some(0);
        let cuts = self.cuts.clone();
        let mut following = Following { watcher: self, lasts, position, saw };
        if let Some((mut chance, longest)) = cuts {
            while !following.has_all() {
                let cut = Instant::now() + chance.length(longest);
                // Whatever was going on is dropped, the connection with what it had not yet given.
                match timeout_at(cut.into(), following.connection()).await {
                    Ok(ended) => ended?,
                    Err(_) => following.saw.cuts += 1,
                }
            }
        } else {
            while !following.has_all() {
                following.connection().await?;
            }
        }
        Ok(following.saw)
    }
}

impl Following {
    /// Watches over a connection of its own until everything has been seen, or the server ends it.
    async fn connection(&mut self) -> Result<()> {
        let mut client = ClaimServiceClient::connect(self.watcher.address.clone()).await?;
        let request = WatchClaimEventsRequest {
            tenant_id: self.watcher.tenant.clone(),
            entity_url: self.watcher.entity.clone().unwrap_or_default(),
            consumer_id: String::new(),
            after_sequence: self.position,
        };
        let mut items = client.watch_claim_events(request).await?.into_inner();
        let first = items.message().await?.and_then(|item| item.item).context("an item")?;
        let Item::Checkpoint(checkpoint) = first else { bail!("no checkpoint came first") };
        let since = SystemTime::now();
        if self.position.is_none() {
            self.saw.after = checkpoint.sequence;
        }
        self.checkpoint(checkpoint.sequence)?;
        while !self.has_all() {
            let item = tokio::select! {
                item = items.message() => item,
                changed = self.lasts.changed() => {
                    changed?;
                    continue;
                }
            };
            match item {
                Ok(item) => self.take(item.context("a watch does not end by itself")?, since)?,
                Err(status) => return self.ended(&status),
            }
        }
        self.listen_on(&mut items, since).await
    }

    fn has_all(&self) -> bool {
        let Some(lasts) = self.lasts.borrow().clone() else { return false };
        let entity = self.watcher.entity.as_deref().unwrap_or_default();
        let last = lasts.get(entity).copied().unwrap_or_default();
        self.position.is_some_and(|position| position >= last)
    }

    async fn listen_on(
        &mut self,
        items: &mut Streaming<WatchClaimEventsResponse>,
        since: SystemTime,
    ) -> Result<()> {
        while let Ok(item) = timeout(LISTEN_ON, items.message()).await {
            self.take(item?.context("a watch does not end by itself")?, since)?;
        }
        Ok(())
    }

    fn take(&mut self, item: WatchClaimEventsResponse, since: SystemTime) -> Result<()> {
        match item.item.context("an item")? {
            Item::Checkpoint(checkpoint) => self.checkpoint(checkpoint.sequence),
            Item::Event(event) => {
                let sequence = event.sequence;
                ensure!(
                    self.position.is_some_and(|position| position < sequence),
                    "event {sequence} came behind {:?}",
                    self.position
                );
                let (event, happened) = told(event)?;
                if happened >= since {
                    self.saw.lag.record(happened.elapsed().unwrap_or_default())?;
                }
                self.saw.events.push(event);
                self.position = Some(sequence);
                Ok(())
            }
        }
    }

    fn checkpoint(&mut self, sequence: i64) -> Result<()> {
        ensure!(
            self.position.is_none_or(|position| position <= sequence),
            "a checkpoint at {sequence} came behind {:?}",
            self.position
        );
        self.position = Some(sequence);
        Ok(())
    }

    /// The server may end a watcher that does not keep up, and nothing else.
    fn ended(&mut self, status: &Status) -> Result<()> {
        ensure!(status.code() == Code::ResourceExhausted, "a watch ended: {status:?}");
        self.saw.too_slow += 1;
        Ok(())
    }
}
