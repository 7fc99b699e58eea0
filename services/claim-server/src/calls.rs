//! What every call goes through once [`admission`] has let it in, outermost first:
//!
//! 1. [`span`]: one span for the call, and one line of log at its end, or where a stream begins.
//! 2. [`drain`]: once the server drains, new calls are turned away.
//! 3. [`deadline`]: a call has a limited time, its caller's or ours.
//! 4. [`caller`]: who calls, by what credentials; nobody else is heard.
//! 5. A panic is caught and answered as a fault of ours.
//! 6. [`malformed`]: bytes that are no request are the caller's fault, not ours.
//!
//! Each is a function in a file of its own; [`Calls`] is the only tower service.

pub(crate) mod admission;
mod caller;
pub(crate) mod deadline;
pub(crate) mod drain;
pub(crate) mod malformed;
pub(crate) mod method;
pub(crate) mod span;
pub(crate) mod whole;

use crate::access::Access;
use crate::metrics::Metrics;
use crate::{status, traces};
use deadline::Deadline;
use drain::Drain;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use method::Method;
use std::convert::Infallible;
use std::mem;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};
use tonic::body::Body;
use tower::{Layer, Service};

/// Puts [`Calls`] around the services.
#[derive(Clone)]
pub(crate) struct CallLayer {
    drain: Drain,
    access: Access,
    metrics: Metrics,
}

impl CallLayer {
    /// Calls are counted by `drain` and turned away once it has begun; `access` says who may call, and
    /// `metrics` keeps how they went.
    pub(crate) fn new(drain: Drain, access: Access, metrics: Metrics) -> Self {
        Self { drain, access, metrics }
    }
}

impl<S> Layer<S> for CallLayer {
    type Service = Calls<S>;

    fn layer(&self, services: S) -> Calls<S> {
        let Self { drain, access, metrics } = self.clone();
        Calls { services, drain, access, metrics }
    }
}

/// The services with all that a call goes through.
#[derive(Clone)]
pub(crate) struct Calls<S> {
    services: S,
    drain: Drain,
    access: Access,
    metrics: Metrics,
}

impl<S> Service<Request<Body>> for Calls<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>
        + Clone
        + Send
        + 'static,
    S::Future: Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.services.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        // The one that was found ready serves the call.
        let next = self.services.clone();
        let services = mem::replace(&mut self.services, next);
        let method = Method::of(request.uri().path());
        // Here and not in the future, whose first turn may come later.
        let deadline = Deadline::of(method, request.headers());
        let continued = traces::continued(request.headers());
        request.extensions_mut().insert(deadline);
        let (drain, access) = (self.drain.clone(), self.access.clone());
        let call = async move {
            let Some(_in_flight) = drain.admit(method) else {
                return status::draining().into_http();
            };
            answer(services, &access, method, deadline, request).await
        };
        Box::pin(span::observed(method, self.metrics.clone(), continued, call).map(Ok))
    }
}

async fn answer<S>(
    mut services: S,
    access: &Access,
    method: Method,
    deadline: Deadline,
    request: Request<Body>,
) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let served = async move {
        let request = match caller::known(access, method, request).await {
            Ok(request) => request,
            Err(refusal) => return refusal,
        };
        let Ok(response) = services.call(request).await;
        malformed::renamed(response)
    };
    // Whatever a panic left half-done is dropped with the call; the store's tasks are not in it.
    let caught = AssertUnwindSafe(served).catch_unwind();
    match deadline.limit(caught).await {
        Some(Ok(response)) => response,
        Some(Err(_panic)) => status::internal().into_http(),
        None => status::timed_out().into_http(),
    }
}

#[cfg(test)]
mod tests;
