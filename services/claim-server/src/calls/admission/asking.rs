//! A call of which it has to be known whose it is: its first bytes are awaited and looked at.

use super::{Admission, Connection, REST_TIMEOUT, Refusing};
use http::Request;
use hyper::body::Bytes;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Sleep, sleep};
use tonic::codegen::Body as HttpBody;

/// Looks at the beginning of a request and says whether it may come in.
pub(crate) struct Asking<B: HttpBody> {
    /// None when it has been answered.
    request: Option<Request<B>>,
    admission: Admission,
    connection: Connection,
    /// When to wait no longer: then it comes in, where it has a deadline.
    timeout: Option<Pin<Box<Sleep>>>,
}

/// What was said.
pub(crate) enum Asked<B: HttpBody> {
    Refused(Refusing<B>),
    Admitted(Request<Begun<B>>),
}

impl<B: HttpBody<Data = Bytes> + Unpin> Asking<B> {
    pub(crate) fn new(request: Request<B>, admission: Admission, connection: Connection) -> Self {
        Self { request: Some(request), admission, connection, timeout: None }
    }

    fn answer(&mut self, begin: Option<Frame<B>>) -> Poll<Asked<B>> {
        let Some(request) = self.request.take() else { return Poll::Pending };
        let bytes = begin.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        let refusal =
            bytes.and_then(|bytes| self.admission.refusal(&request, bytes, &self.connection));
        Poll::Ready(match refusal {
            Some(refusal) => Asked::Refused(Refusing::new(request.into_body(), refusal)),
            None => Asked::Admitted(request.map(|rest| Begun { begin, rest })),
        })
    }
}

impl<B: HttpBody<Data = Bytes> + Unpin> Future for Asking<B> {
    type Output = Asked<B>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Asked<B>> {
        let this = self.get_mut();
        let Some(request) = &mut this.request else { return Poll::Pending };
        match Pin::new(request.body_mut()).poll_frame(context) {
            Poll::Ready(begin) => this.answer(begin),
            Poll::Pending => {
                let timeout = this.timeout.get_or_insert_with(|| Box::pin(sleep(REST_TIMEOUT)));
                if timeout.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                this.answer(None)
            }
        }
    }
}

type Frame<B> = Result<hyper::body::Frame<Bytes>, <B as HttpBody>::Error>;

/// A body whose beginning has been read already.
pub(crate) struct Begun<B: HttpBody> {
    begin: Option<Frame<B>>,
    rest: B,
}

impl<B: HttpBody<Data = Bytes> + Unpin> HttpBody for Begun<B>
where
    B::Error: Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Frame<B>>> {
        let this = self.get_mut();
        match this.begin.take() {
            Some(begin) => Poll::Ready(Some(begin)),
            None => Pin::new(&mut this.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.begin.is_none() && self.rest.is_end_stream()
    }
}
