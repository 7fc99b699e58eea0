//! One KeepAlive stream, from its opening to its end.

use crate::calls::Wire;
use crate::limits::{ANSWER_QUEUE, SEND_QUEUE};
use crate::servers::{Picked, Servers};
use claim_proto::v1::{HeartbeatRequest, KeepAliveRequest, KeepAliveResponse};
use futures_util::stream::poll_fn;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::Status;

/// What a stream brings. The number tells the stream, since an old one may still speak.
#[derive(Debug)]
pub(crate) enum News {
    /// An answer, or a push.
    Answer(u64, Box<KeepAliveResponse>),
    /// The end, with the status if there is one.
    Ended(u64, Option<Box<Status>>),
}

/// Where streams bring their news.
pub(crate) fn news() -> (mpsc::Sender<News>, mpsc::Receiver<News>) {
    mpsc::channel(ANSWER_QUEUE)
}

/// A stream that has not ended, as far as one knows.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) picked: Picked,
    /// When it was opened, or last brought anything.
    pub(crate) heard_at: Instant,
    requests: mpsc::Sender<KeepAliveRequest>,
    reader: JoinHandle<()>,
}

impl Link {
    /// Opens one to the present server. Heartbeats may be handed to it at once: they wait for the
    /// connection, and some servers begin to answer only when there is something to answer.
    pub(crate) fn open(
        number: u64,
        servers: &Servers,
        news: mpsc::Sender<News>,
        now: Instant,
    ) -> Self {
        let picked = servers.pick();
        let (requests, mut outgoing) = mpsc::channel(SEND_QUEUE);
        let wire = picked.wire();
        let outgoing = poll_fn(move |context| outgoing.poll_recv(context));
        let reader = tokio::spawn(async move {
            let status = read(number, wire, outgoing, &news).await.err().map(Box::new);
            // If nobody listens, nobody is concerned.
            let _ = news.send(News::Ended(number, status)).await;
        });
        Self { number, picked, heard_at: now, requests, reader }
    }

    /// Room for one heartbeat; none while too many wait for the network, or if nobody takes them.
    pub(crate) fn room(&self) -> Option<Room<'_>> {
        self.requests.try_reserve().ok().map(Room)
    }

    /// Whether the task behind it is gone without a word, as only a panic makes it.
    pub(crate) fn is_dead(&self) -> bool {
        self.reader.is_finished()
    }
}

/// Room for one heartbeat.
pub(crate) struct Room<'a>(mpsc::Permit<'a, KeepAliveRequest>);

impl Room<'_> {
    /// Hands it over.
    pub(crate) fn take(self, tag: u64, heartbeat: HeartbeatRequest) {
        self.0.send(KeepAliveRequest { tag, heartbeat: Some(heartbeat) });
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(
    number: u64,
    mut wire: Wire,
    outgoing: impl futures_util::Stream<Item = KeepAliveRequest> + Send + 'static,
    news: &mpsc::Sender<News>,
) -> Result<(), Status> {
    let mut answers = wire.keep_alive(outgoing).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        if news.send(News::Answer(number, Box::new(answer))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}
