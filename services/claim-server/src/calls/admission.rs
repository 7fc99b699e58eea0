//! Admission: a call that would be refused for its tenant's sake is refused before anything is done for
//! it, if that has been seen on its connection: a mint that the store would refuse because too many of the
//! tenant's calls wait, and a call whose tenant is beyond its quota. Refusals must stay cheap when many
//! times more comes than the server manages, or they take the time of those that are served. So there is
//! no span for such a call, its message is not decoded, and the answer is made once.
//!
//! Whose call it is stands at the beginning of the request's bytes ([`tenant`]). They are looked at only
//! where the last refusal of that kind on the same connection, for a call with the same credentials, is
//! fresh ([`memory`]): that one had gone the whole way, on which its caller was known and found permitted.
//! So nobody learns here of a tenant that is none of its business, and where nothing is refused nothing is
//! looked at. The look is a courtesy to ourselves: a request whose tenant stands elsewhere, or comes late,
//! goes the whole way and is refused there.
//!
//! For want of room only mints are refused here: they can come later. Whoever has a claim is to be able to
//! keep it and to end it, and what joins the store's queues for that is bounded by their length.

mod asking;
mod memory;
mod tenant;

use super::drain::Drain;
use super::method::Method;
use super::span;
use crate::metrics::Metrics;
use crate::quota::kind::Kind;
use crate::reason::Reason;
use crate::status;
use claims::domain::TenantId;
use http::{HeaderMap, Request, Response};
use memory::Cause;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::Body as HttpBody;

pub(crate) use asking::{Asked, Asking};
pub(crate) use memory::{Connection, Memory};

/// How long a refused request may take to arrive. It is wanted no more.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// Who knows which tenants' calls are refused now.
pub(crate) trait Gate: Send + Sync {
    /// Whether a mint of the tenant would be refused because too many of its calls wait.
    fn refuses_mints_of(&self, tenant: &TenantId) -> bool;

    /// How long it takes until the tenant may call again; none if it may now.
    fn exceeds(&self, tenant: &TenantId, kind: Kind) -> Option<Duration>;
}

/// Who may come in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    gate: Arc<dyn Gate>,
    drain: Drain,
    metrics: Metrics,
    /// The headers of answers that differ in when to come back.
    overloaded: Arc<[HeaderMap]>,
    /// The same, in the order of those times.
    exceeded: Arc<[(Duration, HeaderMap)]>,
}

impl Admission {
    /// Asks `gate`, until the server drains: then there is another reason.
    pub(crate) fn new(gate: impl Gate + 'static, drain: Drain, metrics: Metrics) -> Self {
        Self {
            gate: Arc::new(gate),
            drain,
            metrics,
            overloaded: status::overloads().map(headers).collect(),
            exceeded: status::exceeded_calls().map(|(retry, no)| (retry, headers(no))).collect(),
        }
    }

    /// Whether it has to be known whose call it is, before it comes in.
    pub(crate) fn asks<B>(&self, request: &Request<B>, connection: &Connection) -> bool {
        connection.has_refused()
            && Kind::of(request.uri().path()).is_some()
            && connection.last(request.headers(), Instant::now()).is_some()
            && !self.drain.has_begun()
    }

    /// What a call is answered whose request begins with these bytes, if it may not come in.
    fn refusal<B>(
        &self,
        request: &Request<B>,
        begin: &[u8],
        connection: &Connection,
    ) -> Option<Response<Body>> {
        let path = request.uri().path();
        let kind = Kind::of(path)?;
        let now = Instant::now();
        let last = connection.last(request.headers(), now)?;
        if tenant::named_at(begin)? != last.tenant.as_str() {
            return None;
        }
        let (headers, reason) = match last.cause {
            Cause::Overloaded => {
                if !Method::is_mint(path) || !self.gate.refuses_mints_of(&last.tenant) {
                    return None;
                }
                (self.overloaded.get(fastrand::usize(..self.overloaded.len()))?, Reason::Overloaded)
            }
            Cause::Exceeded => {
                let wait = self.gate.exceeds(&last.tenant, kind)?;
                // Not earlier than it makes sense, unless that is very late.
                let later = self.exceeded.iter().find(|(retry, _)| *retry >= wait);
                (&later.or(self.exceeded.last())?.1, Reason::QuotaExceeded)
            }
        };
        connection.again(now);
        span::not_admitted(&self.metrics, Method::of(path), reason);
        let mut refusal = Response::new(Body::empty());
        headers.clone_into(refusal.headers_mut());
        Some(refusal)
    }
}

fn headers(status: Status) -> HeaderMap {
    let (parts, ()) = status.into_http::<()>().into_parts();
    parts.headers
}

/// Reads a request to its end, for nothing, and answers it then. To answer earlier would have its
/// stream reset, which not every client takes for the answer that it is.
pub(crate) struct Refusing<B> {
    body: B,
    refusal: Response<Body>,
    /// When to wait no longer; most requests are there already.
    timeout: Option<Pin<Box<Sleep>>>,
}

impl<B: HttpBody + Unpin> Refusing<B> {
    pub(crate) fn new(body: B, refusal: Response<Body>) -> Self {
        Self { body, refusal, timeout: None }
    }

    fn poll_rest(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.body.is_end_stream() {
            match Pin::new(&mut self.body).poll_frame(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(None | Some(Err(_))) => break,
                Poll::Pending => {
                    let timeout = self.timeout.get_or_insert_with(|| Box::pin(sleep(REST_TIMEOUT)));
                    return timeout.as_mut().poll(context);
                }
            }
        }
        Poll::Ready(())
    }
}

impl<B: HttpBody + Unpin> Future for Refusing<B> {
    type Output = Response<Body>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Response<Body>> {
        let this = self.get_mut();
        ready!(this.poll_rest(context));
        Poll::Ready(std::mem::take(&mut this.refusal))
    }
}

#[cfg(test)]
mod tests;
