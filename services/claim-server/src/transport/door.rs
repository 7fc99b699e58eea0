//! Where a connection comes in: encryption is agreed upon, and the other end becomes known.

use super::complaints::Complaints;
use super::names;
use super::reload::Current;
use crate::peer::Peer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

/// A connection as its bytes are read and written.
pub(crate) type Stream = Either<TcpStream, TlsStream<TcpStream>>;

/// The way in. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Door {
    /// Plain text.
    Open,
    /// Encrypted, and with a look at who comes if the settings say so.
    Guarded(Current, Arc<Complaints>),
}

impl Door {
    /// An encrypted one.
    pub(crate) fn guarded(current: Current) -> Self {
        Self::Guarded(current, Arc::default())
    }

    /// Lets a connection in, or says in the log why not. A peer that does not come to terms within
    /// `limit` is left standing.
    pub(crate) async fn enter(
        &self,
        socket: TcpStream,
        address: SocketAddr,
        limit: Duration,
    ) -> Option<(Stream, Peer)> {
        match self {
            Self::Open => Some((Either::Left(socket), Peer { address, certificate: None })),
            Self::Guarded(current, complaints) => {
                let acceptor = TlsAcceptor::from(current.load_full());
                let met = timeout(limit, acceptor.accept(socket)).await;
                let met = met.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                match met.and_then(|stream| known(stream, address)) {
                    Ok(entered) => Some(entered),
                    Err(error) => {
                        complain(complaints, address, &error);
                        None
                    }
                }
            }
        }
    }
}

/// Reads the names of a client that has been verified.
fn known(stream: TlsStream<TcpStream>, address: SocketAddr) -> io::Result<(Stream, Peer)> {
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(<[_]>::first).map(names::names);
    let certificate = certificate.transpose().map_err(io::Error::other)?.map(Arc::new);
    Ok((Either::Right(stream), Peer { address, certificate }))
}

fn complain(complaints: &Complaints, address: SocketAddr, error: &io::Error) {
    tracing::debug!(%address, %error, "no encryption with {address}: {error}");
    // Whoever only looks whether somebody listens, as balancers do, does not want to be encrypted.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return;
    }
    if let Some(count) = complaints.one_more() {
        tracing::warn!(
            %address, count, %error,
            "no encryption with {count} connections, last of all with {address}: {error}"
        );
    }
}
