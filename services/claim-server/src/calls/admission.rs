//! Admission: a mint that the store would refuse, because too many wait, is refused before anything
//! is done for it. Refusals must stay cheap when many times more comes than the server manages, or
//! they take the time of those that are served. So there is no span for such a call, its message is
//! not decoded, and the answer is made once.
//!
//! Only mints are refused here: they can come later. Whoever has a claim is to be able to keep it and
//! to end it, and what joins the store's queues for that is bounded by their length.

use super::drain::Drain;
use super::method::Method;
use super::span;
use crate::status;
use http::{HeaderMap, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};
use tonic::body::Body;
use tonic::codegen::Body as HttpBody;

/// How long a refused request may take to arrive. It is wanted no more.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// Who may come in. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    refuses_mints: Arc<dyn Fn() -> bool + Send + Sync>,
    drain: Drain,
    /// The headers of answers that differ in when to come back.
    refusals: Arc<[HeaderMap]>,
}

impl Admission {
    /// Asks this about every mint, until the server drains: then there is another reason.
    pub(crate) fn new(
        refuses_mints: impl Fn() -> bool + Send + Sync + 'static,
        drain: Drain,
    ) -> Self {
        let refusals = status::overloads().map(|status| {
            let (parts, ()) = status.into_http::<()>().into_parts();
            parts.headers
        });
        Self { refuses_mints: Arc::new(refuses_mints), drain, refusals: refusals.collect() }
    }

    /// What a call to this path is answered if it may not come in.
    pub(crate) fn refusal(&self, path: &str) -> Option<Response<Body>> {
        if !Method::is_mint(path) || !(self.refuses_mints)() || self.drain.has_begun() {
            return None;
        }
        span::not_admitted(Method::of(path));
        let headers = self.refusals.get(fastrand::usize(..self.refusals.len()))?;
        let mut refusal = Response::new(Body::empty());
        headers.clone_into(refusal.headers_mut());
        Some(refusal)
    }
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
