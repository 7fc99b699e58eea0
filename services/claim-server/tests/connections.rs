//! Connections of the real server that are good for nothing: too many, mute, idle, or not reading.
//! They end, and others are served all the while. Calls are health checks, which need no database.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "how a test fails")]
#![allow(dead_code, unreachable_pub, reason = "shared with the tests that have a database")]

mod support;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::{Request, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use support::raw::framed;
use support::{PATIENCE, Server, channel, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, duplex};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::service_fn;

/// What every HTTP/2 client begins with, and settings of which there are none.
const GREETING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A ping.
const PING: &[u8] = b"\0\0\x08\x06\0\0\0\0\0abcdefgh";

async fn serve(environment: &[(&str, &str)]) -> Server {
    Server::start_with("postgres://nobody@127.0.0.1:1/none", environment).await
}

/// A call on a connection of its own.
async fn assert_served(server: &Server) {
    let mut client = HealthClient::new(channel(server.address).await);
    client.check(HealthCheckRequest::default()).await.expect("others are served");
}

/// Waits until the server closes that connection, whatever it says before.
async fn assert_closed(socket: &mut TcpStream) {
    let mut said = vec![];
    let closed = timeout(PATIENCE, socket.read_to_end(&mut said)).await;
    // Closed in good order or not.
    let _ = closed.expect("the connection is closed");
}

/// A connection without a client on it, and its end.
struct Raw {
    requests: SendRequest<Bytes>,
    ended: JoinHandle<Result<(), h2::Error>>,
}

impl Raw {
    async fn connect(server: &Server, settings: &Builder) -> Self {
        let socket = TcpStream::connect(server.address).await.unwrap();
        let (requests, connection) = settings.handshake(socket).await.unwrap();
        Self { requests, ended: tokio::spawn(connection) }
    }

