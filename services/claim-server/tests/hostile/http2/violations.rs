//! Bytes that are no HTTP/2. Whoever sends them loses the connection, and nobody else is concerned.

use super::peer::Peer;
use super::wire::{
    CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, FRAME_BYTES_MAX, GOAWAY, HEADERS,
    INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, PADDED, PING, PREFACE, PRIORITY, PUSH_PROMISE, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, call, call_headers, frame, frame_that_says, frames_in, numbered,
    settings, whole_call,
};
use super::withstands;
use fastrand::Rng;
use futures_util::future::join_all;

const GET_CLAIM: &str = "/claim.v1.ClaimService/GetClaim";
const SEED: u64 = 4340;
/// Connections on which random frames are sent, and how many on each.
const RANDOM_CONNECTIONS: usize = 400;
const RANDOM_FRAMES: usize = 40;

/// What ends a connection, behind its beginning.
fn violations() -> Vec<(&'static str, Vec<u8>)> {
    let headers = call_headers(GET_CLAIM);
    let begun = call(1, GET_CLAIM);
    let after = |bytes: Vec<u8>| [begun.clone(), bytes].concat();
    vec![
        ("data on a stream that was not opened", frame(DATA, 0, 1, b"x")),
        ("data on no stream", frame(DATA, 0, 0, b"x")),
        ("headers on no stream", frame(HEADERS, END_HEADERS, 0, &headers)),
        ("headers on a stream of the server", frame(HEADERS, END_HEADERS, 2, &headers)),
        ("headers on a stream behind", { [call(5, GET_CLAIM), call(3, GET_CLAIM)].concat() }),
        ("headers that cannot be read", frame(HEADERS, END_HEADERS, 1, &[0xff; 20])),
        ("headers of a table entry that there is not", frame(HEADERS, END_HEADERS, 1, &[0xfe])),
        ("headers cut off", frame(HEADERS, END_HEADERS, 1, &headers[..headers.len() - 1])),
        ("a table larger than allowed", frame(HEADERS, END_HEADERS, 1, &[0x3f, 0xff, 0xff, 0x7f])),
        ("more padding than payload", frame(HEADERS, END_HEADERS | PADDED, 1, &[200, 0, 0])),
        ("more padding than data", after(frame(DATA, PADDED, 1, &[200, 0, 0]))),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, &headers)),
        ("another frame amid headers", {
            [frame(HEADERS, 0, 1, &headers), frame(PING, 0, 0, &[0; 8])].concat()
        }),
        ("a continuation of another stream", {
            [frame(HEADERS, 0, 1, &headers), frame(CONTINUATION, END_HEADERS, 3, &[])].concat()
        }),
        ("settings of five bytes", frame(SETTINGS, 0, 0, &[0; 5])),
        ("settings of a stream", frame(SETTINGS, 0, 1, &[0; 6])),
        ("an acknowledgement with something in it", frame(SETTINGS, 1, 0, &[0; 6])),
        ("a push setting of 2", settings(&[(ENABLE_PUSH, 2)])),
        ("a window of 2^31", settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])),
        ("frames of 1 byte", settings(&[(MAX_FRAME_SIZE, 1)])),
        ("a ping of 7 bytes", frame(PING, 0, 0, &[0; 7])),
        ("a ping of a stream", frame(PING, 0, 1, &[0; 8])),
        ("a window grown by nothing", numbered(WINDOW_UPDATE, 0, 0)),
        ("a window grown beyond all bounds", { numbered(WINDOW_UPDATE, 0, 0x7fff_ffff).repeat(2) }),
        ("a window of 3 bytes", frame(WINDOW_UPDATE, 0, 0, &[0; 3])),
        ("a window of a stream that was not opened", numbered(WINDOW_UPDATE, 7, 1)),
        ("a reset of a stream that was not opened", numbered(RST_STREAM, 7, 0)),
        ("a reset of no stream", numbered(RST_STREAM, 0, 0)),
        ("a reset of 3 bytes", after(frame(RST_STREAM, 0, 1, &[0; 3]))),
        ("a promise", after(frame(PUSH_PROMISE, END_HEADERS, 1, &[0; 4]))),
        ("a frame that is too large", frame(DATA, 0, 1, &[0; FRAME_BYTES_MAX + 1])),
        ("a frame of 16 MiB", frame_that_says(0xff_ffff, HEADERS, END_HEADERS, 1, &headers)),
        ("a priority of no stream", frame(PRIORITY, 0, 0, &[0; 5])),
        ("a farewell of 7 bytes", frame(GOAWAY, 0, 0, &[0; 7])),
        ("a farewell of a stream", frame(GOAWAY, 0, 1, &[0; 8])),
    ]
}

/// What is no beginning of HTTP/2.
fn strangers() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("HTTP/1.1", b"GET / HTTP/1.1\r\nhost: server\r\n\r\n".to_vec()),
        ("a preface of HTTP/3", b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n".to_vec()),
        (
            "a client hello of TLS",
            [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 64]].concat(),
        ),
        ("nothing but zeros", vec![0; 1024]),
        ("SSH", b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_breaks_the_rules_of_http_2_loses_the_connection_and_nobody_else_does() {
    withstands(async |server| {
        // Side by side, so that those that nothing happens to are waited for together.
        let after_preface = violations()
            .into_iter()
            .map(|(what, bytes)| (what, [PREFACE.to_vec(), settings(&[]), bytes].concat(), true));
        let others = strangers().into_iter().map(|(what, bytes)| (what, bytes, false));
        let tried = after_preface.chain(others).map(|(what, bytes, says_why)| async move {
            let mut peer = Peer::mute(server).await;
            peer.send(&bytes).await;
            let words = peer.last_words().await;
            let kinds = words
                .as_deref()
                .map(|words| frames_in(words).iter().map(|(kind, _)| *kind).collect::<Vec<_>>());
            let is_ended = kinds.as_ref().is_some_and(|kinds| !says_why || kinds.contains(&GOAWAY));
            (!is_ended).then_some((what, kinds))
        });
        let unharmed: Vec<_> = join_all(tried).await.into_iter().flatten().collect();
        assert!(unharmed.is_empty(), "not ended, or without a word: {unharmed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_frames_concern_nobody_but_their_sender() {
    let mut random = Rng::with_seed(SEED);
    let connections: Vec<Vec<u8>> =
        (0..RANDOM_CONNECTIONS).map(|_| random_frames(&mut random)).collect();
    withstands(async |server| {
        for bytes in &connections {
            let mut peer = Peer::connect(server).await;
            peer.send(bytes).await;
            peer.skip();
        }
    })
    .await;
}

/// Frames of any kind, among calls as they should be.
fn random_frames(random: &mut Rng) -> Vec<u8> {
    let mut bytes = vec![];
    for number in 0..RANDOM_FRAMES {
        let stream = match random.u8(0..4) {
            0 => 0,
            1 => random.u32(..) & 0x7fff_ffff,
            _ => random.u32(0..20),
        };
        if random.bool() {
            let next = u32::try_from(2 * number + 1).expect("a stream");
            bytes.extend(whole_call(next, GET_CLAIM, b""));
        }
        let payload: Vec<u8> = (0..random.usize(0..40)).map(|_| random.u8(..)).collect();
        let flags = if random.bool() { random.u8(..) } else { END_STREAM | END_HEADERS };
        let length = if random.u8(0..10) == 0 { random.usize(0..100) } else { payload.len() };
        bytes.extend(frame_that_says(length, random.u8(0..12), flags, stream, &payload));
    }
    bytes
}
