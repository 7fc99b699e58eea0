//! The way in: connections are accepted, and each is served by hyper.
//!
//! tonic's own server would do the same, but for what a refusal costs. There, every call gets a task
//! and a stack of services of its own before anything looks at it. Here a call that may not come in is
//! answered by the task of its connection, at once. Measured with ten times as many mints as the
//! server manages, that is what leaves it time to serve any.

use crate::calls::Calls;
use crate::calls::admission::{Admission, Refusing};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::body::Body;
use tonic::service::Routes;
use tower::Service as _;

/// Most calls in flight on one connection; the others wait at the client. One connection may carry
/// the heartbeats of a host with some hundred runners, and must not be all that is served.
const CONNECTION_STREAMS_MAX: u32 = 1024;
/// Most bytes of one call's request that wait here unread, until its sender has to wait. Less than
/// what may wait on a connection, 1 MiB by default, so that one stream that is not read does not
/// keep the others of its connection from being heard.
const STREAM_WINDOW_BYTES: u32 = 64 * 1024;
/// How often a silent connection is asked whether its peer still lives, and how long it may take
/// to answer. A peer that vanished without a word is noticed within their sum.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the next try when no connection can be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every call meets first. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Entrance {
    admission: Admission,
    calls: Arc<Calls<Routes>>,
}

impl Entrance {
    /// Those that `admission` lets in are served by `calls`.
    pub(crate) fn new(admission: Admission, calls: Calls<Routes>) -> Self {
        Self { admission, calls: Arc::new(calls) }
    }

    /// Serves until `close`, then lets the calls in flight end, however long that takes.
    pub(crate) async fn serve(self, listener: TcpListener, close: CancellationToken) {
        let connections = TaskTracker::new();
        while let Some(accepted) = close.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((socket, _)) => {
                    connections.spawn(connection(socket, self.clone(), close.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }
}

async fn connection(socket: TcpStream, entrance: Entrance, close: CancellationToken) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "answers on a connection may be delayed");
    }
    let mut http = http2::Builder::new(AtOnce);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(CONNECTION_STREAMS_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT);
    let mut served = pin!(http.serve_connection(TokioIo::new(socket), entrance));
    let ended = tokio::select! {
        ended = &mut served => ended,
        () = close.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke");
    }
}

impl Service<Request<Incoming>> for Entrance {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Entering;

    fn call(&self, request: Request<Incoming>) -> Entering {
        match self.admission.refusal(request.uri().path()) {
            Some(refusal) => Entering::Refused(Refusing::new(request.into_body(), refusal)),
            None => {
                let mut calls = Calls::clone(&self.calls);
                let call = calls.call(request.map(Body::new));
                Entering::Admitted { call, is_on_its_own: false }
            }
        }
    }
}

/// The answer to a call.
pub(crate) enum Entering {
    Refused(Refusing<Incoming>),
    Admitted { call: <Calls<Routes> as tower::Service<Request<Body>>>::Future, is_on_its_own: bool },
}

impl Future for Entering {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Refused(refusing) => Pin::new(refusing).poll(context).map(Ok),
            // The first time it is still the task of the connection that asks, see `AtOnce`. One that
            // is served is not to keep the others from being heard.
            Self::Admitted { is_on_its_own: is_on_its_own @ false, .. } => {
                *is_on_its_own = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Admitted { call, .. } => call.as_mut().poll(context),
        }
    }
}

/// Runs the answer to a call as far as it goes without waiting; what is left gets a task of its own.
#[derive(Clone, Copy)]
struct AtOnce;

impl<F> Executor<F> for AtOnce
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, answer: F) {
        let mut answer = Box::pin(answer);
        // The task that it gets asks again, so nobody needs to be woken.
        if answer.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            tokio::spawn(answer);
        }
    }
}
