//! Lanes on their way to a connection: nobody waits for them, and they hold nothing meanwhile.

use super::support::{DECIDE, minted, secs};
use claims::domain::EntitySignal;
use claims::store::{ClaimStore, Database, ROUND_TRIP_TIMEOUT, ReapError, Reaper};
use claims::testing::{
    PATIENCE, Proxy, Road, TestDatabase, eventually, mint, queued, signal, unanswered,
};
use std::time::Instant;

/// Stops every statement that inserts claims, also one that inserts none, as a lane prepares it.
struct Stopped(tokio_postgres::Client);

impl Stopped {
    async fn on(db: &TestDatabase) -> Self {
        let holder = db.stranger().await;
        let stop = "
            CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS
                'BEGIN PERFORM pg_advisory_xact_lock_shared(4711); RETURN NULL; END';
            CREATE TRIGGER stop BEFORE INSERT ON consumer_claims EXECUTE FUNCTION stop();
            SELECT pg_advisory_lock(4711)";
        holder.batch_execute(stop).await.expect("a trigger and a lock");
        Self(holder)
    }

    async fn go_on(self) {
        self.0.batch_execute("SELECT pg_advisory_unlock(4711)").await.expect("a lock to give back");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_that_waits_for_its_connection_keeps_no_call_from_a_lane_that_has_one() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    minted(&store, mint("/a", "w1")).await;
    let stopped = Stopped::on(&db).await;
    // The other lane begins to connect when there are calls to take.
    let served_meanwhile = async {
        let mut count = 0;
        while count < 20 {
            count += usize::from(db.is_blocked(DECIDE).await);
            store.signal(signal("/a", EntitySignal::Cont)).await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, served_meanwhile).await.unwrap();
    stopped.go_on().await;
    minted(&store, mint("/b", "w1")).await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_is_in_no_transaction_while_the_database_waits_for_it_to_prepare_the_next_statement()
{
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let store =
        ClaimStore::start(&Database::parse(proxy.url()).unwrap(), &TestDatabase::one_lane());
    let stopped = Stopped::on(&db).await;
    let mut minting = queued(store.mint(mint("/a", "w1").mint)).await;
    unanswered(&mut minting, db.until_blocked(DECIDE)).await;
    // The lane hears nothing for a while, like one that gets no processor.
    proxy.set(Road::BlackHole);
    stopped.go_on().await;
    let mut state = String::new();
    eventually("the database waits for the lane", async || {
        let query = "SELECT state FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = $1";
        state = db.sql.query_one(query, &[&DECIDE]).await.unwrap().get(0);
        state != "active"
    })
    .await;
    // In a transaction it would be ended after a second.
    assert_eq!(state, "idle");
    proxy.set(Road::Open);
    minting.await.unwrap();
    db.check_invariants().await;
}

/// Four statements that are prepared with a connection take a second each, well within the 2 s that
/// they may.
const SLOW: &str = "
    CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN PERFORM pg_sleep(1); RETURN NULL; END';
    CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON consumer_claims EXECUTE FUNCTION slow();
    CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON entity_dispatch_state EXECUTE FUNCTION slow()";

#[tokio::test(flavor = "multi_thread")]
async fn a_lane_may_take_longer_to_prepare_its_statements_than_the_database_may_to_answer_one() {
    let db = TestDatabase::in_service().await;
    db.sql.batch_execute(SLOW).await.unwrap();
    let database = Database::parse(db.url()).unwrap();
    let store = ClaimStore::start(&database, &TestDatabase::one_lane());
    let began = Instant::now();
    minted(&store, mint("/a", "w1")).await;
    assert!(began.elapsed() > ROUND_TRIP_TIMEOUT, "this was not slow enough to tell");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scan_has_no_more_time_because_its_connection_has_to_be_made() {
    let db = TestDatabase::in_service().await;
    db.sql.batch_execute(SLOW).await.unwrap();
    let mut reaper = Reaper::new(db.database(), "reaper");
    let second = secs(1);
    let late = reaper.scan_within(second, second, second).await;
    assert!(matches!(late, Err(ReapError::Unreachable(_))), "{late:?}");
    reaper.scan(second).await.unwrap();
}
