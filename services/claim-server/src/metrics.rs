//! What the server counts of its calls; what becomes of claims is counted by the store.
//!
//! Labels are a method that is served, a code, and a reason, each of a fixed list: whatever strangers
//! send, there are no more series than these can make. Nothing is counted by tenant or by consumer.
//!
//! A stream is no long call: it is observed once, with the time until it began or was refused, like
//! the call that it is until then. How it ends is a refusal if it has a reason, and no duration.

use crate::calls::method::Method;
use crate::calls::span::code_name;
use crate::reason::Reason;
use claims::store::StoreMetrics;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::fmt::{self, Write};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Upper bounds in seconds of the histogram of calls: a heartbeat on an idle service takes one or two
/// milliseconds, a call without a deadline of its own is given up after ten seconds, and none has more
/// than sixty.
const CALL_SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0];
/// The reason of a refusal that none of ours is the reason of: no such method, say.
const OTHER: &str = "OTHER";

/// What is counted. Cheap to clone; clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    durations: Family<Answered, Histogram, fn() -> Histogram>,
    refusals: Family<Refused, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    method: Method,
    code: AnsweredCode,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Refused {
    method: Method,
    reason: RefusedReason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct AnsweredCode(Code);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct RefusedReason(Option<Reason>);

impl EncodeLabelValue for Method {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.name())
    }
}

impl EncodeLabelValue for AnsweredCode {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(code_name(self.0))
    }
}

impl EncodeLabelValue for RefusedReason {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        encoder.write_str(self.0.map_or(OTHER, Reason::as_str))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let constructor: fn() -> Histogram = || Histogram::new(CALL_SECONDS);
        let durations = Family::new_with_constructor(constructor);
        Self { durations, refusals: Family::default() }
    }
}

impl Metrics {
    /// Everything that the server publishes.
    pub(crate) fn registry(&self, store: &StoreMetrics) -> Registry {
        let mut registry = Registry::with_prefix("claim");
        registry.register(
            "rpc_duration_seconds",
            "Time from the arrival of a call to its answer; of a stream, to its beginning",
            self.durations.clone(),
        );
        registry.register(
            "refusals",
            "Calls, streams and heartbeats among many that were answered with a reason instead",
            self.refusals.clone(),
        );
        store.register(&mut registry);
        registry
    }

    /// A call was answered.
    pub(crate) fn answered(&self, method: Method, code: Code, took: Duration) {
        let labels = Answered { method, code: AnsweredCode(code) };
        self.durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// A call, a stream, or one heartbeat among many was refused, or failed.
    pub(crate) fn refused(&self, method: Method, reason: Option<Reason>) {
        self.refusals.get_or_create(&Refused { method, reason: RefusedReason(reason) }).inc();
    }

    /// The same with its status.
    pub(crate) fn refused_with(&self, method: Method, status: &Status) {
        let info = status.get_details_error_info();
        self.refused(method, info.and_then(|info| Reason::named(&info.reason)));
    }
}
