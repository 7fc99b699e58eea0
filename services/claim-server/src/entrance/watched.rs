//! A connection's bytes, watched: it fails if its other end does not say in time that it speaks
//! HTTP/2, or takes nothing of what is written.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// What an HTTP/2 client says before all else: 24 fixed bytes, and the 9 that begin its settings.
const GREETING_BYTES: usize = 24 + 9;

/// A stream with both limits.
pub(crate) struct Watched<S> {
    stream: S,
    greeting: Option<Greeting>,
    write_timeout: Duration,
    /// Runs while nothing can be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// What is still to come, and by when.
struct Greeting {
    missing: usize,
    timeout: Pin<Box<Sleep>>,
}

impl<S> Watched<S> {
    /// Begins to wait for the greeting.
    pub(crate) fn new(stream: S, greeting_timeout: Duration, write_timeout: Duration) -> Self {
        let timeout = Box::pin(sleep(greeting_timeout));
        let greeting = Some(Greeting { missing: GREETING_BYTES, timeout });
        Self { stream, greeting, write_timeout, stalled: None }
    }

    /// What a write has come to, unless there was none for too long.
    fn written<T>(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.write_timeout;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(limit)));
        stalled.as_mut().poll(context).map(|()| Err(timed_out("the peer takes no answers")))
    }
}

impl Greeting {
    /// Counts what has come; an error if it is not all, and too late.
    fn came(&mut self, count: usize, context: &mut Context<'_>) -> io::Result<()> {
        self.missing = self.missing.saturating_sub(count);
        if self.missing > 0 && self.timeout.as_mut().poll(context).is_ready() {
            return Err(timed_out("the peer does not say that it speaks HTTP/2"));
        }
        Ok(())
    }
}

fn timed_out(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, into);
        if let Some(greeting) = &mut this.greeting {
            greeting.came(into.filled().len().saturating_sub(before), context)?;
            if greeting.missing == 0 {
                this.greeting = None;
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.written(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, slices);
        this.written(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.stream).poll_flush(context);
        this.written(context, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = Pin::new(&mut this.stream).poll_shutdown(context);
        this.written(context, shut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const GREETING: Duration = Duration::from_secs(5);
    const WRITE: Duration = Duration::from_secs(30);

    fn watched(room: usize) -> (Watched<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(room);
        (Watched::new(near, GREETING, WRITE), far)
    }

    async fn read_all(stream: &mut Watched<DuplexStream>) -> io::ErrorKind {
        let mut bytes = [0; 16];
        loop {
            match stream.read(&mut bytes).await {
                Ok(0) => return io::ErrorKind::UnexpectedEof,
                Ok(_) => {}
                Err(error) => return error.kind(),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_dribbles_has_no_more_time_than_one_that_is_mute() {
        let (mut stream, mut far) = watched(64);
        let began = tokio::time::Instant::now();
        let dribble = tokio::spawn(async move {
            for _ in 0..GREETING_BYTES - 1 {
                sleep(Duration::from_secs(1)).await;
                if far.write_all(b"P").await.is_err() {
                    return;
                }
            }
        });
        assert_eq!(read_all(&mut stream).await, io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), GREETING.as_secs());
        drop(stream);
        dribble.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_has_greeted_may_be_silent() {
        let (mut stream, mut far) = watched(64);
        far.write_all(&[0; GREETING_BYTES]).await.unwrap();
        let close = async {
            sleep(GREETING * 100).await;
            drop(far);
        };
        let (ended, ()) = tokio::join!(read_all(&mut stream), close);
        assert_eq!(ended, io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_slowly_is_not_taken_for_one_that_does_not_read() {
        let (mut stream, mut far) = watched(1);
        let slow = async {
            for _ in 0..4 {
                sleep(WRITE - Duration::from_secs(1)).await;
                far.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(stream.write_all(b"abcd"), slow);
        written.unwrap();
        stream.write_all(b"e").await.unwrap();
        let began = tokio::time::Instant::now();
        let refused = stream.write_all(b"f").await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed().as_secs(), WRITE.as_secs());
    }
}
