//! Frames of HTTP/2 (RFC 9113) and headers of HPACK (RFC 7541), put together by hand, so that they
//! may be wrong.

/// What a client says first.
pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
/// Of no kind that there is.
pub(crate) const UNKNOWN: u8 = 0xee;

/// Of DATA and HEADERS: nothing follows on this stream.
pub(crate) const END_STREAM: u8 = 0x1;
/// Of SETTINGS and PING: the answer to one.
pub(crate) const ACK: u8 = 0x1;
/// Of HEADERS and CONTINUATION: no CONTINUATION follows.
pub(crate) const END_HEADERS: u8 = 0x4;
/// Of DATA and HEADERS: padding stands in the payload.
pub(crate) const PADDED: u8 = 0x8;

pub(crate) const HEADER_TABLE_SIZE: u16 = 1;
pub(crate) const ENABLE_PUSH: u16 = 2;
pub(crate) const INITIAL_WINDOW_SIZE: u16 = 4;
pub(crate) const MAX_FRAME_SIZE: u16 = 5;

/// The error of a stream that nobody wants any more.
pub(crate) const CANCEL: u32 = 8;

/// Payload of the largest frame that the server takes.
pub(crate) const FRAME_BYTES_MAX: usize = 16_384;

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame_that_says(payload.len(), kind, flags, stream, payload)
}

/// A frame with a length that need not be true.
pub(crate) fn frame_that_says(
    length: usize,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &[u8],
) -> Vec<u8> {
    let length = u32::try_from(length).expect("a length").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A SETTINGS frame.
pub(crate) fn settings(of: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> = of
        .iter()
        .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
        .collect();
    frame(SETTINGS, 0, 0, &payload)
}

/// A frame that holds one number.
pub(crate) fn numbered(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, 0, stream, &number.to_be_bytes())
}

/// A header field that no table keeps.
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [vec![0x00], string(name), string(value)].concat()
}

/// A header field that the receiver's table keeps, as its newest: [`NEWEST`] names it from then on.
pub(crate) fn kept_field(name: &str, value: &str) -> Vec<u8> {
    [vec![0x40], string(name), string(value)].concat()
}

/// The newest field of the receiver's table, in one byte.
pub(crate) const NEWEST: u8 = 0x80 | 62;

/// A text without Huffman's code.
fn string(text: &str) -> Vec<u8> {
    [integer(text.len()), text.as_bytes().to_vec()].concat()
}

/// A number behind one bit of zero, as HPACK writes it.
fn integer(number: usize) -> Vec<u8> {
    const PREFIX: usize = 0x7f;
    let Some(mut rest) = number.checked_sub(PREFIX) else {
        return vec![u8::try_from(number).expect("less than the prefix")];
    };
    let mut bytes = vec![0x7f];
    while rest >= 128 {
        bytes.push(0x80 | u8::try_from(rest % 128).expect("seven bits"));
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
    bytes
}

/// The headers of a gRPC call.
pub(crate) fn call_headers(path: &str) -> Vec<u8> {
    [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", path),
        field(":authority", "server"),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ]
    .concat()
}

/// The beginning of a call, whose message is to come.
pub(crate) fn call(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &call_headers(path))
}

/// All of a call with that message.
pub(crate) fn whole_call(stream: u32, path: &str, message: &[u8]) -> Vec<u8> {
    let data = crate::support::raw::framed(message);
    [call(stream, path), frame(DATA, END_STREAM, stream, &data)].concat()
}

/// The numbers of a client's streams, in order.
pub(crate) fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2)
}

/// Kinds and payloads of the whole frames among these bytes.
pub(crate) fn frames_in(mut bytes: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = vec![];
    while let Some((head, rest)) = bytes.split_first_chunk::<9>() {
        let length = head[..3].iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Some((payload, rest)) = rest.split_at_checked(length) else { break };
        frames.push((head[3], payload));
        bytes = rest;
    }
    frames
}
