//! A connection that costs its sender little: frames of HTTP/2 over a socket that is looked at now
//! and then. Every stream is one call, and all calls have the same headers.

use super::answer::{Answer, Reader};
use super::frame::{self, Frame};
use anyhow::{Context, Result, bail, ensure};
use claim_proto::v1::MintRequest;
use loona_hpack::Encoder;
use prost::Message;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

/// The window of a connection before its peer says more.
const WINDOW_FIRST: u32 = 65_535;
/// The largest that there is: it lasts for the whole flood.
const WINDOW_MAX: u32 = 0x7fff_ffff;
/// Calls under way until the server has said how many it takes.
const UNDER_WAY_FIRST: usize = 100;
const READ_BYTES: usize = 64 * 1024;
/// More than a mint of ours has.
const REQUEST_BYTES_MAX: i64 = 1024;

/// A call under way.
struct Call {
    due: Instant,
    message: Vec<u8>,
}

/// One connection.
pub(super) struct Connection {
    socket: TcpStream,
    reader: Reader,
    out: Vec<u8>,
    input: Vec<u8>,
    chunk: Vec<u8>,
    /// The headers of the first call, then of all others: all of them are in the server's table by
    /// then.
    headers: [Vec<u8>; 2],
    /// By the numbers of their streams, which are 1, 3, 5 and so on.
    calls: Vec<Option<Call>>,
    under_way: usize,
    under_way_max: usize,
    /// How much the server still lets us send.
    window: i64,
}

impl Connection {
    /// Opens one to `host:port`.
    pub(super) fn open(authority: &str) -> Result<Self> {
        let socket = TcpStream::connect(authority)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let headers: [(&[u8], &[u8]); 6] = [
            (b":method", b"POST"),
            (b":scheme", b"http"),
            (b":path", b"/claim.v1.ClaimService/Mint"),
            (b":authority", authority.as_bytes()),
            (b"content-type", b"application/grpc"),
            (b"te", b"trailers"),
        ];
        let mut encoder = Encoder::new();
        let headers = [encoder.encode(headers), encoder.encode(headers)];
        let mut out = frame::PREFACE.to_vec();
        frame::put(&mut out, frame::SETTINGS, 0, 0, &[])?;
        let more = (WINDOW_MAX - WINDOW_FIRST).to_be_bytes();
        frame::put(&mut out, frame::WINDOW_UPDATE, 0, 0, &[&more])?;
        Ok(Self {
            socket,
            reader: Reader::new(),
            out,
            input: Vec::new(),
            chunk: vec![0; READ_BYTES],
            headers,
            calls: Vec::new(),
            under_way: 0,
            under_way_max: UNDER_WAY_FIRST,
            window: WINDOW_FIRST.into(),
        })
    }

    /// Calls without an answer yet.
    pub(super) const fn under_way(&self) -> usize {
        self.under_way
    }

    /// Whether the server lets another call come.
    pub(super) const fn has_room(&self) -> bool {
        self.under_way < self.under_way_max && self.window >= REQUEST_BYTES_MAX
    }

    /// Sends a call with the next [`Self::exchange`].
    pub(super) fn send(&mut self, request: &MintRequest, due: Instant) -> Result<()> {
        let stream = u32::try_from(2 * self.calls.len() + 1)?;
        let [first, others] = &self.headers;
        let headers = if self.calls.is_empty() { first } else { others };
        frame::put(&mut self.out, frame::HEADERS, frame::END_HEADERS, stream, &[headers])?;
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len())?.to_be_bytes();
        let data = [&[0][..], &length, &message];
        frame::put(&mut self.out, frame::DATA, frame::END_STREAM, stream, &data)?;
        self.window -= i64::try_from(5 + message.len())?;
        self.calls.push(Some(Call { due, message: Vec::new() }));
        self.under_way += 1;
        Ok(())
    }

    /// Writes and reads as much as goes without waiting, and tells each answer with the time at which
    /// its call was due.
    pub(super) fn exchange(
        &mut self,
        mut tell: impl FnMut(Answer, Instant) -> Result<()>,
    ) -> Result<()> {
        self.write()?;
        loop {
            let read = match self.socket.read(&mut self.chunk) {
                Ok(0) => bail!("the server has closed a connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut input = std::mem::take(&mut self.input);
            input.extend_from_slice(self.chunk.get(..read).context("no more than fits")?);
            let mut done = 0;
            while let Some((frame, length)) = Frame::first(input.get(done..).unwrap_or_default()) {
                if let Some((answer, due)) = self.hear(frame)? {
                    tell(answer, due)?;
                }
                done += length;
            }
            input.drain(..done);
            self.input = input;
            if read < READ_BYTES {
                return self.write();
            }
        }
    }

    fn write(&mut self) -> Result<()> {
        let mut written = 0;
        while let Some(rest) = self.out.get(written..).filter(|rest| !rest.is_empty()) {
            match self.socket.write(rest) {
                Ok(bytes) => written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.out.drain(..written);
        Ok(())
    }

    fn hear(&mut self, frame: Frame<'_>) -> Result<Option<(Answer, Instant)>> {
        let plain = !frame.has(frame::PADDED | frame::PRIORITY);
        match frame.kind {
            frame::HEADERS => {
                ensure!(plain && frame.has(frame::END_HEADERS), "headers in another form");
                if !frame.has(frame::END_STREAM) {
                    self.reader.headers(frame.payload)?;
                    return Ok(None);
                }
                let call = self.call(frame.stream)?.take().context("a second answer")?;
                self.under_way -= 1;
                Ok(Some((self.reader.end(frame.payload, &call.message)?, call.due)))
            }
            frame::DATA => {
                ensure!(plain && !frame.has(frame::END_STREAM), "an answer without a status");
                let call = self.call(frame.stream)?.as_mut().context("an answer that goes on")?;
                call.message.extend_from_slice(frame.payload);
                Ok(None)
            }
            frame::RST_STREAM => {
                ensure!(self.call(frame.stream)?.is_none(), "a call was cut off: {frame:?}");
                Ok(None)
            }
            frame::SETTINGS if !frame.has(frame::ACK) => {
                for (setting, value) in frame.settings() {
                    if setting == frame::MAX_CONCURRENT_STREAMS {
                        self.under_way_max = usize::try_from(value)?;
                    }
                }
                frame::put(&mut self.out, frame::SETTINGS, frame::ACK, 0, &[])?;
                Ok(None)
            }
            frame::PING if !frame.has(frame::ACK) => {
                frame::put(&mut self.out, frame::PING, frame::ACK, 0, &[frame.payload])?;
                Ok(None)
            }
            frame::WINDOW_UPDATE if frame.stream == 0 => {
                self.window += i64::from(frame.number(0)?);
                Ok(None)
            }
            frame::GOAWAY => bail!("the server goes away, error {}", frame.number(4)?),
            _ => Ok(None),
        }
    }

    fn call(&mut self, stream: u32) -> Result<&mut Option<Call>> {
        let place = usize::try_from(stream / 2)?;
        self.calls.get_mut(place).context("a stream that nobody opened")
    }
}
