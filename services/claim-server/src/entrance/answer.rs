//! The answer to a call: how it comes to be, and how it is taken.

use super::activity::OpenStream;
use crate::calls::Calls;
use crate::calls::admission::{Asked, Asking, Refusing};
use crate::calls::whole::WholeMessages;
use crate::server::REQUEST_BYTES_MAX;
use http::{Request, Response};
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper::rt::Executor;
use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use tonic::body::Body;
use tonic::codegen::Body as HttpBody;
use tonic::service::Routes;
use tower::Service as _;

/// An answer that is being made.
pub(crate) struct Entering {
    way: Way,
    /// Goes with the answer when that is there.
    stream: Option<OpenStream>,
    /// The answer may go on for as long as the call.
    streams: bool,
}

/// What becomes of a call.
pub(super) enum Way {
    Asking { asking: Box<Asking<Incoming>>, calls: Arc<Calls<Routes>> },
    Refused(Refusing<Incoming>),
    Admitted { call: <Calls<Routes> as tower::Service<Request<Body>>>::Future, is_on_its_own: bool },
}

impl Entering {
    pub(super) fn new(way: Way, stream: OpenStream, streams: bool) -> Self {
        Self { way, stream: Some(stream), streams }
    }
}

impl Way {
    /// That of a call that comes in.
    pub(super) fn admitted<B>(calls: &Calls<Routes>, request: Request<B>) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let whole = |body| Body::new(WholeMessages::new(body, REQUEST_BYTES_MAX));
        let call = calls.clone().call(request.map(whole));
        Self::Admitted { call, is_on_its_own: false }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Response<Body>> {
        if let Self::Asking { asking, calls } = self {
            *self = match ready!(Pin::new(&mut **asking).poll(context)) {
                Asked::Refused(refusing) => Self::Refused(refusing),
                Asked::Admitted(request) => Self::admitted(calls, request),
            };
        }
        match self {
            // It has just been answered.
            Self::Asking { .. } => Poll::Pending,
            Self::Refused(refusing) => Pin::new(refusing).poll(context),
            // The first time it is still the task of the connection that asks, see `AtOnce`. One that
            // is served is not to keep the others from being heard.
            Self::Admitted { is_on_its_own: is_on_its_own @ false, .. } => {
                *is_on_its_own = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Self::Admitted { call, .. } => {
                let Ok(response) = ready!(call.as_mut().poll(context));
                Poll::Ready(response)
            }
        }
    }
}

impl Future for Entering {
    type Output = Result<Response<Answer>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let response = ready!(this.way.poll(context));
        let mut stream = this.stream.take();
        if let (Some(stream), false) = (&mut stream, this.streams) {
            stream.answered();
        }
        Poll::Ready(Ok(response.map(|body| Answer { body, _stream: stream })))
    }
}

/// An answer; its stream ends with it.
pub(crate) struct Answer {
    body: Body,
    _stream: Option<OpenStream>,
}

impl HttpBody for Answer {
    type Data = <Body as HttpBody>::Data;
    type Error = <Body as HttpBody>::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Runs the answer to a call as far as it goes without waiting; what is left gets a task of its own.
#[derive(Clone, Copy)]
pub(super) struct AtOnce;

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
