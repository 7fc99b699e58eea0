//! Health over HTTP, for orchestrators: `/livez` says that the process runs, `/readyz` whether it
//! can serve. Both answer from memory.

use crate::health::Readiness;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::sync::watch;

/// The routes; `/readyz` tells what `readiness` last said.
pub(crate) fn routes(readiness: watch::Receiver<Readiness>) -> Router {
    Router::new().route("/livez", get(livez)).route("/readyz", get(readyz)).with_state(readiness)
}

async fn livez() -> &'static str {
    "alive"
}

async fn readyz(State(readiness): State<watch::Receiver<Readiness>>) -> (StatusCode, &'static str) {
    let found = *readiness.borrow();
    let status = match found {
        Readiness::Ready => StatusCode::OK,
        Readiness::Starting | Readiness::DatabaseUnavailable | Readiness::Draining => {
            StatusCode::SERVICE_UNAVAILABLE
        }
    };
    (status, found.as_str())
}
