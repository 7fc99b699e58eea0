//! What is sent: requests as they should be, and everything that can be made of them by whoever
//! does not keep to the contract.

use super::field::Draw;
use super::method::{METHODS, Method};
use super::request::{Mood, Requests};
use super::world::World;
use crate::support::mutate::mutated;
use crate::support::raw::{Ending, frame, framed};
use fastrand::Rng;
use http::Request;
use std::net::SocketAddr;

/// More than the largest request.
const TOO_MANY_BYTES: usize = 2 * 1024 * 1024 + 100;

/// How wrong the requests of a stretch are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Messages of their types, whatever is in them.
    Requests(Mood),
    /// Frames whose messages are none, or were one.
    Bytes,
    /// Frames that are none.
    Frames,
    /// Headers that are not those of gRPC.
    Headers,
}

/// Something to send.
#[derive(Debug)]
pub(crate) struct Input {
    pub(crate) method: &'static Method,
    /// The message that an answer would be for.
    pub(crate) message: Vec<u8>,
    pub(crate) request: Request<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) ending: Ending,
    /// The headers are those of gRPC, so that the answer is one of the contract.
    pub(crate) is_grpc: bool,
}

/// The next input of that kind.
pub(crate) fn next(kind: Kind, world: &World, random: &mut Rng, server: SocketAddr) -> Input {
    match kind {
        Kind::Requests(mood) => {
            let (method, messages) = Requests::new(world, mood, random).next();
            let body = messages.iter().flat_map(|message| framed(message)).collect();
            let message = messages.into_iter().next().unwrap_or_default();
            plain(method, message, body, server)
        }
        Kind::Bytes => {
            let (method, message) = bytes(world, random);
            let body = framed(&message);
            plain(method, message, body, server)
        }
        Kind::Frames => {
            let (method, message) = bytes(world, random);
            let body = frames(&message, random);
            plain(method, message, body, server)
        }
        Kind::Headers => odd_headers(world, random, server),
    }
}

fn plain(method: &'static Method, message: Vec<u8>, body: Vec<u8>, server: SocketAddr) -> Input {
    let request = Request::post(format!("http://{server}/{}", method.path))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .expect("a request");
    let ending = if method.is_endless { Ending::Leave } else { Ending::All };
    Input { method, message, request, body, ending, is_grpc: true }
}

/// Bytes for any method: random ones, or a message that was changed, or that of another method.
fn bytes(world: &World, random: &mut Rng) -> (&'static Method, Vec<u8>) {
    let any = random.choice(METHODS).expect("methods");
    let mut requests = Requests::new(world, Mood::Careless, random);
    let (method, messages) = requests.next();
    let (_, others) = requests.next();
    let message = messages.into_iter().next().unwrap_or_default();
    let other = others.into_iter().next().unwrap_or_default();
    match random.u8(0..10) {
        0 => (any, (0..random.usize(0..64)).map(|_| random.u8(..)).collect()),
        1 => (any, message),
        2 => (any, mutated(random, &message, &other)),
        _ => (method, mutated(random, &message, &other)),
    }
}

/// A body that is not one whole frame.
fn frames(message: &[u8], random: &mut Rng) -> Vec<u8> {
    match random.u16(0..1000) {
        0 => return vec![random.u8(..); TOO_MANY_BYTES],
        1 => return framed(&vec![random.u8(..); TOO_MANY_BYTES]),
        _ => {}
    }
    let whole = framed(message);
    let length = message.len();
    match random.u8(0..11) {
        0 => vec![],
        1 => whole[..random.usize(..whole.len())].to_vec(),
        2 => frame(0, length + random.usize(1..100), message),
        3 => frame(0, length.saturating_sub(random.usize(1..100)), message),
        4 => frame(0, random.u32(..).try_into().expect("a length"), message),
        5 => frame(1, length, message),
        6 => frame(random.u8(2..), length, message),
        7 => whole.repeat(random.usize(2..20)),
        8 => [whole, (0..random.usize(1..16)).map(|_| random.u8(..)).collect()].concat(),
        9 => framed(&[]).repeat(random.usize(1..50)),
        _ => (0..random.usize(1..64)).map(|_| random.u8(..)).collect(),
    }
}

/// Paths that are no method's.
const NO_PATHS: [&str; 12] = [
    "",
    "claim.v1.ClaimService",
    "claim.v1.ClaimService/",
    "claim.v1.ClaimService/mint",
    "claim.v1.ClaimService/Mint/",
    "claim.v1.ClaimService//Mint",
    "claim.v1.ClaimService/Mint%00",
    "claim.v1.ClaimService/%4dint",
    "claim.v2.ClaimService/Mint",
    "../metrics",
    "metrics",
    "grpc.health.v1.Health/check",
];
const NAMES: [&str; 11] = [
    "grpc-timeout",
    "grpc-encoding",
    "grpc-accept-encoding",
    "content-type",
    "user-agent",
    "authorization",
    "traceparent",
    "tracestate",
    "x-forwarded-for",
    "grpc-status",
    "odd-bin",
];
const VALUES: [&str; 22] = [
    "",
    "0n",
    "1n",
    "1m",
    "99999999H",
    "999999999H",
    "-1S",
    "1",
    "S",
    "identity",
    "gzip",
    "gzip, deflate, nonsense",
    "application/grpc+proto",
    "application/json",
    "text/plain; charset=utf-7",
    "Bearer ",
    "Bearer eyJhbGciOiJub25lIn0.e30.",
    "Basic cm9vdDo=",
    "00-00000000000000000000000000000000-0000000000000000-ff",
    "18446744073709551616",
    "not base64!",
    "13",
];

/// A call with headers that a proper client would not send. Nothing in it may be a good request that
/// writes: its time may be up before its answer, and then nobody knows whether it has.
fn odd_headers(world: &World, random: &mut Rng, server: SocketAddr) -> Input {
    let (method, message) = bytes(world, random);
    let mut draw = Draw { random, odd_percent: 50 };
    let path = if draw.chance(40) { draw.one(&NO_PATHS) } else { method.path };
    let query = draw.one(&["", "", "", "?", "?tenant_id=other"]);
    let verb = draw.one(&["POST", "POST", "POST", "GET", "PUT", "DELETE", "OPTIONS", "BREW"]);
    let mut request = Request::builder().method(verb).uri(format!("http://{server}/{path}{query}"));
    for _ in 0..draw.random.usize(0..6) {
        request = request.header(draw.one(&NAMES), draw.one(&VALUES));
    }
    if draw.chance(10) {
        for number in 0..draw.random.usize(1..60) {
            request = request.header(format!("x-{number}"), "x".repeat(draw.random.usize(..200)));
        }
    }
    let request = request.body(()).expect("a request");
    // The tag of field 0, which there is not: no message.
    let body = framed(&[&[0x00], message.as_slice()].concat());
    let ending = if method.is_endless { Ending::Leave } else { Ending::All };
    Input { method, message: vec![], request, body, ending, is_grpc: false }
}
