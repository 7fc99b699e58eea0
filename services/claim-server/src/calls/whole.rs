//! Messages are handed on when they are whole.
//!
//! tonic makes room for a message as soon as it knows how long it is to be. Whoever sends nothing but
//! that, five bytes on each of a thousand streams, would have two gigabytes kept free for messages that
//! never come. Here a message is kept as it comes, and takes as much room as was sent.

use hyper::body::{Body, Bytes, Frame, Incoming};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Bytes before each message: a flag and the length.
const HEAD_BYTES: usize = 5;

/// A body in which no message begins before its end has come.
#[derive(Debug)]
pub(crate) struct WholeMessages<B = Incoming> {
    body: B,
    /// Longer messages are refused for what they say of their length, and are not waited for.
    message_bytes_max: usize,
    /// What has come of the next message.
    held: Vec<u8>,
    /// What comes behind what was held when the body ended.
    last: Option<Frame<Bytes>>,
}

impl<B> WholeMessages<B> {
    /// Of a body whose messages have at most so many bytes.
    pub(crate) fn new(body: B, message_bytes_max: usize) -> Self {
        Self { body, message_bytes_max, held: Vec::new(), last: None }
    }

    /// What is held and these bytes, as far as they are to be handed on; keeps the rest.
    fn taken(&mut self, data: &Bytes) -> Option<Bytes> {
        if self.held.is_empty() {
            let whole = self.whole(data);
            self.held.extend_from_slice(data.get(whole..).unwrap_or_default());
            return (whole > 0).then(|| data.slice(..whole));
        }
        self.held.extend_from_slice(data);
        let whole = self.whole(&self.held);
        if whole == 0 {
            return None;
        }
        let rest = self.held.split_off(whole);
        Some(std::mem::replace(&mut self.held, rest).into())
    }

    /// How many of these bytes are whole messages; all of them, if there is nothing to wait for.
    fn whole(&self, bytes: &[u8]) -> usize {
        let mut whole = 0;
        while let Some((head, rest)) =
            bytes.get(whole..).and_then(|rest| rest.split_first_chunk::<HEAD_BYTES>())
        {
            let [_, length @ ..] = *head;
            match usize::try_from(u32::from_be_bytes(length)) {
                Ok(length) if length > self.message_bytes_max => return bytes.len(),
                Ok(length) if length <= rest.len() => whole += HEAD_BYTES + length,
                _ => break,
            }
        }
        whole
    }
}

impl<B> Body for WholeMessages<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some(Ok(last)));
        }
        loop {
            let last = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => match this.taken(&data) {
                        Some(whole) => return Poll::Ready(Some(Ok(Frame::data(whole)))),
                        None => continue,
                    },
                    Err(trailers) => Some(trailers),
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => None,
            };
            // The body has ended within a message, which is for tonic to complain of.
            if this.held.is_empty() {
                return Poll::Ready(last.map(Ok));
            }
            this.last = last;
            let held = std::mem::take(&mut this.held);
            return Poll::Ready(Some(Ok(Frame::data(held.into()))));
        }
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_empty() && self.last.is_none() && self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests;
