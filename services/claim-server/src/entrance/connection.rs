//! One connection, from its first byte to its last.

use super::activity::Activity;
use super::answer::AtOnce;
use super::limits::ConnectionSettings;
use super::watched::Watched;
use super::{Entrance, Reception};
use crate::calls::admission::Connection;
use crate::peer::Peer;
use crate::transport::door::Stream;
use crate::turns::Turns;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Most calls in flight on one connection; the others wait at the client. One connection may carry
/// the heartbeats of a host with some hundred runners, and must not be all that is served.
const CONNECTION_STREAMS_MAX: u32 = 1024;
/// Most bytes of one call's request that wait here unread, until its sender has to wait. Less than
/// what may wait on a connection, 1 MiB by default, so that one stream that is not read does not
/// keep the others of its connection from being heard.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// Most bytes of one call's answer that wait here for a peer that does not read, unless a single
/// message is longer.
const STREAM_UNSENT_BYTES: usize = 64 * 1024;
/// Most bytes of the headers of one request, as HTTP/2 counts them. A bearer token has some
/// thousand, everything else some hundred.
const HEADERS_BYTES_MAX: u32 = 16 * 1024;
/// Most streams at a time that the peer has reset before they were looked at, and most that were
/// reset because of its own mistakes: with more, the connection ends. Both cost nobody but us.
const UNSEEN_RESETS_MAX: usize = 20;
const MISTAKEN_RESETS_MAX: usize = 1024;
/// How often a silent connection is asked whether its peer still lives, and how long it may take
/// to answer. A peer that vanished without a word is noticed within their sum.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the peer of an idle connection may take to part with it.
const PARTING_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves it to its end, or until `close`.
pub(super) async fn serve(
    socket: TcpStream,
    address: SocketAddr,
    entrance: Entrance,
    close: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "answers on a connection may be delayed");
    }
    let limits = entrance.limits;
    let entered = entrance.door.enter(socket, address, limits.handshake_timeout).await;
    let Some((stream, peer)) = entered else { return };
    tell(&peer);
    let activity = Arc::<Activity>::default();
    let served = serve_http(stream, peer, &activity, entrance, limits, close);
    if let Err(error) = served.await {
        tracing::debug!(%address, %error, "the connection of {address} broke: {error}");
    }
}

async fn serve_http(
    stream: Stream,
    peer: Peer,
    activity: &Arc<Activity>,
    entrance: Entrance,
    limits: ConnectionSettings,
    close: CancellationToken,
) -> hyper::Result<()> {
    let address = peer.address;
    let stream = Watched::new(stream, limits.handshake_timeout, limits.write_timeout);
    let stream = Turns::new(stream);
    let remembered = Connection::default();
    let reception = Reception { entrance, peer, activity: Arc::clone(activity), remembered };
    let mut served = pin!(http().serve_connection(TokioIo::new(stream), reception));
    tokio::select! {
        ended = &mut served => ended,
        () = close.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
        () = activity.untaken(limits.write_timeout) => {
            tracing::debug!(%address, "{address} does not take its answers and is cut off");
            Ok(())
        }
        () = activity.idle(limits.connection_idle) => {
            tracing::debug!(%address, "the connection of {address} was idle and is closed");
            served.as_mut().graceful_shutdown();
            tokio::select! {
                ended = &mut served => ended,
                // A call may have come in at the last moment, and is served; whoever just stays is not.
                () = activity.idle(PARTING_TIMEOUT) => Ok(()),
            }
        }
    }
}

fn http() -> http2::Builder<AtOnce> {
    let mut http = http2::Builder::new(AtOnce);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(CONNECTION_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .max_send_buf_size(STREAM_UNSENT_BYTES)
        .max_header_list_size(HEADERS_BYTES_MAX)
        .max_pending_accept_reset_streams(UNSEEN_RESETS_MAX)
        .max_local_error_reset_streams(MISTAKEN_RESETS_MAX)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    http
}

/// Says who has come.
fn tell(peer: &Peer) {
    let address = peer.address;
    match &peer.certificate {
        Some(names) => tracing::debug!(
            %address, uris = ?names.uris, dns = ?names.dns,
            "{address} has connected, with a certificate"
        ),
        None => tracing::debug!(%address, "{address} has connected"),
    }
}
