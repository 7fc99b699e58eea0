//! Spans as collectors know them. In the log the span of a call has one name for all methods; outside, a
//! span has the name of its method, is one of a server, and says whether it is the server that failed.

use opentelemetry::Value;
use opentelemetry::trace::{SpanKind, Status};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Outcomes of calls that are nobody's fault but ours, by their codes: what OpenTelemetry has servers
/// call an error.
const FAILURES: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];

/// Sends spans as they are known outside, and says once when that begins to fail, and once when it does
/// not any more.
#[derive(Debug)]
pub(super) struct Outward<E> {
    exporter: E,
    is_failing: AtomicBool,
}

impl<E> Outward<E> {
    pub(super) fn new(exporter: E) -> Self {
        Self { exporter, is_failing: AtomicBool::new(false) }
    }
}

impl<E: SpanExporter> SpanExporter for Outward<E> {
    async fn export(&self, mut spans: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut spans {
            tell(span);
        }
        let sent = self.exporter.export(spans).await;
        match &sent {
            Ok(()) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("spans are sent again");
                }
            }
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "spans cannot be sent and are dropped until they can");
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn tell(span: &mut SpanData) {
    let Some(method) = attribute(span, "method").cloned() else { return };
    span.span_kind = SpanKind::Server;
    let failure = attribute(span, "outcome")
        .map(Value::as_str)
        .filter(|outcome| FAILURES.contains(&outcome.split('/').next().unwrap_or_default()));
    if let Some(failure) = failure {
        span.status = Status::error(failure.into_owned());
    }
    span.name = method.as_str().into_owned().into();
}

fn attribute<'s>(span: &'s SpanData, name: &str) -> Option<&'s Value> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| &attribute.value)
}
