//! A heartbeat writes its row anew beside the old one and touches no index.

use claims::cluster::{Cluster, PostgresPrograms};
use claims::store::ClaimStore;
use claims::testing::{TestDatabase, eventually, heartbeat, mint};
use futures_util::future::join_all;

/// Claims, and heartbeats of each.
const CLAIMS: i64 = 40;
const HEARTBEATS: i64 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_are_heap_only_updates() {
    // A cluster of its own: as long as a transaction writes, be it in another database, the old
    // versions of rows cannot be cleared away.
    let cluster = tokio::task::spawn_blocking(|| {
        Cluster::ephemeral(PostgresPrograms::locate().expect("Postgres programs"))
    });
    let cluster = cluster.await.unwrap().unwrap();
    let db = TestDatabase::in_cluster(&cluster).await;
    // One lane, so that the share is that of the table's layout: two lanes that renew neighbours at
    // the same moment keep each other from clearing the page they share.
    let store = ClaimStore::start(&db.database(), &TestDatabase::one_lane());
    let ids = join_all((0..CLAIMS).map(async |number| {
        let asked = mint(&format!("/e{number}"), &format!("w{number}"));
        store.mint(asked.mint).await.expect("a mint").claim.id
    }))
    .await;
    for _ in 0..HEARTBEATS {
        let beats = ids.iter().map(|id| store.heartbeat(heartbeat(id)));
        for renewed in join_all(beats).await {
            renewed.unwrap();
        }
    }
    db.check_invariants().await;
    // A session that ends hands in what it has counted.
    drop(store);
    let total = CLAIMS * HEARTBEATS;
    let updates = "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'claim_leases'";
    eventually("every update is counted", async || db.number(updates).await >= total).await;
    let heap_only = "SELECT n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'claim_leases'";
    let heap_only = db.number(heap_only).await;
    assert!(heap_only * 100 >= total * 99, "{heap_only} of {total} updates are heap-only");
}
