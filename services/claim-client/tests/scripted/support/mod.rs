//! A server that plays a script, and a line to it that can be made a black hole.

#[path = "../../shared/line.rs"]
#[expect(dead_code, reason = "the plays against the real server need more ways")]
pub(crate) mod line;
pub(crate) mod script;
pub(crate) mod service;
pub(crate) mod stage;

use claim_client::{ClaimGuard, Client, MintRequest};
use claim_proto::ERROR_DOMAIN;
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Longest wait for what has to happen.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// A short lease, so that tests are short; a tenth of it is the margin.
pub(crate) const TTL: Duration = Duration::from_secs(2);

/// A client of servers at these addresses.
pub(crate) fn client(addresses: &[String]) -> Client {
    Client::builder(addresses).build().expect("good settings")
}

/// A claim of an entity of its own.
pub(crate) fn claim(consumer: &str) -> MintRequest {
    MintRequest::new(format!("/chat/{consumer}"), consumer).lease_ttl(TTL)
}

/// A granted claim.
pub(crate) async fn mint(client: &Client, consumer: &str) -> ClaimGuard {
    client.mint(claim(consumer)).await.expect("a claim")
}

/// A status as the service sends it.
pub(crate) fn status(code: Code, reason: &str) -> Status {
    status_with(code, reason, ErrorDetails::new())
}

/// As [`status`], with when to come back.
pub(crate) fn status_retry(code: Code, reason: &str, after: Duration) -> Status {
    status_with(code, reason, ErrorDetails::with_retry_info(Some(after)))
}

fn status_with(code: Code, reason: &str, mut details: ErrorDetails) -> Status {
    details.set_error_info(reason, ERROR_DOMAIN, HashMap::<String, String>::new());
    Status::with_error_details(code, "for people", details)
}

/// Waits for what has to happen; fails if it takes too long.
pub(crate) async fn in_time<T>(what: &str, event: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, event).await;
    waited.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Waits until `holds` says so.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    in_time(what, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}
