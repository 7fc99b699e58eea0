//! Bytes that are no request: each is the caller's fault and never the service's, which lives on,
//! has not panicked, and has written nothing.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod support;

use claims::testing::TestDatabase;
use fastrand::Rng;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value};
use support::mutate::mutated;
use support::raw::{self, Answer, Connection, frame, framed};
use support::refusal::Refusal;
use support::request::{CALLS, Request, ack, duration, enum_number, enum_numbers, path};
use support::rows::{count_writes, writes};
use support::{Server, mint};
use tonic::Code;

/// Most bytes of a request.
const REQUEST_BYTES_MAX: usize = 2 * 1024 * 1024;
/// A field that no request has.
const UNKNOWN_FIELD: u32 = 1000;
/// How many random requests are made, and from which seed.
const RANDOM_REQUESTS: usize = 2_500;
const SEED: u64 = 4340;

/// A server whose writes are counted.
struct Stage {
    db: TestDatabase,
    server: Server,
    connection: Connection,
}

impl Stage {
    async fn new() -> Self {
        let db = TestDatabase::new().await;
        let server = Server::start(db.url()).await;
        let connection = raw::connect(server.address).await;
        count_writes(&db).await;
        Self { db, server, connection }
    }

    /// Sends a framed message; panics if the answer is not that of a bad request, or if anything
    /// was written.
    async fn refused(&self, call: &str, message: &[u8], what: &str) {
        self.refused_body(call, framed(message), &format!("{call}: {what}")).await;
    }

    /// As `refused`, for a fault of one field, which the answer must name.
    async fn refused_field(&self, call: &str, message: &[u8], field: &str) {
        let before = writes(&self.db).await;
        let answer = self.connection.send(&path(call), framed(message)).await;
        is_invalid(&answer, field);
        assert_eq!(Refusal::of(&answer.status()).fields, [field], "{call}");
        assert_eq!(writes(&self.db).await, before, "{call}: {field}");
    }

    async fn refused_body(&self, call: &str, body: Vec<u8>, what: &str) {
        let before = writes(&self.db).await;
        let answer = self.connection.send(&path(call), body).await;
        is_invalid(&answer, what);
        assert_eq!(writes(&self.db).await, before, "{what}");
    }

    /// The server is the same process as ever, serves, and has not panicked.
    async fn is_unharmed(&mut self) {
        assert!(self.server.child.try_wait().expect("a process").is_none(), "it lives");
        let minted = self.server.client().await.mint(mint("/still/there", "w_alive")).await;
        minted.expect("it serves");
        let log = self.server.log.lock().expect("a log").clone();
        assert!(!log.contains("panicked"), "{log}");
        assert!(!log.contains("ERROR"), "{log}");
        self.db.check_invariants().await;
    }
}

fn is_invalid(answer: &Answer, what: &str) {
    let status = answer.status();
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    let refusal = Refusal::of(&status);
    assert_eq!(refusal.reason, "INVALID_FIELD", "{what}");
    assert_eq!(refusal.fields.len(), 1, "{what}: {refusal:?}");
    assert!(refusal.metadata.is_empty() && refusal.retry.is_none(), "{what}: {refusal:?}");
}

/// A request in which every field has a value; all good, for claims that there are not.
fn full(call: &'static str) -> Request {
    let request = Request::to(call);
    let request = match call {
        "Mint" => request
            .with("entity_url", "/chat/a")
            .with("stream_path", "/chat/a/main")
            .with("authority", "sub")
            .with("wake_id", "wake")
            .with("runner_id", "r")
            .with("request_id", "q")
            .with("lease_ttl", duration(30, 1))
            .with("max_duration", duration(3600, 1))
            .with("supersede", true),
        "Heartbeat" => request
            .with("write_token", "token")
            .with("lease_ttl", duration(30, 1))
            .with("progress", "half"),
        "Done" => request
            .with("write_token", "token")
            .with("acked_streams", vec![ack("/in/main", "7")])
            .with("outcome", enum_number(2))
            .with("error_message", "why"),
        "AuthorizeWrite" => {
            request.with("stream_path", "/chat/a/main").with("write_token", "token")
        }
        "ListClaims" => request
            .with("entity_url", "/chat/a")
            .with("runner_id", "r")
            .with("states", enum_numbers(&[1, 2]))
            .with("lapsed_only", true)
            .with("page_size", 7),
        "ListClaimEvents" => {
            request.with("entity_url", "/chat/a").with("consumer_id", "w_1").with("page_size", 7)
        }
        "GetEntity" => request.with("entity_url", "/chat/a"),
        "HeartbeatBatch" => {
            let beats = [full("Heartbeat"), full("Heartbeat").with("consumer_id", "w_2")];
            return request
                .with("heartbeats", beats.map(|beat| Value::Message(beat.message)).to_vec());
        }
        "RevokeClaim" => request.with("reason", "why"),
        "SignalEntity" => request
            .with("entity_url", "/chat/a")
            .with("signal", enum_number(2))
            .with("reason", "why"),
        _ => request,
    };
    let request = request.with("tenant_id", "acme");
    match call {
        "Mint" | "Heartbeat" | "Done" | "GetClaim" | "RevokeClaim" => {
            request.with("consumer_id", "w_1").with("epoch", 7)
        }
        _ => request,
    }
}

