//! Real programs on a real Postgres.

#[path = "../../shared/line.rs"]
pub(crate) mod line;
pub(crate) mod operator;
pub(crate) mod programs;

use claim_client::{ClaimGuard, ClaimId, Client, HoldState, MintRequest, Refusal};
use std::time::Duration;
use tokio::time::{sleep, timeout};

pub(crate) use claims::testing::PATIENCE;

/// A short lease, so that tests are short; a tenth of it is the margin.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// A client of servers at these addresses.
pub(crate) fn client(addresses: &[String]) -> Client {
    Client::builder(addresses).build().expect("good settings")
}

/// A claim of `/chat/<consumer>`.
pub(crate) fn claim(consumer: &str) -> MintRequest {
    MintRequest::new(entity(consumer), consumer).lease_ttl(TTL)
}

/// The entity that a consumer claims in these tests.
pub(crate) fn entity(consumer: &str) -> String {
    format!("/chat/{consumer}")
}

/// A granted claim.
pub(crate) async fn mint(client: &Client, consumer: &str) -> ClaimGuard {
    client.mint(claim(consumer)).await.expect("a claim")
}

/// The identity of a consumer's claim.
pub(crate) fn id(consumer: &str, epoch: i64) -> ClaimId {
    ClaimId { tenant_id: String::new(), consumer_id: consumer.to_owned(), epoch }
}

/// Waits for what has to happen; fails if it takes too long.
pub(crate) async fn in_time<T>(what: &str, event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Waits until the service has a heartbeat of the claim.
pub(crate) async fn heard(client: &Client, guard: &ClaimGuard) {
    in_time("a heartbeat", async {
        while client.get_claim(guard.id()).await.expect("a claim").last_heartbeat_time.is_none() {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// Whether writing is allowed now.
pub(crate) fn may_write(guard: &ClaimGuard) -> bool {
    matches!(guard.state(), HoldState::Writing { .. })
}

/// Waits until the service does not know a client any more.
pub(crate) async fn eventually_refused(client: &Client, claim: &ClaimId) {
    in_time("a client that is not known", async {
        while !client.get_claim(claim).await.is_err_and(|error| {
            error.refusal().is_some_and(|refusal| *refusal == Refusal::Unauthenticated)
        }) {
            sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}
