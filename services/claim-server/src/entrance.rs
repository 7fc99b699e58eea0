//! The way in: connections are accepted, and each is served by hyper.
//!
//! tonic's own server would do the same, but for what a refusal costs. There, every call gets a task
//! and a stack of services of its own before anything looks at it. Here a call that may not come in is
//! answered by the task of its connection, at once. Measured with ten times as many mints as the
//! server manages, that is what leaves it time to serve any.
//!
//! A connection is good for nothing if nobody says anything on it, makes any call, or takes any
//! answer: `connection` ends those, and `limits` has how long that takes.

mod activity;
mod answer;
mod connection;
mod limits;
mod watched;

use crate::calls::Calls;
use crate::calls::admission::{Admission, Asking, Connection};
use crate::calls::method::Method;
use crate::peer::Peer;
use crate::transport::Complaints;
use crate::transport::door::Door;
use activity::Activity;
use answer::{Answer, Entering, Way};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;

pub use limits::ConnectionSettings;

/// Until the next try when no connection can be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every call meets first. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Entrance {
    door: Door,
    limits: ConnectionSettings,
    admission: Admission,
    calls: Arc<Calls<Routes>>,
}

impl Entrance {
    /// Connections come in by `door`; the calls that `admission` lets in are served by `calls`.
    pub(crate) fn new(
        door: Door,
        limits: ConnectionSettings,
        admission: Admission,
        calls: Calls<Routes>,
    ) -> Self {
        Self { door, limits, admission, calls: Arc::new(calls) }
    }

    /// Serves until `close`, then lets the calls in flight end, however long that takes.
    pub(crate) async fn serve(self, listener: TcpListener, close: CancellationToken) {
        let connections = TaskTracker::new();
        let places = Places::new(self.limits.connections_max);
        while let Some(accepted) = close.run_until_cancelled(listener.accept()).await {
            match accepted {
                Ok((socket, address)) => {
                    // Without a place the socket is dropped, and so closed.
                    if let Some(place) = places.take(address) {
                        let (entrance, close) = (self.clone(), close.clone());
                        connections.spawn(async move {
                            connection::serve(socket, address, entrance, close).await;
                            drop(place);
                        });
                    }
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

/// Places for connections. Who finds none is turned away at once: to wait for one would look like a
/// server that does not answer.
struct Places {
    free: Arc<Semaphore>,
    count: usize,
    complaints: Complaints,
}

impl Places {
    fn new(count: usize) -> Self {
        let complaints = Complaints::default();
        Self { free: Arc::new(Semaphore::new(count)), count, complaints }
    }

    /// A place, for as long as it is kept; none if all are taken.
    fn take(&self, address: SocketAddr) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.free).try_acquire_owned().ok();
        if place.is_none()
            && let Some(count) = self.complaints.one_more()
        {
            tracing::warn!(
                %address, count,
                "{count} connections were closed, last of all that of {address}: there are {} \
                 already, which is CLAIM_CONNECTIONS_MAX", self.count
            );
        }
        place
    }
}

/// What the calls of one connection meet first.
struct Reception {
    entrance: Entrance,
    peer: Peer,
    activity: Arc<Activity>,
    /// What it remembers.
    remembered: Connection,
}

impl Service<Request<Incoming>> for Reception {
    type Response = Response<Answer>;
    type Error = Infallible;
    type Future = Entering;

    fn call(&self, mut request: Request<Incoming>) -> Entering {
        let stream = self.activity.begin();
        let streams = Method::of(request.uri().path()).streams();
        let memory = self.remembered.memory(request.headers());
        request.extensions_mut().insert(memory);
        request.extensions_mut().insert(self.peer.clone());
        let Entrance { admission, calls, .. } = &self.entrance;
        let way = if admission.asks(&request, &self.remembered) {
            let asking = Asking::new(request, admission.clone(), self.remembered.clone());
            Way::Asking { asking: Box::new(asking), calls: Arc::clone(calls) }
        } else {
            Way::admitted(calls, request)
        };
        Entering::new(way, stream, streams)
    }
}
