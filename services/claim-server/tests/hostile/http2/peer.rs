//! The other end of a connection, which may say and leave out whatever it likes.

use super::wire::{PREFACE, settings};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a server that does not read may keep its peer waiting before that gives up.
const STALLED_AFTER: Duration = Duration::from_millis(300);
/// How long a server may take to close a connection that is of no use any more.
const CLOSED_AFTER: Duration = Duration::from_secs(10);

/// A connection.
pub(crate) struct Peer {
    socket: TcpStream,
}

impl Peer {
    /// Connects, and says nothing.
    pub(crate) async fn mute(server: SocketAddr) -> Self {
        let socket = TcpStream::connect(server).await.expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        Self { socket }
    }

    /// Connects, and begins as a client of HTTP/2 does.
    pub(crate) async fn connect(server: SocketAddr) -> Self {
        Self::with_settings(server, &[]).await
    }

    /// As [`Peer::connect`], with settings of its own.
    pub(crate) async fn with_settings(server: SocketAddr, of: &[(u16, u32)]) -> Self {
        let mut peer = Self::mute(server).await;
        peer.send(&[PREFACE, &settings(of)].concat()).await;
        peer
    }

    /// Sends bytes; false if the server has closed the connection, or reads no more.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> bool {
        matches!(timeout(STALLED_AFTER, self.socket.write_all(bytes)).await, Ok(Ok(())))
    }

    /// Reads what has come so far, without waiting, and forgets it; false if the server has closed
    /// the connection.
    pub(crate) fn skip(&mut self) -> bool {
        let mut bytes = [0; 64 * 1024];
        loop {
            match self.socket.try_read(&mut bytes) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// All that the server still says until it closes the connection; none if it does not.
    pub(crate) async fn last_words(&mut self) -> Option<Vec<u8>> {
        let mut words = vec![];
        // A connection that is reset is closed too.
        timeout(CLOSED_AFTER, self.socket.read_to_end(&mut words)).await.is_ok().then_some(words)
    }
}
