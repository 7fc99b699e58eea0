//! Frames of HTTP/2 (RFC 9113), as many of them as a flood of calls needs.

use anyhow::{Context, Result, ensure};

/// What a client says first.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Bytes before each payload.
pub(super) const HEAD_BYTES: usize = 9;

pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;

/// Of DATA and HEADERS: nothing follows on this stream.
pub(super) const END_STREAM: u8 = 0x1;
/// Of SETTINGS and PING: the answer to one.
pub(super) const ACK: u8 = 0x1;
/// Of HEADERS: no CONTINUATION follows.
pub(super) const END_HEADERS: u8 = 0x4;
/// Of DATA and HEADERS: padding or a priority stands in the payload.
pub(super) const PADDED: u8 = 0x8;
pub(super) const PRIORITY: u8 = 0x20;

/// The setting for how many streams may be open.
pub(super) const MAX_CONCURRENT_STREAMS: u16 = 3;

/// A frame that has arrived as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    pub(super) flags: u8,
    pub(super) stream: u32,
    pub(super) payload: &'a [u8],
}

impl<'a> Frame<'a> {
    /// The first of these bytes, if all of it is there, and how long it is.
    pub(super) fn first(bytes: &'a [u8]) -> Option<(Self, usize)> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3] = *head;
        let length = usize::try_from(u32::from_be_bytes([0, l0, l1, l2])).ok()?;
        let payload = rest.get(..length)?;
        let stream = u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]);
        Some((Self { kind, flags, stream, payload }, HEAD_BYTES + length))
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The number that a WINDOW_UPDATE, a RST_STREAM or the end of a GOAWAY holds.
    pub(super) fn number(&self, place: usize) -> Result<u32> {
        let bytes = self.payload.get(place..place + 4).context("a frame cut short")?;
        Ok(u32::from_be_bytes(bytes.try_into()?))
    }

    /// The settings of a SETTINGS frame.
    pub(super) fn settings(&self) -> impl Iterator<Item = (u16, u32)> + 'a {
        self.payload.chunks_exact(6).filter_map(|setting| {
            let (name, value) = setting.split_first_chunk::<2>()?;
            Some((u16::from_be_bytes(*name), u32::from_be_bytes(value.try_into().ok()?)))
        })
    }
}

/// Puts a frame behind the others that are to be sent.
pub(super) fn put(
    out: &mut Vec<u8>,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[&[u8]],
) -> Result<()> {
    let length = u32::try_from(payload.iter().map(|part| part.len()).sum::<usize>())?;
    let [above, length @ ..] = length.to_be_bytes();
    ensure!(above == 0, "a frame too long");
    out.extend_from_slice(&length);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    for part in payload {
        out.extend_from_slice(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_was_put_is_read_and_what_follows_is_left() {
        let mut out = Vec::new();
        put(&mut out, DATA, END_STREAM, 7, &[b"ab", b"c"]).unwrap();
        let whole = out.len();
        put(&mut out, PING, 0, 0, &[&[0; 8]]).unwrap();
        let (frame, length) = Frame::first(&out).unwrap();
        assert_eq!((frame.kind, frame.stream, frame.payload), (DATA, 7, &b"abc"[..]));
        assert!(frame.has(END_STREAM));
        assert_eq!(length, whole);
    }

    #[test]
    fn a_frame_that_has_not_arrived_as_a_whole_is_none() {
        let mut out = Vec::new();
        put(&mut out, HEADERS, 0, 1, &[b"block"]).unwrap();
        for length in 0..out.len() {
            assert!(Frame::first(&out[..length]).is_none(), "{length}");
        }
    }

    #[test]
    fn settings_are_read() {
        let payload = [0, 3, 0, 0, 4, 0, 0, 1, 0, 0, 16, 0];
        let frame = Frame { kind: SETTINGS, flags: 0, stream: 0, payload: &payload };
        assert_eq!(frame.settings().collect::<Vec<_>>(), [(3, 1024), (1, 4096)]);
    }
}
