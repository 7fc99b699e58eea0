//! The arena in which two servers meet.

use claims::domain::{ClaimId, EntityKey, Minted, Refusal};
use claims::store::{ClaimStore, StoreError, StoreSettings};
use claims::testing::{MintBuilder, PATIENCE, StayInService, TestDatabase, claim_id, done, mint};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;

/// Rounds of each race.
pub(crate) const ROUNDS: usize = 30;
/// The reap grace of these tests.
pub(crate) const REAP_GRACE: Duration = Duration::from_secs(5);
/// How long ago the lease lapsed of a claim that is to be reaped.
pub(crate) const DUE: Duration = Duration::from_secs(60);

/// One database and two servers.
pub(crate) struct Arena {
    pub(crate) db: TestDatabase,
    pub(crate) one: ClaimStore,
    pub(crate) other: ClaimStore,
    _fresh: StayInService,
}

impl Arena {
    pub(crate) async fn new() -> Self {
        let db = TestDatabase::in_service().await;
        let server = |name: &str| {
            let settings = StoreSettings { program: name.to_owned(), ..Default::default() };
            ClaimStore::start(&db.database(), &settings)
        };
        let (one, other) = (server("one"), server("other"));
        let fresh = db.stay_in_service();
        // Both are connected before the first round.
        for store in [&one, &other] {
            let nobody = done(&claim_id("nobody", 1));
            let (first, second) = tokio::join!(store.done(nobody.clone()), store.done(nobody));
            assert_eq!(refusal(first), Refusal::ClaimNotFound);
            assert_eq!(refusal(second), Refusal::ClaimNotFound);
        }
        Self { db, one, other, _fresh: fresh }
    }

    /// A claim of epoch 1 on `url`, minted by the first server.
    pub(crate) async fn claim(&self, url: &str) -> ClaimId {
        self.minted(mint(url, &format!("holder of {url}")).epoch("sub", 1)).await.claim.id
    }

    pub(crate) async fn minted(&self, asked: MintBuilder) -> Minted {
        self.one.mint(asked.mint).await.expect("a mint")
    }

    /// The state of a claim as it is stored.
    pub(crate) async fn claim_state(&self, id: &ClaimId) -> String {
        self.db.claim_column(id, "state").await.expect("a claim")
    }

    /// The state of an entity as it is stored, and the consumer of its current claim.
    pub(crate) async fn entity(&self, key: &EntityKey) -> (String, Option<String>) {
        let state = self.db.entity_column(key, "state").await.expect("an entity");
        (state, self.db.entity_column(key, "current_consumer_id").await)
    }

    /// How often an event is recorded for a claim.
    pub(crate) async fn events(&self, id: &ClaimId, event: &str) -> i64 {
        let query = "SELECT count(*) FROM claim_events
             WHERE tenant_id = $1 AND consumer_id = $2 AND epoch = $3 AND type = $4";
        let (tenant, consumer, epoch) = (id.tenant.as_str(), id.consumer.as_str(), id.epoch.get());
        let row = self.db.sql.query_one(query, &[&tenant, &consumer, &epoch, &event]).await;
        row.expect("a query").get(0)
    }

    /// Ends a test: no pipeline was ever sent out of order.
    pub(crate) fn close(&self) {
        self.db.check_transactions();
    }
}

/// Runs two calls from the same moment on.
pub(crate) async fn race<A: Send + 'static, B: Send + 'static>(
    one: impl Future<Output = A> + Send + 'static,
    other: impl Future<Output = B> + Send + 'static,
) -> (A, B) {
    let barrier = Arc::new(Barrier::new(2));
    let start = Arc::clone(&barrier);
    let one = tokio::spawn(async move {
        start.wait().await;
        one.await
    });
    let other = tokio::spawn(async move {
        barrier.wait().await;
        other.await
    });
    let both = async { tokio::join!(one, other) };
    let (one, other) = tokio::time::timeout(PATIENCE, both).await.expect("two answers");
    (one.expect("an answer"), other.expect("an answer"))
}

/// The refusal of a call that was refused.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Refusal {
    match answer.expect_err("a refusal") {
        StoreError::Refused(refusal) => refusal,
        failure => panic!("a failure instead of a refusal: {failure}"),
    }
}
