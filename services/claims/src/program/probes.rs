//! What a program tells over HTTP about itself: `/livez` says that the process runs, `/readyz`
//! whether it can do its work, `/metrics` how that goes. All answer from memory, so that looking
//! costs nobody anything.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// The content type of OpenMetrics as text.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether a program can do its work, in a word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// It can.
    Yes(&'static str),
    /// It cannot, and why.
    No(&'static str),
}

/// `/livez` and `/readyz`; the latter tells what `ready` says at that moment.
pub fn health(ready: impl Fn() -> Ready + Clone + Send + Sync + 'static) -> Router {
    let readyz = async move || match ready() {
        Ready::Yes(word) => (StatusCode::OK, word),
        Ready::No(why) => (StatusCode::SERVICE_UNAVAILABLE, why),
    };
    Router::new().route("/livez", get(async || "alive")).route("/readyz", get(readyz))
}

/// `/metrics` of a registry.
pub fn metrics(registry: Arc<Registry>) -> Router {
    let metrics = async move || {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &registry);
        ([(header::CONTENT_TYPE, OPEN_METRICS)], text)
    };
    Router::new().route("/metrics", get(metrics))
}
