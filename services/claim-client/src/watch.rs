//! A watch of events that outlives its streams.
//!
//! It remembers the last sequence that it was given, and resumes from there whenever a stream ends,
//! at another server if its own fails, drains or is silent. So its caller misses nothing and sees
//! nothing twice, as the contract has it (E2), however often the line is cut.

use crate::client::Client;
use crate::error::Error;
use crate::limits::WATCH_SILENCE_MAX;
use crate::refusal::Refusal;
use crate::retry::{Backoff, chance, may_help_elsewhere};
use crate::servers::Picked;
use crate::verdict::Verdict;
use claim_proto::v1;
use claim_proto::v1::watch_claim_events_response::Item;
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming};

/// The next item of a watch.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// Something happened.
    Event(v1::ClaimEvent),
    /// All that the watch wants up to this sequence has been given.
    Checkpoint(i64),
}

/// A watch. It asks nothing before [`EventWatch::next`] is called.
#[derive(Debug)]
pub struct EventWatch {
    client: Client,
    ask: v1::WatchClaimEventsRequest,
    stream: Option<(Picked, Streaming<v1::WatchClaimEventsResponse>)>,
    backoff: Backoff,
}

impl EventWatch {
    pub(crate) fn new(client: Client, ask: v1::WatchClaimEventsRequest) -> Self {
        Self { client, ask, stream: None, backoff: Backoff::default() }
    }

    /// Up to here all was given: where another watch, or another process, can go on. None before the
    /// first item of a watch that begins with what happens from now on.
    #[must_use]
    pub fn position(&self) -> Option<i64> {
        self.ask.after_sequence
    }

    /// The next event or checkpoint. While the service is away it waits, for as long as that takes.
    /// May be dropped and called again.
    ///
    /// # Errors
    /// [`Refusal::EventsPruned`](crate::Refusal::EventsPruned): what follows the position was removed;
    /// list the present state and watch anew. Any other refusal of the request.
    pub async fn next(&mut self) -> Result<WatchItem, Error> {
        loop {
            let news = match &mut self.stream {
                None => match self.client.open_watch(self.ask.clone()).await? {
                    (picked, Ok(stream)) => {
                        self.stream = Some((picked, stream));
                        continue;
                    }
                    (picked, Err(status)) => (picked, Some(status)),
                },
                Some((picked, stream)) => {
                    match timeout(WATCH_SILENCE_MAX, stream.message()).await {
                        Ok(Ok(Some(answer))) => match self.heard(answer) {
                            Some(item) => return Ok(item),
                            None => continue,
                        },
                        Ok(Ok(None)) => (picked.clone(), None),
                        Ok(Err(status)) => (picked.clone(), Some(status)),
                        Err(_) => (picked.clone(), Some(Status::deadline_exceeded("it is silent"))),
                    }
                }
            };
            self.stream = None;
            self.ended(news).await?;
        }
    }

    fn heard(&mut self, answer: v1::WatchClaimEventsResponse) -> Option<WatchItem> {
        let item = match answer.item? {
            Item::Event(event) => {
                self.ask.after_sequence = Some(event.sequence);
                WatchItem::Event(event)
            }
            Item::Checkpoint(checkpoint) => {
                self.ask.after_sequence = Some(checkpoint.sequence);
                WatchItem::Checkpoint(checkpoint.sequence)
            }
        };
        self.backoff.reset();
        Some(item)
    }

    /// After the end of a stream: waits until it is time for the next.
    async fn ended(&mut self, (picked, status): (Picked, Option<Status>)) -> Result<(), Error> {
        let verdict = status.map_or_else(Verdict::no_answer, |status| Verdict::of(&status));
        let failure = match verdict {
            // What it was given is known; it goes on from there at once.
            Verdict::Refused(Refusal::WatcherTooSlow) => return Ok(()),
            // The token was over. The next stream is opened with the one that has replaced it.
            Verdict::Refused(Refusal::Unauthenticated) if picked.has_another_token() => {
                return Ok(());
            }
            Verdict::Refused(refusal) => return Err(Error::Refused(refusal)),
            Verdict::Failed(failure) => return Err(Error::Failed(failure)),
            Verdict::Again(failure) => failure,
        };
        if may_help_elsewhere(&failure) {
            self.client.servers().give_up(&picked);
        }
        let pause = self.backoff.elsewhere(&failure, self.client.servers().count(), chance());
        let address = &picked.address;
        tracing::debug!(%address, "the watch at {address} has ended ({failure}); again in {pause:?}");
        sleep(pause).await;
        Ok(())
    }
}

/// Opens a stream at the present server. Must run on the thread that carries the connections.
pub(crate) async fn open(
    picked: Picked,
    ask: v1::WatchClaimEventsRequest,
) -> (Picked, Result<Streaming<v1::WatchClaimEventsResponse>, Status>) {
    let mut wire = picked.wire();
    let opening = timeout(WATCH_SILENCE_MAX, wire.watch_claim_events(ask)).await;
    let opened = match opening {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("the watch does not begin")),
    };
    (picked, opened)
}