/// A field of bytes.
fn delimited(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = key(number, WireType::LengthDelimited);
    encode_varint(content.len().try_into().expect("a length"), &mut bytes);
    bytes.extend(content);
    bytes
}

fn key(number: u32, wire_type: WireType) -> Vec<u8> {
    let mut bytes = vec![];
    encode_key(number, wire_type, &mut bytes);
    bytes
}

/// The name of a field by its path, as a `BadRequest` tells it.
fn name(message: &MessageDescriptor, path: &[u32]) -> String {
    let field = message.get_field(path[0]).expect("a field");
    match field.kind() {
        Kind::Message(inner) => format!("{}.{}", field.name(), name(&inner, &path[1..])),
        _ => field.name().to_owned(),
    }
}

/// The paths to all text fields of a message, as field numbers from the outside in.
fn texts(message: &MessageDescriptor) -> Vec<Vec<u32>> {
    let mut paths = vec![];
    for field in message.fields() {
        match field.kind() {
            Kind::String => paths.push(vec![field.number()]),
            Kind::Message(inner) => {
                let inner = texts(&inner).into_iter();
                paths.extend(inner.map(|path| [vec![field.number()], path].concat()));
            }
            _ => {}
        }
    }
    paths
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_not_utf_8_is_the_callers_fault_in_every_field() {
    let mut stage = Stage::new().await;
    let mut seen = 0;
    for call in CALLS {
        let request = full(call);
        for text in texts(&request.message.descriptor()) {
            for bad in [&b"\xff"[..], b"w_\xc3", b"\xed\xa0\x80", b"\xc0\x80", b"\xf5\x80\x80\x80"]
            {
                let nested = text
                    .iter()
                    .rev()
                    .fold(bad.to_vec(), |inner, number| delimited(*number, &inner));
                let message = [request.bytes(), nested].concat();
                let field = name(&request.message.descriptor(), &text);
                stage.refused_field(call, &message, &field).await;
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 43 * 5, "all text fields of all built calls");
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_cut_off_is_the_callers_fault() {
    let mut stage = Stage::new().await;
    for call in CALLS {
        let request = full(call);
        let message = request.bytes();
        for length in 0..message.len() {
            // Between two fields a message may end; then it only has less in it.
            let cut = &message[..length];
            let is_whole = DynamicMessage::decode(request.message.descriptor(), cut).is_ok();
            if !is_whole {
                stage.refused(call, cut, &format!("{length} bytes")).await;
            }
        }
    }
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wire_types_that_are_none_or_of_other_fields_are_the_callers_fault() {
    let mut stage = Stage::new().await;
    for call in CALLS {
        let request = full(call);
        let good = request.bytes();
        for field in request.message.descriptor().fields() {
            let number = field.number();
            // No field of ours is of a fixed length; and no text is a number.
            let mut others = vec![
                [key(number, WireType::ThirtyTwoBit), vec![0; 4]].concat(),
                [key(number, WireType::SixtyFourBit), vec![0; 8]].concat(),
            ];
            others.push(match field.kind() {
                Kind::String | Kind::Message(_) => {
                    [key(number, WireType::Varint), vec![1]].concat()
                }
                _ if field.is_list() => key(number, WireType::EndGroup),
                _ => delimited(number, b"7"),
            });
            for other in others {
                let message = [good.clone(), other].concat();
                stage.refused(call, &message, &format!("field {number} of another type")).await;
            }
        }
        let bad: [(&str, Vec<u8>); 9] = [
            ("wire type 6", vec![0x0e]),
            ("wire type 7", vec![0x0f]),
            ("field number 0", vec![0x00, 0x00]),
            ("a key of more than 32 bits", vec![0xff, 0xff, 0xff, 0xff, 0x7f, 0x00]),
            (
                "a varint of 11 bytes",
                [key(UNKNOWN_FIELD, WireType::Varint), vec![0xff; 11]].concat(),
            ),
            (
                "a length of more than there is",
                [key(UNKNOWN_FIELD, WireType::LengthDelimited), vec![0x7f]].concat(),
            ),
            ("a length of 2^64", {
                let length = [&[0xff; 9][..], &[0x01]].concat();
                [key(UNKNOWN_FIELD, WireType::LengthDelimited), length].concat()
            }),
            ("the end of no group", key(UNKNOWN_FIELD, WireType::EndGroup)),
            ("groups without an end", key(UNKNOWN_FIELD, WireType::StartGroup).repeat(100_000)),
        ];
        for (what, bytes) in bad {
            stage.refused(call, &[good.clone(), bytes].concat(), what).await;
        }
    }
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_fields_are_passed_over() {
    let mut stage = Stage::new().await;
    let group = [
        key(UNKNOWN_FIELD, WireType::StartGroup),
        delimited(1, b"\xff"),
        key(UNKNOWN_FIELD, WireType::EndGroup),
    ];
    let unknown = [
        [key(UNKNOWN_FIELD, WireType::Varint), vec![7]].concat(),
        [key(UNKNOWN_FIELD, WireType::ThirtyTwoBit), vec![7; 4]].concat(),
        [key(UNKNOWN_FIELD, WireType::SixtyFourBit), vec![7; 8]].concat(),
        delimited(UNKNOWN_FIELD, b"\xff"),
        group.concat(),
    ];
    for call in CALLS {
        let request = full(call);
        for unknown in &unknown {
            let message = [request.bytes(), unknown.clone()].concat();
            let with = stage.connection.send(&request.path(), framed(&message)).await.status();
            let without = request.send(&stage.connection).await.status();
            assert_eq!((with.code(), with.message()), (without.code(), without.message()));
        }
    }
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_are_none_are_the_callers_fault() {
    let mut stage = Stage::new().await;
    for call in CALLS {
        let message = full(call).bytes();
        let bodies: [(&str, Vec<u8>); 9] = [
            ("no frame", vec![]),
            ("part of a frame's header", vec![0, 0, 0]),
            ("a frame without its message", frame(0, message.len(), &[])),
            ("a frame with part of its message", frame(0, message.len() + 1, &message)),
            ("a flag of 2", frame(2, message.len(), &message)),
            ("a flag of 255", frame(255, message.len(), &message)),
            ("compressed, without saying how", frame(1, message.len(), &message)),
            ("a length of 4 GiB", frame(0, u32::MAX.try_into().unwrap(), &message)),
            ("something behind the message", [framed(&message), vec![0xff; 3]].concat()),
        ];
        for (what, body) in bodies {
            stage.refused_body(call, body, &format!("{call}: {what}")).await;
        }
    }
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_2_mib_is_taken_and_one_byte_more_is_refused() {
    let mut stage = Stage::new().await;
    for call in CALLS {
        let request = full(call);
        let mut message = request.bytes();
        // The length of the padding has as many bytes as that of all the rest.
        let overhead =
            delimited(UNKNOWN_FIELD, &vec![0; REQUEST_BYTES_MAX / 2]).len() - REQUEST_BYTES_MAX / 2;
        let padding = REQUEST_BYTES_MAX - message.len() - overhead;
        message.extend(delimited(UNKNOWN_FIELD, &vec![0; padding]));
        assert_eq!(message.len(), REQUEST_BYTES_MAX);
        let status = stage.connection.send(&request.path(), framed(&message)).await.status();
        let small = request.send(&stage.connection).await.status();
        assert_eq!((status.code(), status.message()), (small.code(), small.message()), "{call}");

        let mut message = request.bytes();
        message.extend(delimited(UNKNOWN_FIELD, &vec![0; padding + 1]));
        stage.refused(call, &message, "one byte too many").await;
    }
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compression_that_is_not_understood_is_unimplemented() {
    let mut stage = Stage::new().await;
    let before = writes(&stage.db).await;
    for encoding in ["gzip", "deflate", "zstd", "nonsense"] {
        let request = full("Mint");
        let headers = [("grpc-encoding", encoding)];
        for flag in [0, 1] {
            let body = frame(flag, request.bytes().len(), &request.bytes());
            let answer = stage.connection.send_with(&request.path(), &headers, body).await;
            assert_eq!(answer.status().code(), Code::Unimplemented, "{encoding}: {answer:?}");
        }
    }
    assert_eq!(writes(&stage.db).await, before);
    stage.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn random_requests_get_true_answers_and_what_is_refused_writes_nothing() {
    let mut stage = Stage::new().await;
    let mut random = Rng::with_seed(SEED);
    let messages = CALLS.map(|call| full(call).bytes());
    let (mut accepted, mut invalid, mut refused) = (0, 0, 0);
    let mut before = writes(&stage.db).await;
    for number in 0..RANDOM_REQUESTS {
        let call = random.usize(..CALLS.len());
        let other = random.choice(&messages).expect("messages");
        let message = if number % 10 == 0 {
            (0..random.usize(..64)).map(|_| random.u8(..)).collect()
        } else {
            mutated(&mut random, &messages[call], other)
        };
        let call = CALLS[call];
        let what = format!("request {number}, {call}: {message:?}");
        let answer = stage.connection.send(&path(call), framed(&message)).await;
        let status = answer.status();
        let after = writes(&stage.db).await;
        match status.code() {
            Code::Ok => {
                accepted += 1;
                let reads = ["AuthorizeWrite", "GetClaim", "ListClaims", "GetEntity"];
                assert!(!reads.contains(&call) || after == before, "{what}");
            }
            Code::InvalidArgument => {
                invalid += 1;
                assert_eq!(Refusal::of(&status).reason, "INVALID_FIELD", "{what}");
                assert_eq!(after, before, "{what}");
            }
            Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::PermissionDenied => {
                refused += 1;
                Refusal::of(&status);
                assert_eq!(after.rows, before.rows, "{what}");
            }
            _ => panic!("{what}: {status:?}"),
        }
        before = after;
    }
    // A generator that only makes rubbish would try little.
    assert!(accepted > 100 && invalid > 100 && refused > 100, "{accepted} {invalid} {refused}");
    stage.is_unharmed().await;
}
