//! Health and metrics over HTTP, for orchestrators and whoever looks on.

use crate::health::Readiness;
use axum::Router;
use claims::program::probes::{Ready, health, metrics};
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::sync::watch;

/// The routes; `/readyz` tells what `readiness` last said, `/metrics` what is in
/// `registry`.
pub(crate) fn routes(readiness: watch::Receiver<Readiness>, registry: Registry) -> Router {
    let health = health(move || {
        let found = *readiness.borrow();
        match found {
            Readiness::Ready => Ready::Yes(found.as_str()),
            Readiness::Starting
            | Readiness::DatabaseUnavailable
            | Readiness::SchemaBehind
            | Readiness::Draining => Ready::No(found.as_str()),
        }
    });
    health.merge(metrics(Arc::new(registry)))
}
