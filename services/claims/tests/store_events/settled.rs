//! E2: transactions commit in another order than they drew, or not at all.

use super::support::{Watcher, Writer, everything, listed, quick_store, recorded, scene, write};
use claims::store::{ClaimStore, ListError, StoreError, StoreSettings, WatchFrom};
use claims::testing::{
    Proxy, Road, TestDatabase, done, entity_key, eventually, mint, queued, unanswered,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_commits_after_a_later_one_comes_before_it() {
    let (db, store) = scene().await;
    let mut watcher = Watcher::now(&store).await;
    let (slow, fast) = (Writer::begin(&db).await, Writer::begin(&db).await);
    let first = slow.writes("/a").await;
    let second = fast.writes("/b").await;
    assert!(first < second);
    fast.commits().await;
    // Visible to everybody, but given to nobody before its turn.
    assert_eq!(recorded(&db, "true").await, [second]);
    watcher.hears_nothing().await;
    slow.commits().await;
    assert_eq!(watcher.events(2).await, [first, second]);
    watcher.hears_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_was_rolled_back_stalls_nobody() {
    let (db, store) = scene().await;
    let mut watcher = Watcher::now(&store).await;
    let before = write(&db, "/a").await;
    for _ in 0..3 {
        let failing = Writer::begin(&db).await;
        failing.writes("/b").await;
        failing.rolls_back().await;
    }
    let behind = write(&db, "/c").await;
    assert!(behind > before + 3);
    assert_eq!(watcher.events(2).await, [before, behind]);
    // At the end as well: the position stays at the last event that there is.
    let failing = Writer::begin(&db).await;
    failing.writes("/b").await;
    failing.rolls_back().await;
    watcher.hears_nothing().await;
    assert_eq!(watcher.position, behind);
    let late = Watcher::now(&store).await;
    assert_eq!(late.position, behind);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_from_now_on_begins_behind_all_that_was_committed_before() {
    let (db, store) = scene().await;
    let slow = Writer::begin(&db).await;
    let first = slow.writes("/a").await;
    let second = write(&db, "/b").await;
    // Where now is cannot be said while somebody may yet write before it.
    let mut starting = queued(Watcher::now(&store)).await;
    let third = tokio::select! {
        biased;
        _ = &mut starting => panic!("it began while a writer was at work"),
        sequence = write(&db, "/c") => sequence,
    };
    slow.commits().await;
    let mut watcher = starting.await;
    assert!(watcher.position >= second, "{first}, {second} and {third} are past");
    let next = write(&db, "/d").await;
    let given = watcher.all_up_to(next).await;
    assert!(given == [next] || given == [third, next], "{given:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_waits_for_who_began_to_write_before_it() {
    let (db, store) = scene().await;
    let slow = Writer::begin(&db).await;
    let first = slow.writes("/a").await;
    let second = write(&db, "/b").await;
    let mut listing = queued(listed(&store, everything(), 10)).await;
    let mut third = 0;
    unanswered(&mut listing, async { third = write(&db, "/c").await }).await;
    slow.commits().await;
    let given = listing.await;
    assert_eq!(given[..2], [first, second]);
    assert!(third > second && given.len() <= 3);
}

/// Waits until the last statement of the reader holds some words.
async fn until_reader_asks(db: &TestDatabase, words: &str) {
    eventually(&format!("the reader asks for {words}"), async || {
        let query = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND application_name = 'claims/events' AND query LIKE '%{words}%'"
        );
        db.number(&query).await == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_comes_later_keeps_nobody_waiting() {
    let (db, store) = scene().await;
    let mut watcher = Watcher::now(&store).await;
    let sequence = write(&db, "/a").await;
    assert_eq!(watcher.events(1).await, [sequence]);
    until_reader_asks(&db, "is_called").await;
    let slow = Writer::begin(&db).await;
    let first = slow.writes("/a").await;
    // The line is drawn, and the writer before it is waited for.
    until_reader_asks(&db, "pg_locks").await;
    let later = Writer::begin(&db).await;
    let second = later.writes("/b").await;
    slow.commits().await;
    assert_eq!(watcher.events(1).await, [first]);
    watcher.hears_nothing().await;
    later.commits().await;
    assert_eq!(watcher.events(1).await, [second]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_writer_delays_the_others_events_until_postgres_ends_it_and_loses_none() {
    let (db, store) = scene().await;
    let mut watcher = Watcher::now(&store).await;
    let frozen = Writer::begin(&db).await;
    // As every session of the store has it.
    let limit = "SET idle_in_transaction_session_timeout = 300";
    frozen.session.batch_execute(limit).await.unwrap();
    let lost = frozen.writes("/a").await;
    let mut expected = Vec::new();
    for number in 0..10 {
        expected.push(write(&db, &format!("/e{number}")).await);
    }
    assert_eq!(watcher.events(10).await, expected);
    assert_eq!(recorded(&db, "true").await, expected);
    assert!(lost < expected[0]);
    frozen.session.batch_execute("COMMIT").await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_does_not_wait_for_ever() {
    let (db, store) = scene().await;
    let stuck = Writer::begin(&db).await;
    stuck.writes("/a").await;
    let query = claims::store::EventQuery { filter: everything(), page_size: 1, after: None };
    let refused = store.events().list(query).await.unwrap_err();
    assert!(matches!(refused, ListError::Store(StoreError::Unavailable)), "{refused}");
    stuck.rolls_back().await;
    assert_eq!(listed(&store, everything(), 1).await, [0; 0]);
}

/// Makes the store's own transaction wait between its draw and its commit, for as long as somebody
/// holds the advisory lock 7, whenever it writes an event of a consumer whose name begins so.
const HOLD_BACK: &str = "
    CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM set_config('lock_timeout', '0', true);
        PERFORM pg_advisory_xact_lock_shared(7);
        RETURN new;
    END
    $$;
    CREATE TRIGGER hold_back AFTER INSERT ON claim_events
        FOR EACH ROW WHEN (new.consumer_id LIKE 'slow%') EXECUTE FUNCTION hold_back()";

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_mint_that_commits_after_a_later_one_of_another_server_is_given_first() {
    let (db, store) = scene().await;
    let other = ClaimStore::start(
        &db.database(),
        &StoreSettings { program: "other".to_owned(), ..StoreSettings::default() },
    );
    db.sql.batch_execute(HOLD_BACK).await.unwrap();
    let mut watcher = Watcher::now(&store).await;
    let mut elsewhere =
        Watcher::start(&quick_store(&db), everything(), WatchFrom::Now).await.unwrap();
    let holder = db.stranger().await;
    holder.batch_execute("SELECT pg_advisory_lock(7)").await.unwrap();

    let mut slow = queued(store.mint(mint("/a", "slow").mint)).await;
    unanswered(&mut slow, db.until_blocked("claims/decide")).await;
    let fast = other.mint(mint("/b", "fast").mint).await.unwrap().claim.id;
    other.done(done(&fast)).await.unwrap();
    watcher.hears_nothing().await;
    elsewhere.hears_nothing().await;
    holder.batch_execute("SELECT pg_advisory_unlock(7)").await.unwrap();
    slow.await.unwrap();

    let all = recorded(&db, "true").await;
    assert_eq!(recorded(&db, "consumer_id = 'slow'").await, all[..1], "it drew first");
    assert_eq!(watcher.events(3).await, all);
    assert_eq!(elsewhere.events(3).await, all);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_never_arrives_leaves_no_event_and_holds_nobody_up() {
    let db = TestDatabase::in_service().await;
    let store = quick_store(&db);
    let proxy = Proxy::before(db.url()).await;
    let cut = claims::store::Database::parse(proxy.url()).unwrap();
    let cut = ClaimStore::start(&cut, &StoreSettings::default());
    let mut watcher = Watcher::now(&store).await;
    cut.mint(mint("/a", "w1").mint).await.unwrap();
    proxy.set(Road::CutBeforeCommit);
    cut.mint(mint("/lost", "w2").mint).await.unwrap_err();
    proxy.set(Road::CutAfterCommit);
    cut.mint(mint("/done", "w3").mint).await.unwrap_err();
    cut.mint(mint("/b", "w4").mint).await.unwrap();
    let all = recorded(&db, "true").await;
    assert_eq!(all.len(), 3);
    assert_eq!(watcher.events(3).await, all);
    assert_eq!(db.events_of(&entity_key("/lost")).await, [""; 0]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sequence_hands_out_its_numbers_one_by_one() {
    let db = TestDatabase::in_service().await;
    let supply = "SELECT cache_size FROM pg_sequences WHERE sequencename = 'claim_event_sequence'";
    assert_eq!(db.number(supply).await, 1);
}
