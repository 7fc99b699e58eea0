//! Many claims of one process.

use crate::support::programs::Server;
use crate::support::{claim, client, may_write};
use claim_client::Done;
use claims::testing::TestDatabase;
use futures_util::future::join_all;
use std::time::{Duration, Instant};

const CLAIMS: usize = 500;

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_claims_are_kept_over_one_connection_and_none_lapses() {
    let db = TestDatabase::in_service().await;
    let server = Server::start(db.url()).await;
    let client = client(&[server.url()]);
    let ttl = Duration::from_secs(6);
    let mints = (0..CLAIMS).map(|n| client.mint(claim(&format!("w_{n}")).lease_ttl(ttl)));
    let guards: Vec<_> = join_all(mints).await.into_iter().map(|guard| guard.unwrap()).collect();
    let begin = Instant::now();
    let lapsed = "SELECT count(*) FROM claim_leases WHERE lease_expires_at <= clock_timestamp()";
    while begin.elapsed() < ttl * 2 {
        assert_eq!(db.number(lapsed).await, 0);
        let suspended = guards.iter().filter(|guard| !may_write(guard)).count();
        assert_eq!(suspended, 0);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let never_heard = "SELECT count(*) FROM claim_leases WHERE last_heartbeat_at IS NULL";
    assert_eq!(db.number(never_heard).await, 0);
    for ended in join_all(guards.into_iter().map(|guard| guard.done(Done::completed()))).await {
        assert!(ended.unwrap().entity_cleared);
    }
    db.check_invariants().await;
}
