//! What runners and the store say to each other: a line of JSON, and a line back.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// A write to the stream of an entity.
#[derive(Serialize, Deserialize)]
pub(crate) struct Write {
    pub(crate) stream: String,
    /// The secret of the claim; the store asks the service about it.
    pub(crate) write_token: String,
    pub(crate) entry: Entry,
}

impl fmt::Debug for Write {
    /// Without the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} to {}", self.entry, self.stream)
    }
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Entry {
    /// A claim begins; older ones may not write any more.
    Begin,
    /// A part of a piece of work.
    Step { piece: u64 },
    /// The end of a piece of work.
    Finish { piece: u64 },
    /// The last finished piece is reported by this claim, since the one before did not live to.
    Adopt,
}

/// What became of a write.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Written {
    /// It is in the stream. The last finished piece before it is told, if there is one.
    Accepted { last: Option<Finished> },
    /// The lease has lapsed; after a heartbeat it may go through.
    Lapsed,
    /// The claim may not write to the stream, now or later.
    Barred,
    /// The store could not ask.
    Unknown,
}

/// A finished piece of work, and the claim that is to report it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Finished {
    pub(crate) piece: u64,
    pub(crate) consumer_id: String,
    pub(crate) epoch: i64,
}

/// A line to the store.
pub(crate) struct StoreLine {
    answers: Lines<BufReader<OwnedReadHalf>>,
    writes: OwnedWriteHalf,
}

impl StoreLine {
    /// Connects.
    pub(crate) async fn open(store: SocketAddr) -> Result<Self> {
        let (read, writes) = TcpStream::connect(store).await?.into_split();
        Ok(Self { answers: BufReader::new(read).lines(), writes })
    }

    /// Writes, and waits for what became of it.
    pub(crate) async fn write(&mut self, write: &Write) -> Result<Written> {
        let mut line = serde_json::to_vec(write)?;
        line.push(b'\n');
        self.writes.write_all(&line).await?;
        let answer = self.answers.next_line().await?.context("the store has gone")?;
        Ok(serde_json::from_str(&answer)?)
    }
}
