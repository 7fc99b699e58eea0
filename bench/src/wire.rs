//! What goes over the wire to Postgres: a relay that counts statements and round trips.

use anyhow::{Context, Result};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_postgres::config::Host;

/// Bytes of the length that every message begins with, after its kind.
const LENGTH_BYTES: u32 = 4;
/// Kinds of messages that run a statement: one that is prepared, and one that is text.
const STATEMENTS: [u8; 2] = [b'E', b'Q'];
/// Most bytes forwarded at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What was sent so far by all connections.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// BEGIN and COMMIT among them.
    pub(crate) statements: u64,
    /// How often something was sent after Postgres had answered what came before.
    pub(crate) round_trips: u64,
}

#[derive(Default)]
struct Counters {
    statements: AtomicU64,
    round_trips: AtomicU64,
}

/// A road to a database over TCP. It slows it: what takes time is not measured on it.
pub(crate) struct Relay {
    url: String,
    counters: Arc<Counters>,
}

impl Relay {
    /// Opens it before the database of `url`, which has one host.
    pub(crate) fn before(url: &str, runtime: &Runtime) -> Result<Self> {
        let config: tokio_postgres::Config = url.parse()?;
        let port = *config.get_ports().first().context("a port")?;
        let Some(Host::Tcp(host)) = config.get_hosts().first() else {
            anyhow::bail!("the database is not reached over TCP");
        };
        let database = SocketAddr::new(host.parse()?, port);
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let own = listener.local_addr()?;
        let counters = Arc::new(Counters::default());
        runtime.spawn(accept(listener, database, Arc::clone(&counters)));
        Ok(Self { url: url.replace(&database.to_string(), &own.to_string()), counters })
    }

    /// The database by this road.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What was sent so far.
    pub(crate) fn sent(&self) -> Sent {
        Sent {
            statements: self.counters.statements.load(Ordering::Relaxed),
            round_trips: self.counters.round_trips.load(Ordering::Relaxed),
        }
    }
}

async fn accept(listener: TcpListener, database: SocketAddr, counters: Arc<Counters>) {
    // It ends with the runtime; a program whose connection fails says so itself.
    while let Ok((program, _)) = listener.accept().await {
        let Ok(postgres) = TcpStream::connect(database).await else { return };
        if program.set_nodelay(true).and(postgres.set_nodelay(true)).is_err() {
            return;
        }
        let (from_program, to_program) = program.into_split();
        let (from_postgres, to_postgres) = postgres.into_split();
        let answered = Arc::new(AtomicBool::new(false));
        let answers = answers(from_postgres, to_program, Arc::clone(&answered));
        tokio::spawn(answers);
        tokio::spawn(messages(from_program, to_postgres, answered, Arc::clone(&counters)));
    }
}

async fn messages(
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    answered: Arc<AtomicBool>,
    counters: Arc<Counters>,
) -> Result<()> {
    let (mut from, mut to) = (BufReader::new(from), BufWriter::new(to));
    // The first message alone has no kind.
    let mut kind = None;
    loop {
        let length = from.read_u32().await?;
        let rest = length.checked_sub(LENGTH_BYTES).context("a length")?;
        let mut message = vec![0; usize::try_from(rest)?];
        from.read_exact(&mut message).await?;
        if kind.is_some_and(|kind| STATEMENTS.contains(&kind)) {
            counters.statements.fetch_add(1, Ordering::Relaxed);
        }
        if answered.swap(false, Ordering::Relaxed) {
            counters.round_trips.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(kind) = kind {
            to.write_u8(kind).await?;
        }
        to.write_u32(length).await?;
        to.write_all(&message).await?;
        if from.buffer().is_empty() {
            to.flush().await?;
        }
        kind = Some(from.read_u8().await?);
    }
}

async fn answers(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    answered: Arc<AtomicBool>,
) -> Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        answered.store(true, Ordering::Relaxed);
        to.write_all(&chunk[..length]).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::Sql;
    use crate::stage::Stage;

    #[test]
    fn a_statement_is_counted_when_it_runs_and_a_round_trip_when_an_answer_was_awaited() {
        let stage = Stage::over_tcp().unwrap();
        let runtime = Runtime::new().unwrap();
        let relay = Relay::before(stage.url(), &runtime).unwrap();
        let sql = Sql::connect(relay.url()).unwrap();
        let counted = |act: &dyn Fn()| {
            let before = relay.sent();
            act();
            let sent = relay.sent();
            (sent.statements - before.statements, sent.round_trips - before.round_trips)
        };
        assert_eq!(counted(&|| sql.batch("SELECT 1").unwrap()), (1, 1));
        // It is prepared first, and closed in the end, neither of which runs anything.
        let (statements, round_trips) =
            counted(&|| assert_eq!(sql.value::<i32>("SELECT 7").unwrap(), 7));
        assert_eq!(statements, 1);
        assert!(round_trips >= 2, "{round_trips}");
    }
}
