//! Traces: the spans of calls, and of what the store did for them, sent to a collector by OTLP over
//! gRPC if `OTEL_EXPORTER_OTLP_ENDPOINT` says where one is. Otherwise there is nothing of this: no
//! layer, no thread, and a look at one number where a span would begin.
//!
//! Spans are handed over to a thread of the SDK, which sends them in batches. What it cannot hold, because
//! the collector is away or slow, is dropped: no call waits for a collector, and the end of the program
//! no longer than [`END_TIMEOUT`].
//!
//! What is sent: the span of a call with what the log tells of it (`calls/span.rs`), and the spans of the
//! store (`claims::store`), which have names and numbers of ours. No event of the log, since the
//! words of libraries are among these, and no parameter of a statement.

mod outward;

use crate::calls::span::CALLS;
use claims::program::WrongSetting;
use claims::store::{TRACES, collect_spans};
use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{TraceContextExt, TracerProvider};
use opentelemetry_otlp::tonic_types::transport::ClientTlsConfig;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithTonicConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use outward::Outward;
use std::env;
use std::sync::OnceLock;
use std::time::Duration;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::Layer;
use tracing_subscriber::registry::LookupSpan;

/// How long the end of the program may take for the last spans to be sent: as long as any answer that is
/// on its way to the network, and short beside the shutdown grace of orchestrators.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// Who sends the spans, unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say so.
const SERVICE: &str = "claim-server";

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
/// By which protocol: only one is spoken here.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"];
const PROTOCOL: &str = "grpc";

/// How a caller's trace is read from its headers; there only if traces are collected.
static CONTINUED: OnceLock<TraceContextPropagator> = OnceLock::new();

/// The way of spans to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// As the environment says; none if it names no collector. Needs a runtime, on which spans are sent.
    pub fn from_environment() -> Result<Option<Self>, WrongSetting> {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let Some((name, endpoint)) =
            [TRACES_ENDPOINT, ENDPOINT].into_iter().find_map(|name| Some((name, set(name)?)))
        else {
            return Ok(None);
        };
        if set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        for protocol in PROTOCOLS {
            if set(protocol).is_some_and(|value| value != PROTOCOL) {
                return Err(WrongSetting::new(protocol, format!("must be {PROTOCOL}")));
            }
        }
        // Not what is wrong with it: that would print it, and with it a password in it.
        let exporter = exporter(&endpoint).map_err(|_| {
            WrongSetting::new(name, "must be like http://collector:4317".to_owned())
        })?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(Outward::new(exporter))
            .with_resource(resource(set("OTEL_SERVICE_NAME").is_some()))
            .build();
        CONTINUED.get_or_init(TraceContextPropagator::new);
        collect_spans(is_sampled);
        Ok(Some(Self { provider }))
    }

    /// What gathers the spans.
    #[must_use]
    pub fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(SERVICE))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_filter(filter_fn(is_sent).with_max_level_hint(LevelFilter::DEBUG))
    }

    /// Sends what has been gathered, in bounded time; what is left then is lost.
    pub fn end(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(END_TIMEOUT) {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }
}

fn exporter(endpoint: &str) -> Result<SpanExporter, ExporterBuildError> {
    let exporter = SpanExporter::builder().with_tonic();
    if endpoint.starts_with("https:") {
        let trusted = ClientTlsConfig::new().with_enabled_roots();
        return exporter.with_tls_config(trusted).build();
    }
    exporter.build()
}

fn resource(is_named: bool) -> Resource {
    let resource = Resource::builder();
    if is_named { resource.build() } else { resource.with_service_name(SERVICE).build() }
}

/// Of our own spans alone, and nothing that is logged in them.
fn is_sent(about: &Metadata<'_>) -> bool {
    about.is_span() && matches!(about.target(), CALLS | TRACES)
}

/// Whether the current span goes to the collector.
fn is_sampled() -> bool {
    Context::map_current(|context| context.span().span_context().is_sampled())
}

/// The trace that a call continues, by the W3C's `traceparent`; none if it names none, or if traces are
/// not collected.
pub(crate) fn continued(headers: &HeaderMap) -> Option<Context> {
    let propagator = CONTINUED.get()?;
    headers.get("traceparent")?;
    let context = propagator.extract_with_context(&Context::new(), &Headers(headers));
    context.span().span_context().is_valid().then_some(context)
}

/// Headers as OpenTelemetry reads them.
struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
