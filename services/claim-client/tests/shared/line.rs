//! A line to a server on which bytes can be late, vanish without a word, or be cut off.

use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What becomes of bytes on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// They pass.
    Open,
    /// They pass that much later.
    Late(Duration),
    /// They are kept until the line is open again; nobody is told.
    BlackHole,
    /// What the client says passes, what the server says is kept.
    Deaf,
    /// The connection is cut, and so are new ones.
    Cut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    ToServer,
    ToClient,
}

impl Way {
    fn keeps(self, direction: Direction) -> bool {
        match self {
            Self::BlackHole => true,
            Self::Deaf => direction == Direction::ToClient,
            Self::Open | Self::Late(_) | Self::Cut => false,
        }
    }
}

/// The line.
pub(crate) struct Line {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Line {
    /// A line to that address.
    pub(crate) async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let way = watch::Sender::new(Way::Open);
        let seen = way.subscribe();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(server).await else { continue };
                let (near_read, near_write) = near.into_split();
                let (far_read, far_write) = far.into_split();
                let seen = seen.clone();
                tokio::spawn(async move {
                    let mut cut = seen.clone();
                    tokio::select! {
                        () = copy(near_read, far_write, seen.clone(), Direction::ToServer) => {}
                        () = copy(far_read, near_write, seen, Direction::ToClient) => {}
                        _ = cut.wait_for(|way| *way == Way::Cut) => {}
                    }
                });
            }
        });
        Self { address, way }
    }

    /// As a client takes it.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the way for connections old and new.
    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut way: watch::Receiver<Way>,
    direction: Direction,
) {
    let mut bytes = vec![0; 64 * 1024];
    while let Ok(count @ 1..) = from.read(&mut bytes).await {
        let Ok(open) = way.wait_for(|way| !way.keeps(direction)).await.map(|way| *way) else {
            return;
        };
        if let Way::Late(by) = open {
            tokio::time::sleep(by).await;
        }
        if to.write_all(&bytes[..count]).await.is_err() {
            return;
        }
    }
}
