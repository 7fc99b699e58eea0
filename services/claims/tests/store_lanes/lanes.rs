//! Sessions die: idle, waiting, or in the middle of a transaction. The lanes go on, and no answer is
//! wrong.

use super::support::{DECIDE, DECIDE_SOLO, HEARTBEAT_SOLO, claim_on, minted};
use claims::domain::{ClaimState, Ended, EntityState};
use claims::store::{ClaimStore, Reaped, Reaper, StoreError, StoreSettings};
use claims::testing::{
    Gate, PATIENCE, TestDatabase, claim_id, done, entity_key, eventually, heartbeat, mint, queued,
    tenant, unanswered,
};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::sync::watch;

/// Callers of the storm, and how many claims each of them takes and finishes.
const STORM_CALLERS: usize = 8;
const STORM_CLAIMS: usize = 15;
/// How often all sessions die in it.
const STORM_DEATHS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_died_while_idle_are_replaced_unnoticed() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let asked = mint("/a", "w1");
    let token = asked.token.digest();
    let claim = minted(&store, asked).await.claim;
    for _ in 0..3 {
        store.heartbeat(heartbeat(&claim.id)).await.unwrap();
        store.authorize(tenant(), claim.stream.clone(), token).await.unwrap();
        store.sign(Duration::from_secs(30)).await.unwrap();
        assert!(db.end_sessions("claims/").await > 0);
    }
    store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    db.end_sessions("claims/").await;
    store.authorize(tenant(), claim.stream, token).await.unwrap();
    db.end_sessions("claims/").await;
    store.sign(Duration::from_secs(30)).await.unwrap();
    db.end_sessions("claims/").await;
    assert!(!store.done(done(&claim.id)).await.unwrap().already_ended);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_recover_from_connections_that_died_while_idle() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/a").await;
    store.get_claim(id.clone()).await.unwrap();
    assert!(db.end_sessions("claims/read").await > 0);
    // Whether the pool has noticed yet is a matter of moments; it must not take two reads.
    let first = store.get_claim(id.clone()).await;
    assert!(matches!(first, Ok(_) | Err(StoreError::Unavailable)), "{first:?}");
    store.get_claim(id).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_dies_while_it_waits_for_a_lock_costs_no_call() {
    let db = TestDatabase::in_service().await;
    let settings = StoreSettings { solo_lanes: 1, ..TestDatabase::one_lane() };
    let store = ClaimStore::start(&db.database(), &settings);

    // Twice, because a lane's first connection has to prove that the database is there at all.
    for url in ["/a", "/b"] {
        let id = claim_on(&store, url).await;
        let held = db.hold_entity(&entity_key(url)).await;
        let mut ending = queued(store.done(done(&id))).await;
        unanswered(&mut ending, db.until_blocked(DECIDE_SOLO)).await;
        if url == "/b" {
            db.end_sessions(DECIDE_SOLO).await;
        }
        held.release().await;
        assert!(!ending.await.unwrap().already_ended);
    }

    let id = claim_on(&store, "/c").await;
    let held = db.hold_lease(&id).await;
    let mut renewing = queued(store.heartbeat(heartbeat(&id))).await;
    unanswered(&mut renewing, db.until_blocked(HEARTBEAT_SOLO)).await;
    db.end_sessions(HEARTBEAT_SOLO).await;
    held.release().await;
    renewing.await.unwrap();
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_dies_before_its_commit_leaves_nothing_behind() {
    let db = TestDatabase::in_service().await;
    let gate = Gate::open();
    let store = db.gated_store(&gate, &TestDatabase::one_lane());
    let id = claim_on(&store, "/a").await;
    gate.close();
    let ending = queued(store.done(done(&id))).await;
    gate.entered().await;
    db.end_sessions(DECIDE).await;
    assert_eq!(db.claim_column(&id, "state").await.as_deref(), Some("active"));
    gate.let_pass();
    let answered = tokio::time::timeout(PATIENCE, ending).await.unwrap();
    // Tried again or given up; never half done.
    match answered {
        Ok(ended) => assert!(!ended.already_ended),
        Err(error) => {
            assert!(matches!(error, StoreError::Unavailable), "{error}");
            assert_eq!(db.claim_column(&id, "state").await.as_deref(), Some("active"));
            db.check_invariants().await;
            assert!(!store.done(done(&id)).await.unwrap().already_ended);
        }
    }
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "released:done"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_whose_session_died_reaps_with_another() {
    let db = TestDatabase::in_service().await;
    let id = claim_on(&db.store(), "/a").await;
    db.lapse(&id, Duration::from_secs(60)).await;
    let mut reaper = Reaper::new(db.database(), "reaper");
    let grace = Duration::from_secs(5);
    reaper.scan(grace).await.unwrap();
    db.end_sessions("reaper").await;
    // A pass may fail; the next one must not.
    let _ = reaper.expire(std::slice::from_ref(&id), grace).await;
    let _ = reaper.expire(std::slice::from_ref(&id), grace).await;
    let reaped = reaper.expire(std::slice::from_ref(&id), grace).await.unwrap();
    assert_eq!(reaped, [Reaped::AlreadyEnded]);
    let events = db.events_of(&entity_key("/a")).await;
    assert_eq!(events, ["minted", "expired:lease_lapsed"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_is_wrong_while_sessions_die_under_load() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let _fresh = db.stay_in_service();
    let finished = watch::Sender::new(0);
    let callers = async {
        let callers = (0..STORM_CALLERS).map(async |caller| {
            for number in 0..STORM_CLAIMS {
                take_and_finish(&store, &format!("/c{caller}/e{number}")).await;
                finished.send_modify(|finished| *finished += 1);
            }
        });
        join_all(callers).await;
    };
    let killer = async {
        let (mut finished, mut died) = (finished.subscribe(), 0);
        for deaths in 1..STORM_DEATHS {
            let due = deaths * STORM_CALLERS * STORM_CLAIMS / STORM_DEATHS;
            finished.wait_for(|finished| *finished >= due).await.unwrap();
            let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                WHERE datname = current_database() AND starts_with(application_name, 'claims/')";
            died += db.number(end).await;
        }
        assert!(died > 0, "sessions died");
    };
    let storm = async { tokio::join!(callers, killer) };
    tokio::time::timeout(PATIENCE, storm).await.unwrap();
    let released = "SELECT count(*) FROM consumer_claims WHERE state = 'released'";
    let all = i64::try_from(STORM_CALLERS * STORM_CLAIMS).unwrap();
    assert_eq!(db.number(released).await, all);
    db.check_invariants().await;
    db.check_transactions();
}

/// Takes an entity and finishes it, as a careful caller would: what is unavailable is asked again.
async fn take_and_finish(store: &ClaimStore, url: &str) {
    let mut claim = None;
    eventually("the mint is accepted", async || {
        match store.mint(mint(url, &format!("w of {url}")).request("r").mint).await {
            Ok(minted) => claim = Some(minted.claim),
            Err(error) => assert!(matches!(error, StoreError::Unavailable), "{url}: {error}"),
        }
        claim.is_some()
    })
    .await;
    let claim = claim.expect("a claim");
    match store.heartbeat(heartbeat(&claim.id)).await {
        Ok(renewal) => assert!(!renewal.had_lapsed),
        Err(error) => assert!(matches!(error, StoreError::Unavailable), "{url}: {error}"),
    }
    let mut ended: Option<Ended> = None;
    eventually("the done is accepted", async || {
        match store.done(done(&claim.id)).await {
            Ok(answer) => ended = Some(answer),
            Err(error) => assert!(matches!(error, StoreError::Unavailable), "{url}: {error}"),
        }
        ended.is_some()
    })
    .await;
    let ended = ended.expect("an end");
    assert_eq!(ended.claim.state, ClaimState::Released);
    assert!(ended.acks_recorded);
    assert_eq!(ended.entity_state, EntityState::Idle);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lane_has_its_limits_and_prepares_its_statements_once() {
    const ROUNDS: usize = 20;
    let db = TestDatabase::in_service().await;
    db.sql
        .batch_execute(
            "CREATE TABLE sessions (pid int, lane text, limits text, prepared bigint);
             CREATE FUNCTION note_session() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO sessions SELECT pg_backend_pid(), current_setting('application_name'),
                     concat_ws(' ', current_setting('lock_timeout'),
                         current_setting('statement_timeout'),
                         current_setting('idle_in_transaction_session_timeout'),
                         current_setting('plan_cache_mode'), current_setting('transaction_isolation')),
                     (SELECT count(*) FROM pg_prepared_statements);
                 RETURN NULL;
             END
             $$;
             CREATE TRIGGER note_session AFTER INSERT ON consumer_claims
                 FOR EACH ROW EXECUTE FUNCTION note_session();
             CREATE TRIGGER note_session AFTER UPDATE ON claim_leases
                 FOR EACH ROW EXECUTE FUNCTION note_session()",
        )
        .await
        .unwrap();
    let store = db.store();
    for number in 0..ROUNDS {
        let id = claim_on(&store, &format!("/{number}")).await;
        store.heartbeat(heartbeat(&id)).await.unwrap();
        store.heartbeat(heartbeat(&claim_id("nobody", 1))).await.unwrap_err();
        store.done(done(&id)).await.unwrap();
    }
    let query =
        "SELECT string_agg(DISTINCT lane || ' ' || limits, ', ' ORDER BY lane || ' ' || limits)
         FROM sessions";
    let limits: String = db.sql.query_one(query, &[]).await.unwrap().get(0);
    assert_eq!(
        limits,
        "claims/decide 250ms 2s 1s force_generic_plan read committed, \
         claims/heartbeat 10ms 2s 1s force_generic_plan read committed"
    );
    // What a lane's first batch has not prepared it never needs.
    let growing = "SELECT count(*) FROM (
             SELECT pid FROM sessions WHERE lane = 'claims/decide'
             GROUP BY pid HAVING min(prepared) <> max(prepared)) AS growing";
    assert_eq!(db.number(growing).await, 0);
    db.check_invariants().await;
}
