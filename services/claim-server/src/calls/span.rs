//! One span for each call, with who it is about and how it ended, and one line of log at its end:
//! a fault of ours at error, with the id that the caller was given, everything else at debug. Why
//! the database failed is said by the store, once and not for each call.

use super::method::Method;
use crate::status::REQUEST_ID;
use http::Response;
use std::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};

/// Serves `call` in a span of its own.
pub(super) async fn observed(
    method: Method,
    call: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    let span = tracing::info_span!(
        "call",
        method = method.name(),
        tenant = Empty,
        consumer = Empty,
        epoch = Empty,
        outcome = Empty,
        duration_ms = Empty,
    );
    let mut ending = Ending { method, span: span.clone(), begin: Instant::now(), seen: false };
    let response = call.instrument(span).await;
    ending.answered(&response);
    response
}

/// Says how a call ended, also of one that was dropped because its caller left.
struct Ending {
    method: Method,
    span: Span,
    begin: Instant,
    seen: bool,
}

impl Ending {
    fn answered(&mut self, response: &Response<Body>) {
        // The code is in the headers exactly if the answer is nothing but a status.
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => self.refused(&status),
            _ => self.ended("OK"),
        }
    }

    fn refused(&mut self, status: &Status) {
        let code = code_name(status.code());
        let Some(info) = status.get_details_error_info() else {
            return self.ended(code);
        };
        if status.code() == Code::Internal {
            let (method, request_id) = (self.method.name(), info.metadata.get(REQUEST_ID));
            let request_id = request_id.map_or("", String::as_str);
            tracing::error!(parent: &self.span, request_id, "{method} failed, request {request_id}");
        }
        self.ended(&format!("{code}/{}", info.reason));
    }

    fn ended(&mut self, outcome: &str) {
        self.seen = true;
        let duration_ms = self.begin.elapsed().as_secs_f64() * 1000.0;
        self.span.record("outcome", outcome);
        self.span.record("duration_ms", duration_ms);
        let method = self.method.name();
        tracing::debug!(parent: &self.span, "{method} ended: {outcome}");
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.seen {
            self.ended("abandoned by its caller");
        }
    }
}

/// The name of a code as the gRPC protocol spells it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
