//! Health over HTTP, for orchestrators.

use crate::health::Readiness;
use axum::Router;
use claims::program::probes::{Ready, health};
use tokio::sync::watch;

/// The routes; `/readyz` tells what `readiness` last said.
pub(crate) fn routes(readiness: watch::Receiver<Readiness>) -> Router {
    health(move || {
        let found = *readiness.borrow();
        match found {
            Readiness::Ready => Ready::Yes(found.as_str()),
            Readiness::Starting
            | Readiness::DatabaseUnavailable
            | Readiness::SchemaBehind
            | Readiness::Draining => Ready::No(found.as_str()),
        }
    })
}
