//! Spans of a call's way through the store, for whoever collects traces.
//!
//! A call that waits for a lane has a span of its own, in that of its caller ([`waiting`]). The batch
//! that serves it has one too ([`batch`]), in that of the first of its calls, and each call has a link
//! to it: a batch is one transaction and serves calls of many traces. Statements are spans in that of
//! their batch ([`statement`]), named by their file.
//!
//! There are such spans only within one that is sampled, as the program says that collects them
//! ([`collect_spans`]). Where none does, all of this is a look at one word: no allocation, no lock. They
//! have a target of their own, which no log listens to.

use super::lane::Call;
use super::metrics::signed;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::sync::OnceLock;
use tracing::instrument::Instrumented;
use tracing::{Instrument, Span, debug_span};

/// The target of spans that are for collectors of traces alone.
pub const TRACES: &str = "claims::trace";

/// Whether the current span is sampled. The layers of `tracing` cannot tell: a span that one of them
/// refuses at that moment is there all the same, as long as it does not refuse all of its kind.
static IS_SAMPLED: OnceLock<fn() -> bool> = OnceLock::new();

/// Has spans made from now on, within those of which `is_sampled` says so when it is called in them. Only the
/// first such word counts.
pub fn collect_spans(is_sampled: fn() -> bool) {
    IS_SAMPLED.get_or_init(|| is_sampled);
}

fn is_sampled() -> bool {
    IS_SAMPLED.get().is_some_and(|is_sampled| is_sampled())
}

/// The span of a call from joining the queue of such lanes to its answer.
pub(crate) fn waiting(kind: &'static str) -> Span {
    if !is_sampled() {
        return Span::none();
    }
    debug_span!(target: TRACES, "lane", kind, waited_ms = tracing::field::Empty)
}

/// The span of a read, which is served by itself on a pooled connection.
pub(crate) fn reading() -> Span {
    if !is_sampled() {
        return Span::none();
    }
    debug_span!(target: TRACES, "read")
}

/// The span of a batch that serves these calls; none if none of them has one.
pub(crate) fn batch<Ask, Answer>(kind: &'static str, calls: &[Call<Ask, Answer>]) -> Span {
    let traced = || calls.iter().map(Call::span).filter(|span| !span.is_disabled());
    let Some(first) = traced().next() else {
        return Span::none();
    };
    // Collectors know no number without a sign.
    let count = signed(calls.len());
    let batch = debug_span!(target: TRACES, parent: first, "batch", kind, calls = count);
    for call in traced() {
        call.follows_from(&batch);
    }
    batch
}

/// A statement, in a span that has the name of its file.
pub(crate) fn statement<F: Future>(file: &'static str, trip: F) -> Instrumented<F> {
    trip.instrument(statement_span(file))
}

/// The same for one that is in a box already, and stays in it where nobody looks.
pub(crate) fn boxed_statement<'f, T: 'f>(
    file: &'static str,
    trip: BoxFuture<'f, T>,
) -> BoxFuture<'f, T> {
    let span = statement_span(file);
    if span.is_disabled() { trip } else { trip.instrument(span).boxed() }
}

fn statement_span(file: &'static str) -> Span {
    if !is_sampled() {
        return Span::none();
    }
    debug_span!(
        target: TRACES,
        "statement",
        otel.name = file,
        otel.kind = "client",
        db.system.name = "postgresql",
    )
}
