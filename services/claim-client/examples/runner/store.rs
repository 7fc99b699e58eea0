//! The store that owns the streams. It trusts no runner: it asks the service about every write, and
//! it remembers the highest fence of each stream, since a write that was allowed may still be on its
//! way when a newer claim begins.

use crate::protocol::{Entry, Finished, Write, Written};
use anyhow::Result;
use claim_client::v1::AuthorizeWriteResponse;
use claim_client::{Client, Refusal};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// What was written, and what was refused.
#[derive(Debug, Default)]
pub(crate) struct Record {
    streams: HashMap<String, Stream>,
    pub(crate) accepted: u64,
    /// Refused by the service: the token is dead, or was never the right one.
    pub(crate) invalid: u64,
    /// Refused by the service for the time being.
    pub(crate) lapsed: u64,
    /// Allowed by the service, and refused for a fence that was too low.
    pub(crate) fenced: u64,
    /// The service did not answer.
    pub(crate) unknown: u64,
    /// What can only be if two claims were authorized at the same time, in words.
    pub(crate) contradictions: Vec<String>,
}

#[derive(Debug, Default)]
struct Stream {
    highest_fence: i64,
    /// Whose fence that is.
    highest: Option<(String, i64)>,
    finished: Vec<Finished>,
}

impl Record {
    /// The pieces finished in a stream, in the order of writing.
    pub(crate) fn pieces(&self, stream: &str) -> Vec<u64> {
        let stream = self.streams.get(stream);
        stream.map(|s| s.finished.iter().map(|f| f.piece).collect()).unwrap_or_default()
    }

    /// All pieces finished so far.
    pub(crate) fn finished(&self) -> usize {
        self.streams.values().map(|stream| stream.finished.len()).sum()
    }

    /// The highest fence that was ever allowed to write to a stream.
    fn highest_fence(&self, stream: &str) -> i64 {
        self.streams.get(stream).map_or(0, |stream| stream.highest_fence)
    }

    /// Takes a write that the service allowed, unless a newer claim has begun. When it was asked,
    /// `highest_before` was the highest fence that it had allowed.
    fn append(
        &mut self,
        write: &Write,
        allowed: AuthorizeWriteResponse,
        highest_before: i64,
    ) -> Written {
        let stream = self.streams.entry(write.stream.clone()).or_default();
        let AuthorizeWriteResponse { consumer_id, epoch, fence, .. } = allowed;
        let who = (consumer_id.clone(), epoch);
        if fence < highest_before {
            // No matter of answers that overtake each other: it was asked after the newer one had
            // been allowed, and W1 allows the current claim alone.
            self.contradictions.push(format!("{who:?} was allowed after a newer claim: {write:?}"));
        }
        if fence < stream.highest_fence {
            self.fenced += 1;
            return Written::Barred;
        }
        if fence == stream.highest_fence && stream.highest.as_ref() != Some(&who) {
            self.contradictions.push(format!("{who:?} has a fence of another claim: {write:?}"));
        }
        (stream.highest_fence, stream.highest) = (fence, Some(who));
        self.accepted += 1;
        let last = stream.finished.last().cloned();
        match write.entry {
            Entry::Begin | Entry::Step { .. } => {}
            Entry::Finish { piece } => {
                stream.finished.push(Finished { piece, consumer_id, epoch });
            }
            Entry::Adopt => {
                if let Some(last) = stream.finished.last_mut() {
                    *last = Finished { consumer_id, epoch, ..last.clone() };
                }
            }
        }
        Written::Accepted { last }
    }
}

/// The store. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    client: Client,
    record: Arc<Mutex<Record>>,
}

impl Store {
    /// Starts one on a free port, and tells where it listens.
    pub(crate) async fn start(client: Client) -> Result<(Self, SocketAddr)> {
        let store = Self { client, record: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let serving = store.clone();
        tokio::spawn(async move {
            while let Ok((runner, _)) = listener.accept().await {
                let store = serving.clone();
                tokio::spawn(async move {
                    if let Err(error) = store.serve(runner).await {
                        tracing::debug!("a runner has gone: {error}");
                    }
                });
            }
        });
        Ok((store, address))
    }

    /// Looks at the record.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.record.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn serve(&self, runner: TcpStream) -> Result<()> {
        let (read, mut answers) = runner.into_split();
        let mut writes = BufReader::new(read).lines();
        while let Some(line) = writes.next_line().await? {
            let write: Write = serde_json::from_str(&line)?;
            let mut answer = serde_json::to_vec(&self.write(&write).await)?;
            answer.push(b'\n');
            answers.write_all(&answer).await?;
        }
        Ok(())
    }

    async fn write(&self, write: &Write) -> Written {
        let highest_before = self.look(|record| record.highest_fence(&write.stream));
        let allowed = self.client.authorize_write("", &write.stream, &write.write_token).await;
        let mut record = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        match allowed {
            Ok(allowed) => record.append(write, allowed, highest_before),
            Err(error) => match error.refusal() {
                Some(Refusal::LeaseLapsed) => {
                    record.lapsed += 1;
                    Written::Lapsed
                }
                Some(_) => {
                    record.invalid += 1;
                    Written::Barred
                }
                None => {
                    record.unknown += 1;
                    Written::Unknown
                }
            },
        }
    }
}
