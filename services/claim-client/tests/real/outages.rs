//! The service goes away for longer than a lease.

use crate::support::programs::{Reaper, Server};
use crate::support::{TTL, claim, client, heard, in_time, may_write, mint};
use claim_client::{ClaimGuard, Done, HoldState};
use claims::testing::{Proxy, Road, TestDatabase};
use futures_util::future::join_all;
use std::time::{Duration, Instant};

#[tokio::test]
async fn an_outage_longer_than_a_lease_suspends_the_work_and_costs_nobody_the_claim() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let server = Server::start(proxy.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    heard(&client, &guard).await;
    proxy.set(Road::BlackHole);
    in_time("writing is suspended", guard.suspended()).await;
    tokio::time::sleep(TTL * 2).await;
    assert_eq!(guard.state(), HoldState::Suspended);
    assert!(!guard.cancellation().is_cancelled(), "nobody has said that it is lost");

    proxy.set(Road::Open);
    let waited = tokio::time::timeout(Duration::from_secs(15), guard.may_write()).await;
    waited.expect("it comes back by itself").unwrap();
    let token = guard.write_token().reveal();
    client.authorize_write("", &guard.claim().stream_path, token).await.unwrap();
    assert!(guard.done(Done::completed()).await.unwrap().entity_cleared);
    db.check_invariants().await;
}

/// Claims that are held while the service is away.
const HOLDERS: usize = 200;
/// How long it is away: twice the lease.
const AWAY: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "more than a minute; scripts/test-fleet runs it"]
async fn a_minute_without_any_server_costs_no_run() {
    let db = TestDatabase::in_service().await;
    let mut server = Server::start(db.url()).await;
    let address = server.address.to_string();
    let held = Held::mint(&db, &[server.url()]).await;
    server.kill().await;
    held.are_suspended_and_not_lost().await;
    let _server = Server::start_at(db.url(), &address).await;
    held.are_all_done(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "more than a minute; scripts/test-fleet runs it"]
async fn a_minute_in_which_servers_cannot_reach_their_database_costs_no_run() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let server = Server::start(proxy.url()).await;
    // The reaper reaches it all the while.
    let held = Held::mint(&db, &[server.url()]).await;
    proxy.set(Road::BlackHole);
    held.are_suspended_and_not_lost().await;
    proxy.set(Road::Open);
    held.are_all_done(&db).await;
}

/// Claims of one process, each with its guard, and a reaper that would end them if it might.
struct Held {
    guards: Vec<ClaimGuard>,
    reaper: Reaper,
}

impl Held {
    async fn mint(db: &TestDatabase, addresses: &[String]) -> Self {
        let reaper = Reaper::start(db.url());
        let client = client(addresses);
        let mints = (0..HOLDERS).map(|n| client.mint(claim(&format!("w_{n}")).lease_ttl(AWAY / 2)));
        let guards = join_all(mints).await.into_iter().map(|guard| guard.expect("a claim"));
        let held = Self { guards: guards.collect(), reaper };
        // A third of a lease later all of them have been heard.
        for guard in &held.guards {
            heard(&client, guard).await;
        }
        held
    }

    async fn are_suspended_and_not_lost(&self) {
        let end = Instant::now() + AWAY;
        join_all(self.guards.iter().map(|guard| guard.suspended())).await;
        assert!(Instant::now() < end, "writing is suspended within a lease");
        while Instant::now() < end {
            for guard in &self.guards {
                assert_eq!(guard.state(), HoldState::Suspended);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn are_all_done(self, db: &TestDatabase) {
        let back = Instant::now();
        for guard in &self.guards {
            in_time("writing goes on", guard.may_write()).await.expect("it is still held");
        }
        println!("all {HOLDERS} may write again {:?} after the end of the outage", back.elapsed());
        // For as long as a reaper would need that has been waiting for them.
        let end = Instant::now() + AWAY / 2;
        while Instant::now() < end {
            assert!(self.guards.iter().all(may_write), "none is lost later on");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let dones = self.guards.into_iter().map(|guard| guard.done(Done::completed()));
        for done in join_all(dones).await {
            assert!(done.expect("the service is there").entity_cleared);
        }
        assert_eq!(db.number("SELECT count(*) FROM claim_events WHERE type = 'expired'").await, 0);
        drop(self.reaper);
        db.check_invariants().await;
    }
}
