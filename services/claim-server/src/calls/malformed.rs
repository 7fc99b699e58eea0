//! Bytes that are no request. tonic answers INTERNAL for bytes that do not decode and OUT_OF_RANGE
//! for too many of them, as if the fault were ours or the number wrong; here they become
//! INVALID_ARGUMENT, like any other request that is not as it should be.
//!
//! tonic's statuses are told from ours by their details: each of ours has some.

use crate::status;
use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

/// The response as it is; that of a request which could not be read, under its right name.
pub(super) fn renamed(response: Response<Body>) -> Response<Body> {
    match response.extensions().get::<Status>() {
        Some(refused) if is_of_the_decoder(refused) => {
            status::malformed(&field(refused.message()), refused.message()).into_http()
        }
        _ => response,
    }
}

/// The same for a stream that has begun, whose status is yet to be sent. Whatever else broke it, there
/// is nobody left to read the status.
pub(crate) fn on_stream(status: Status) -> Status {
    if is_of_the_decoder(&status) {
        return status::malformed(&field(status.message()), status.message());
    }
    status
}

/// The field that the decoder stumbled over: `… MintRequest.consumer_id: …` names `consumer_id`,
/// and a field within a field stands before it, `AckedStream.path: DoneRequest.acked_streams: …`.
/// Empty if it was none.
fn field(message: &str) -> String {
    let names = message.rsplit(": ").filter_map(|part| {
        let (of, name) = part.split_once('.')?;
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        };
        (is_word(of) && is_word(name)).then_some(name)
    });
    names.collect::<Vec<_>>().join(".")
}

fn is_of_the_decoder(status: &Status) -> bool {
    status.details().is_empty()
        && matches!(status.code(), Code::Internal | Code::OutOfRange | Code::ResourceExhausted)
}

#[cfg(test)]
mod tests {
    use super::field;

    #[test]
    fn the_field_that_does_not_decode_is_named() {
        for (message, named) in [
            ("failed to decode Protobuf message: MintRequest.consumer_id: invalid", "consumer_id"),
            ("failed: AckedStream.path: DoneRequest.acked_streams: no UTF-8", "acked_streams.path"),
            ("failed to decode Protobuf message: buffer underflow", ""),
            ("Error, decoded message length too large: found 3 bytes, the limit is: 2 bytes", ""),
        ] {
            assert_eq!(field(message), named, "{message}");
        }
    }
}
