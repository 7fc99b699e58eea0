//! Connections take turns.
//!
//! A connection is served for as long as its socket has something to say, and frames that carry no
//! call cost their sender next to nothing: some hundred thousand pings fit into what a socket holds.
//! While they are answered, the tasks that renew leases wait, beside every other connection. So a
//! connection is heard for a bounded number of bytes, and then for the next ones when its turn comes
//! again.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of a turn: some hundred calls, or a thousand frames without one, which take milliseconds.
const TURN_BYTES: usize = 16 * 1024;

/// A socket that is read in turns.
#[derive(Debug)]
pub(crate) struct Turns<S> {
    socket: S,
    /// Bytes that were read since somebody else had a turn.
    read: usize,
}

impl<S> Turns<S> {
    /// The first turn has not begun.
    pub(crate) fn new(socket: S) -> Self {
        Self { socket, read: 0 }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Turns<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.read >= TURN_BYTES {
            this.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut this.socket).poll_read(context, buffer);
        match polled {
            Poll::Ready(_) => this.read += buffer.filled().len().saturating_sub(before),
            Poll::Pending => this.read = 0,
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Turns<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().socket).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    #[test]
    fn a_socket_that_never_runs_dry_is_left_after_each_turn() {
        let mut socket = Turns::new(tokio::io::repeat(7));
        let mut context = Context::from_waker(Waker::noop());
        for turn in 0..3 {
            let mut read = 0;
            loop {
                let mut bytes = [0; 1024];
                let mut buffer = ReadBuf::new(&mut bytes);
                match Pin::new(&mut socket).poll_read(&mut context, &mut buffer) {
                    Poll::Ready(_) => read += buffer.filled().len(),
                    Poll::Pending => break,
                }
                assert!(read <= TURN_BYTES, "turn {turn} has no end");
            }
            assert_eq!(read, TURN_BYTES, "turn {turn}");
        }
    }
}