    /// Asks for the health, with one more header; the status of HTTP, and the answer's length once
    /// all of it is read.
    async fn check(&mut self, header: &str) -> (StatusCode, impl Future<Output = usize> + use<>) {
        let request = Request::post("http://claim/grpc.health.v1.Health/Check")
            .header("content-type", "application/grpc")
            .header("x-more", header)
            .body(())
            .unwrap();
        let mut requests = self.requests.clone().ready().await.unwrap();
        let (response, mut stream) = requests.send_request(request, false).unwrap();
        // A server that has refused the headers does not listen any more.
        let _ = stream.send_data(framed(&[]).into(), true);
        let (parts, mut body) = response.await.unwrap().into_parts();
        let length = async move {
            let mut length = 0;
            while let Some(Ok(data)) = body.data().await {
                length += data.len();
            }
            length
        };
        (parts.status, length)
    }
}

#[tokio::test]
async fn a_peer_that_says_nothing_or_half_a_greeting_is_dropped() {
    let server = serve(&[("CLAIM_HANDSHAKE_TIMEOUT", "1s")]).await;
    let mut sockets = vec![];
    for said in [&[], &GREETING[..1], &GREETING[..24], &GREETING[..GREETING.len() - 1]] {
        let mut socket = TcpStream::connect(server.address).await.unwrap();
        socket.write_all(said).await.unwrap();
        sockets.push(socket);
    }
    let mut greeted = TcpStream::connect(server.address).await.unwrap();
    greeted.write_all(GREETING).await.unwrap();
    assert_served(&server).await;
    for socket in &mut sockets {
        assert_closed(socket).await;
    }
    // Who has greeted is asked for more, and not dropped: its settings are acknowledged, a ping is
    // answered.
    greeted.write_all(PING).await.unwrap();
    let mut said = vec![];
    let answered = async {
        while !said.ends_with(&PING[9..]) {
            said.push(greeted.read_u8().await.unwrap());
        }
    };
    timeout(PATIENCE, answered).await.expect("an answer");
}

#[tokio::test]
async fn a_connection_too_many_is_closed_at_once_while_others_are_served() {
    let server = serve(&[("CLAIM_CONNECTIONS_MAX", "2")]).await;
    let mut kept = HealthClient::new(channel(server.address).await);
    kept.check(HealthCheckRequest::default()).await.unwrap();
    let second = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..20 {
        let mut refused = TcpStream::connect(server.address).await.unwrap();
        assert_closed(&mut refused).await;
    }
    kept.check(HealthCheckRequest::default()).await.unwrap();
    let log = server.log.lock().unwrap().clone();
    assert_eq!(log.matches("CLAIM_CONNECTIONS_MAX").count(), 1, "one line of log: {log}");

    drop(second);
    eventually("the place is free again", || async {
        let address = format!("http://{}", server.address);
        let connected = Channel::from_shared(address).unwrap().connect().await;
        let Ok(connected) = connected else { return false };
        HealthClient::new(connected).check(HealthCheckRequest::default()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_good_order_and_a_watched_one_is_not() {
    let server = serve(&[("CLAIM_CONNECTION_IDLE", "1s")]).await;
    let watching = channel(server.address).await;
    let mut watcher = HealthClient::new(watching.clone());
    let mut watch = watcher.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watch.message().await.unwrap().unwrap();

    let mut used = Raw::connect(&server, &Builder::new()).await;
    let (status, length) = used.check("").await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(length.await, 0);
    let never_used = Raw::connect(&server, &Builder::new()).await;
    for raw in [used, never_used] {
        // The way to call is kept: it is not the client that closes.
        let Raw { requests, ended } = raw;
        let ended = timeout(PATIENCE, ended).await.expect("it is closed").unwrap();
        ended.expect("in good order");
        drop(requests);
    }
    // Older than both of them.
    HealthClient::new(watching).check(HealthCheckRequest::default()).await.unwrap();
    let next = timeout(Duration::from_millis(1), watch.message()).await;
    assert!(!matches!(next, Ok(Ok(None) | Err(_))), "the watch goes on: {next:?}");
}

#[tokio::test]
async fn a_client_does_not_notice_that_its_idle_connection_was_closed() {
    let server =
        serve(&[("CLAIM_CONNECTION_IDLE", "1s"), ("RUST_LOG", "claim_server=debug")]).await;
    let (channel, mut closed) = told_of_ends(server.address).await;
    let mut client = HealthClient::new(channel);
    for round in 1..=2 {
        client.check(HealthCheckRequest::default()).await.expect("no call fails");
        timeout(PATIENCE, closed.recv()).await.expect("the connection is closed").unwrap();
        eventually("it is said that it was idle", || async {
            server.log.lock().unwrap().matches("was idle").count() == round
        })
        .await;
    }
    client.check(HealthCheckRequest::default()).await.expect("no call fails");
}

/// A client's channel, and word of each of its connections once both sides have closed it. A call
/// that begins while the server's farewell is on its way may fail: the channel has yet to read it.
async fn told_of_ends(address: SocketAddr) -> (Channel, UnboundedReceiver<()>) {
    let (tell, told) = unbounded_channel();
    let connect = service_fn(move |_: Uri| {
        let tell = tell.clone();
        async move {
            let mut socket = TcpStream::connect(address).await?;
            let (near, mut far) = duplex(64 * 1024);
            tokio::spawn(async move {
                // Until nobody has anything more to say; how it ends does not matter.
                let _ = copy_bidirectional(&mut far, &mut socket).await;
                let _ = tell.send(());
            });
            Ok::<_, io::Error>(TokioIo::new(near))
        }
    });
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    (endpoint.connect_with_connector(connect).await.unwrap(), told)
}

#[tokio::test]
async fn headers_that_are_too_long_are_refused_and_the_connection_goes_on() {
    let server = serve(&[]).await;
    let mut raw = Raw::connect(&server, &Builder::new()).await;
    let (status, _) = raw.check(&"x".repeat(20 * 1024)).await;
    assert_eq!(status, StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
    let (status, length) = raw.check(&"x".repeat(8 * 1024)).await;
    assert_eq!(status, StatusCode::OK);
    assert_ne!(length.await, 0);
}

#[tokio::test]
async fn a_peer_that_reads_nothing_is_cut_off() {
    let server = serve(&[("CLAIM_WRITE_TIMEOUT", "1s")]).await;
    let mut socket = TcpStream::connect(server.address).await.unwrap();
    socket.write_all(GREETING).await.unwrap();
    let began = Instant::now();
    // Each wants an answer, which is not read.
    let pings = PING.repeat(1000);
    let flood = async { while socket.write_all(&pings).await.is_ok() {} };
    timeout(PATIENCE, flood).await.expect("the connection is closed");
    // Sooner than a keepalive would have noticed.
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    assert_served(&server).await;
}

#[tokio::test]
async fn a_peer_that_lets_no_answer_through_is_cut_off() {
    let server = serve(&[("CLAIM_WRITE_TIMEOUT", "1s")]).await;
    let mut closed = Builder::new();
    closed.initial_window_size(0);
    let mut raw = Raw::connect(&server, &closed).await;
    let (status, _answer) = raw.check("").await;
    assert_eq!(status, StatusCode::OK);
    // It answers pings, and reads whatever is no answer.
    let ended = timeout(Duration::from_secs(25), raw.ended).await;
    let _ = ended.expect("the connection is closed");
    assert_served(&server).await;
}
