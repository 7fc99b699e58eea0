//! Tenants take turns in the queues of the lanes.

use super::support::Stage;
use claims::domain::{Heartbeat, TenantId};
use claims::store::{ClaimStore, StoreError, StoreSettings};
use claims::testing::{Gate, TestDatabase, claim_id, done, heartbeat, mint, queued};
use futures_util::future::join_all;

/// More than two batches of decisions.
const FLOOD: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_one_tenant_does_not_keep_another_from_the_next_batch() {
    let db = TestDatabase::in_service().await;
    let mut stage = Stage::on(&db);
    let store = stage.store.clone();
    stage.set().await;
    let mut flood = Vec::new();
    for number in 0..FLOOD {
        let asked = mint(&format!("/e{number}"), &format!("w{number}")).tenant("noisy");
        flood.push(queued(store.mint(asked.mint)).await);
    }
    let quiet = queued(store.mint(mint("/a", "w1").tenant("quiet").mint)).await;
    stage.play().await;
    let quiet = quiet.await.unwrap().claim.claimed_at;
    let flood: Vec<_> = join_all(flood).await.into_iter().map(|minted| minted.unwrap()).collect();
    let times: Vec<_> = flood.iter().map(|minted| minted.claim.claimed_at).collect();
    assert!(times.is_sorted(), "of one tenant, who came first is served first");
    assert_eq!(times.first(), Some(&quiet), "it is in the first batch");
    assert!(times.iter().filter(|time| **time > quiet).count() > FLOOD / 2);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_fills_the_queue_is_refused_and_another_is_not() {
    const BOUND: usize = 9;
    let db = TestDatabase::in_service().await;
    let gate = Gate::closed();
    let settings = StoreSettings { queue_bound: BOUND, ..TestDatabase::one_lane() };
    let store = db.gated_store(&gate, &settings);
    let busy = queued(store.done(done(&claim_id("busy", 1)))).await;
    gate.entered().await;
    let mut flood = Vec::new();
    for _ in 0..BOUND - 1 {
        flood.push(queued(store.done(done(&claim_id("none", 1)))).await);
    }
    let beyond = store.done(done(&claim_id("none", 1))).await;
    assert!(matches!(beyond, Err(StoreError::Overloaded)), "{beyond:?}");
    let quiet = queued(store.mint(mint("/a", "w1").tenant("quiet").mint)).await;
    gate.let_pass();
    quiet.await.unwrap();
    assert!(matches!(busy.await, Err(StoreError::Refused(_))));
    for refused in join_all(flood).await {
        assert!(matches!(refused, Err(StoreError::Refused(_))), "there is no such claim");
    }
    db.check_invariants().await;
}

/// As [`heartbeat`], of a claim of that tenant.
fn heartbeat_of(tenant: &str, consumer: &str) -> Heartbeat {
    let mut id = claim_id(consumer, 1);
    id.tenant = TenantId::parse(tenant).expect("a tenant");
    heartbeat(&id)
}

/// Renewals of all claims, which must succeed.
async fn all_renewed(store: &ClaimStore, of: &[(&str, String)]) {
    let beats = of.iter().map(|(tenant, name)| store.heartbeat(heartbeat_of(tenant, name)));
    for renewed in join_all(beats).await {
        renewed.expect("a renewed lease");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_of_many_tenants_are_each_answered_for_their_own_claims() {
    let db = TestDatabase::in_service().await;
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let tenants = ["t0", "t1", "t2", "t3", "t4"];
    let claims: Vec<(&str, String)> =
        (0..400).map(|number| (tenants[number % 5], format!("w{}", number / 5))).collect();
    let mints = claims.iter().map(|(tenant, name)| {
        store.mint(mint(&format!("/{name}"), name).tenant(tenant).epoch("sub", 1).mint)
    });
    assert!(join_all(mints).await.iter().all(Result::is_ok));
    all_renewed(&store, &claims).await;
    all_renewed(&store, &claims).await;
    let heard = "SELECT count(*) FROM claim_leases WHERE last_heartbeat_at IS NOT NULL";
    assert_eq!(db.number(heard).await, 400);
    db.check_invariants().await;
}
