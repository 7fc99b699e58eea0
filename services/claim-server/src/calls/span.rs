//! One span for each call, with who it is about and how it ended, and one line of log at its end:
//! a fault of ours at error, with the id that the caller was given, everything else at debug. Why
//! the database failed is said by the store, once and not for each call.
//!
//! Of a stream this tells how it began, and [`StreamLog`] how it ends, in the same span.

use super::method::Method;
use crate::metrics::Metrics;
use crate::reason::Reason;
use crate::status::request_id;
use claims::domain::TenantId;
use http::Response;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use std::time::{Duration, Instant};
use tonic::body::Body;
use tonic::{Code, Status};
use tonic_types::StatusExt;
use tracing::field::Empty;
use tracing::{Instrument, Span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of the spans of calls.
pub(crate) const CALLS: &str = module_path!();

/// Serves `call` in a span of its own, which continues the trace of its caller.
pub(super) async fn observed(
    method: Method,
    metrics: Metrics,
    continued: Option<Context>,
    call: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    let span = tracing::info_span!(
        target: CALLS,
        "call",
        method = method.name(),
        caller = Empty,
        tenant = Empty,
        consumer = Empty,
        epoch = Empty,
        heartbeats = Empty,
        outcome = Empty,
        duration_ms = Empty,
        trace_id = Empty,
    );
    if let Some(trace) = continued {
        span.record("trace_id", tracing::field::display(trace.span().span_context().trace_id()));
        // Fails where the span is filtered out, and then there is nothing to continue it in.
        let _ = span.set_parent(trace);
    }
    let (begin, seen) = (Instant::now(), false);
    let mut ending = Ending { method, metrics, span: span.clone(), begin, seen };
    let response = call.instrument(span).await;
    ending.answered(&response);
    response
}

/// Tells of a call that was refused at the door for that reason, which has no span. Next to no time
/// was spent on it, and it counts with none.
pub(super) fn not_admitted(metrics: &Metrics, method: Method, reason: Reason) {
    metrics.answered(method, reason.code(), Duration::ZERO);
    metrics.refused(method, Some(reason));
    let reason = reason.as_str();
    let method = method.name();
    tracing::debug!(method, reason, "{method} ended: RESOURCE_EXHAUSTED/{reason}");
}

/// Says how a call ended, also of one that was dropped because its caller left.
struct Ending {
    method: Method,
    metrics: Metrics,
    span: Span,
    begin: Instant,
    seen: bool,
}

impl Ending {
    fn answered(&mut self, response: &Response<Body>) {
        // The code is in the headers exactly if the answer is nothing but a status.
        match Status::from_header_map(response.headers()) {
            Some(status) if status.code() != Code::Ok => self.refused(&status),
            _ if self.method.streams() => self.began(),
            _ => self.ended(Code::Ok, "OK"),
        }
    }

    fn began(&mut self) {
        self.seen = true;
        self.metrics.answered(self.method, Code::Ok, self.begin.elapsed());
        tracing::debug!(parent: &self.span, "{} began", self.method.name());
    }

    fn refused(&mut self, status: &Status) {
        if let Some(request_id) = request_id(status) {
            let method = self.method.name();
            tracing::error!(parent: &self.span, request_id, "{method} failed, request {request_id}");
        }
        self.metrics.refused_with(self.method, status);
        self.ended(status.code(), &outcome(status));
    }

    fn ended(&mut self, code: Code, outcome: &str) {
        self.seen = true;
        let took = self.begin.elapsed();
        self.metrics.answered(self.method, code, took);
        let duration_ms = took.as_secs_f64() * 1000.0;
        self.span.record("outcome", outcome);
        self.span.record("duration_ms", duration_ms);
        let method = self.method.name();
        tracing::debug!(parent: &self.span, "{method} ended: {outcome}");
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if !self.seen {
            self.ended(Code::Cancelled, "abandoned by its caller");
        }
    }
}

/// Says how a stream ended when it is dropped, in the span of its call.
pub(crate) struct StreamLog {
    name: &'static str,
    method: Method,
    metrics: Metrics,
    span: Span,
    begin: Instant,
    /// The span tells whom the stream is about.
    is_noted: bool,
    answers: u64,
    /// How it ended; none if its client left.
    outcome: Option<String>,
}

impl StreamLog {
    /// Of a stream that begins with the call that is handled.
    pub(crate) fn of(name: &'static str, method: Method, metrics: &Metrics) -> Self {
        let (span, begin, metrics) = (Span::current(), Instant::now(), metrics.clone());
        Self { name, method, metrics, span, begin, is_noted: false, answers: 0, outcome: None }
    }

    /// The span of the call.
    pub(crate) fn span(&self) -> Span {
        self.span.clone()
    }

    /// The first thing that it is about names its tenant.
    pub(crate) fn is_about(&mut self, tenant: &TenantId) {
        if !std::mem::replace(&mut self.is_noted, true) {
            self.span.record("tenant", tenant.as_str());
        }
    }

    /// Something was sent.
    pub(crate) fn answered(&mut self) {
        self.answers += 1;
    }

    /// It ends with that status, or well.
    pub(crate) fn ended(&mut self, status: Option<&Status>) {
        if let Some(request_id) = status.and_then(request_id) {
            let name = self.name;
            tracing::error!(parent: &self.span, request_id, "{name} failed, request {request_id}");
        }
        if let Some(status) = status {
            self.metrics.refused_with(self.method, status);
        }
        self.outcome = Some(status.map_or_else(|| "OK".to_owned(), outcome));
    }
}

impl Drop for StreamLog {
    fn drop(&mut self) {
        let Self { name, span, answers, .. } = self;
        let outcome = self.outcome.as_deref().unwrap_or("abandoned by its caller");
        span.record("outcome", outcome);
        span.record("duration_ms", self.begin.elapsed().as_secs_f64() * 1000.0);
        tracing::debug!(parent: &*span, answers, "{name} ended after {answers} answers: {outcome}");
    }
}

/// A status in the words of the log: its code, and its reason if it has one.
pub(crate) fn outcome(status: &Status) -> String {
    let code = code_name(status.code());
    match status.get_details_error_info() {
        Some(info) => format!("{code}/{}", info.reason),
        None => code.to_owned(),
    }
}

/// The name of a code as the gRPC protocol spells it.
pub(crate) const fn code_name(code: Code) -> &'static str {
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
