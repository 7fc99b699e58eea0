//! A road to the database that can be closed, or on which statements are changed: a Unix socket that
//! forwards to the cluster's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_postgres::config::Host;

/// What becomes of bytes on the road.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Road {
    /// They pass.
    Open,
    /// They vanish, and so do those of new connections; nobody is told.
    BlackHole,
    /// They pass until a COMMIT comes by; the connection is cut before it gets through.
    CutBeforeCommit,
    /// They pass until a COMMIT comes by; the connection is cut when the database has done it,
    /// before its answer gets through.
    CutAfterCommit,
}

/// A COMMIT as the store sends it, and as the database confirms it: the same bytes.
const COMMIT: &[u8] = b"COMMIT\0";
/// Most bytes forwarded at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// Text that a client sends, replaced by other text: a store whose statements say something else.
#[derive(Debug, Default)]
pub struct Rewrite {
    /// What is replaced, and by what; the latter is filled up with spaces to the length of the former.
    pub pairs: Vec<(String, String)>,
    /// Of so many places where it stands one is rewritten.
    pub one_in: usize,
    /// How many such places there were.
    pub met: AtomicUsize,
}

impl Rewrite {
    fn rewrite(&self, bytes: &mut [u8]) {
        for (from, to) in &self.pairs {
            let mut at = 0;
            while let Some(next) =
                bytes[at..].windows(from.len()).position(|w| w == from.as_bytes())
            {
                let place = at + next;
                at = place + from.len();
                if self.met.fetch_add(1, Ordering::Relaxed) % self.one_in == self.one_in - 1 {
                    bytes[place..at].fill(b' ');
                    bytes[place..place + to.len()].copy_from_slice(to.as_bytes());
                }
            }
        }
    }
}

/// The proxy. Its folder goes with it.
pub struct Proxy {
    folder: PathBuf,
    url: String,
    road: Arc<watch::Sender<Road>>,
}

impl Proxy {
    /// Starts one before the database of `url`, which must be one of a cluster's.
    pub async fn before(url: &str) -> Self {
        Self::rewriting(url, Arc::default()).await
    }

    /// As [`Proxy::before`], with statements rewritten; each must come by in one piece.
    pub async fn rewriting(url: &str, rewrite: Arc<Rewrite>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let config: tokio_postgres::Config = url.parse().expect("a URL");
        let Some(Host::Unix(socket_folder)) = config.get_hosts().first() else {
            unreachable!("a cluster listens on a Unix socket");
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let socket = format!(".s.PGSQL.{port}");
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("claim-proxy-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        tokio::fs::create_dir(&folder).await.expect("a folder");
        let listener = UnixListener::bind(folder.join(&socket)).expect("a socket");
        let road = Arc::new(watch::Sender::new(Road::Open));
        tokio::spawn(accept(listener, socket_folder.join(socket), Arc::clone(&road), rewrite));
        let url = format!(
            "postgres://{}@{}:{port}/{}",
            config.get_user().unwrap_or_default(),
            folder.display().to_string().replace('/', "%2F"),
            config.get_dbname().unwrap_or_default(),
        );
        Self { folder, url, road }
    }

    /// The database's URL by way of this proxy.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Changes the road for connections old and new.
    pub fn set(&self, road: Road) {
        self.road.send_replace(road);
    }

    /// What the road is now; a cut opens it again.
    #[must_use]
    pub fn road(&self) -> Road {
        *self.road.borrow()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // A folder left over in the temporary folder is no reason to fail.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

async fn accept(
    listener: UnixListener,
    to: PathBuf,
    road: Arc<watch::Sender<Road>>,
    rewrite: Arc<Rewrite>,
) {
    while let Ok((client, _)) = listener.accept().await {
        let (to, road, rewrite) = (to.clone(), Arc::clone(&road), Arc::clone(&rewrite));
        tokio::spawn(async move { serve(client, &to, &road, &rewrite).await });
    }
}

async fn serve(client: UnixStream, to: &Path, road: &watch::Sender<Road>, rewrite: &Rewrite) {
    // A database that is away closes the connection, as it would without a proxy.
    let Ok(server) = UnixStream::connect(to).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let confirmed = watch::Sender::new(false);
    tokio::select! {
        () = forward_calls(from_client, to_server, road, &confirmed, rewrite) => {}
        () = forward_answers(from_server, to_client, road, &confirmed) => {}
    }
}

async fn passable(road: &watch::Sender<Road>) {
    // The sender is borrowed, so the channel cannot be closed.
    let _ = road.subscribe().wait_for(|road| *road != Road::BlackHole).await;
}

async fn forward_calls(
    mut client: OwnedReadHalf,
    mut server: OwnedWriteHalf,
    road: &watch::Sender<Road>,
    cutting: &watch::Sender<bool>,
    rewrite: &Rewrite,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Ok(length @ 1..) = client.read(&mut chunk).await else {
            return;
        };
        passable(road).await;
        rewrite.rewrite(&mut chunk[..length]);
        let bytes = &chunk[..length];
        if holds_commit(bytes) {
            let seen = *road.borrow();
            match seen {
                Road::Open | Road::BlackHole => {}
                Road::CutBeforeCommit => {
                    road.send_replace(Road::Open);
                    return;
                }
                Road::CutAfterCommit => {
                    road.send_replace(Road::Open);
                    cutting.send_replace(true);
                }
            }
        }
        if server.write_all(bytes).await.is_err() {
            return;
        }
    }
}

async fn forward_answers(
    mut server: OwnedReadHalf,
    mut client: OwnedWriteHalf,
    road: &watch::Sender<Road>,
    cutting: &watch::Sender<bool>,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let Ok(length @ 1..) = server.read(&mut chunk).await else {
            return;
        };
        passable(road).await;
        let bytes = &chunk[..length];
        if *cutting.borrow() {
            if holds_commit(bytes) {
                return;
            }
            continue;
        }
        if client.write_all(bytes).await.is_err() {
            return;
        }
    }
}

fn holds_commit(bytes: &[u8]) -> bool {
    bytes.windows(COMMIT.len()).any(|window| window == COMMIT)
}
