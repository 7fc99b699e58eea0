//! A database that was set back to an earlier point, and what makes it safe.
//!
//! The time that was lost is played on the same database: what happened in it is kept here, and then
//! the rows are put back as they were, as a restore would.

use super::support::{actors, entity_state, minted, refusal, scene, state_of};
use claims::domain::{ClaimState, EntitySignal, Refusal};
use claims::store::{
    BUMP_DEFAULT, Bumped, EventFilter, FenceBump, FenceBumpError, Sequence, WatchError, WatchFrom,
    WatchItem,
};
use claims::testing::{TestDatabase, done, entity_key, heartbeat, mint, revoke, signal, tenant};
use std::time::{SystemTime, UNIX_EPOCH};

const BUMP: FenceBump = FenceBump { by: BUMP_DEFAULT, given_epochs: true };

/// The tables, in an order in which they can be filled.
const TABLES: [&str; 7] = [
    "entity_dispatch_state",
    "entity_epochs",
    "consumer_claims",
    "claim_leases",
    "claim_events",
    "claim_events_pruned",
    "number_floor",
];

/// Keeps everything as it is now.
async fn back_up(db: &TestDatabase) {
    for table in TABLES {
        let copy = format!("CREATE TABLE backup_{table} AS TABLE {table}");
        db.sql.batch_execute(&copy).await.expect("a backup");
    }
    let sequence =
        "CREATE TABLE backup_sequence AS SELECT last_value, is_called FROM claim_event_sequence";
    db.sql.batch_execute(sequence).await.expect("a backup");
}

/// Puts everything back, under the eyes of no guard, and lets the last signature be old.
async fn restore(db: &TestDatabase) {
    for table in TABLES {
        let put_back =
            format!("DELETE FROM {table}; INSERT INTO {table} SELECT * FROM backup_{table}");
        db.sql.batch_execute(&put_back).await.expect("a restore");
    }
    let rest = "SELECT setval('claim_event_sequence', last_value, is_called) FROM backup_sequence;
        UPDATE service_liveness SET last_signed_at = clock_timestamp() - interval '1 minute'";
    db.sql.batch_execute(rest).await.expect("a restore");
}

async fn bump(db: &TestDatabase) -> Bumped {
    let bumped = BUMP.run(&db.database()).await.expect("a bump");
    db.check_invariants().await;
    // A server is up again.
    let sign = "UPDATE service_liveness SET last_signed_at = clock_timestamp()";
    db.sql.batch_execute(sign).await.expect("a signature");
    bumped
}

fn micros_since_1970() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    i64::try_from(since.as_micros()).expect("before the year 294000")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_the_time_that_was_lost_is_handed_out_again() {
    let (db, store) = scene().await;
    minted(&store, mint("/old", "w1").request("r1")).await;
    back_up(&db).await;
    let mut lost = Vec::new();
    for request in ["r1", "r1", "r1"] {
        lost.push(minted(&store, mint("/old", "w1").request(request)).await.claim);
    }
    for consumer in ["n1", "n2", "n3"] {
        lost.push(minted(&store, mint("/new", consumer).supersede()).await.claim);
    }
    let highest_fence = lost.iter().map(|claim| claim.fence).max().expect("a fence");
    let highest_epoch = lost.iter().map(|claim| claim.id.epoch).max().expect("an epoch");
    restore(&db).await;
    let bumped = bump(&db).await;
    assert!(bumped.raised_to <= micros_since_1970());

    for (url, consumer) in [("/old", "w9"), ("/new", "n9"), ("/never", "x9"), ("/old2", "w1")] {
        let claim = minted(&store, mint(url, consumer)).await.claim;
        assert!(claim.fence > highest_fence, "{url}: {:?}", claim.fence);
        assert!(claim.fence.get() > bumped.raised_to, "{url}: {:?}", claim.fence);
        assert!(claim.id.epoch > highest_epoch, "{url}: {}", claim.id.epoch);
        assert!(lost.iter().all(|other| other.id != claim.id), "{url}: no identity is used twice");
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_restore_to_the_same_point_does_not_repeat_the_numbers_after_the_first() {
    let (db, store) = scene().await;
    back_up(&db).await;
    let mut highest = None;
    for _ in 0..3 {
        restore(&db).await;
        bump(&db).await;
        for _ in 0..3 {
            let fence = minted(&store, mint("/new", "w").supersede()).await.claim.fence;
            assert!(Some(fence) > highest, "{fence:?} after {highest:?}");
            highest = Some(fence);
        }
        db.check_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_who_lost_his_claim_in_the_lost_time_is_not_authorized_again() {
    let (db, store) = scene().await;
    let first = minted(&store, mint("/a", "w1").request("r1")).await.claim;
    let older = minted(&store, mint("/b", "w2").request("r2")).await.claim;
    minted(&store, mint("/b", "w3").supersede()).await;
    back_up(&db).await;
    store.done(done(&first.id)).await.expect("a done");
    restore(&db).await;
    assert_eq!(state_of(&db, &first.id).await, "active", "as a restore leaves it");

    let bumped = bump(&db).await;
    assert_eq!((bumped.revoked, bumped.failed.len()), (3, 0));
    for id in [&first.id, &older.id] {
        assert_eq!(state_of(&db, id).await, "revoked");
        let refused = refusal(store.heartbeat(heartbeat(id)).await);
        assert!(
            matches!(refused, Refusal::ClaimEnded { state: ClaimState::Revoked, .. }),
            "{refused}"
        );
        let ended = store.done(done(id)).await.expect("a done that changes nothing");
        assert!(ended.already_ended);
    }
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 0);
    assert_eq!(entity_state(&db, &entity_key("/a")).await, "idle");
    assert_eq!(actors(&db, &entity_key("/a")).await, ["holder", "fence-bump"]);
    let repeated = refusal(store.mint(mint("/a", "w1").request("r1").mint).await);
    assert!(matches!(repeated, Refusal::ClaimEnded { .. }), "{repeated}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_told_the_raised_mark_or_go_on_from_theirs_if_that_is_asked_for() {
    for (given_epochs, accepted) in [(true, false), (false, true)] {
        let (db, store) = scene().await;
        minted(&store, mint("/a", "w1").epoch("sub", 5)).await;
        db.sql
            .batch_execute(
                "UPDATE service_liveness SET last_signed_at = now() - interval '1 minute'",
            )
            .await
            .expect("a signature of long ago");
        FenceBump { given_epochs, ..BUMP }.run(&db.database()).await.expect("a bump");
        db.service_has_been_up().await;
        let next = store.mint(mint("/a", "w2").epoch("sub", 6).mint).await;
        assert_eq!(next.is_ok(), accepted, "{next:?}");
        if let Err(error) = next {
            let Refusal::EpochFenced { highest } = refusal::<()>(Err(error)) else {
                panic!("not fenced");
            };
            let above = highest.get() + 1;
            minted(&store, mint("/a", "w2").epoch("sub", above)).await;
        }
        // One that is new to the entity begins at 1, whatever was raised.
        minted(&store, mint("/moved", "w3").epoch("other", 1)).await;
        db.check_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_at_the_top_of_the_range_does_not_stop_the_others_from_being_raised() {
    let (db, store) = scene().await;
    minted(&store, mint("/top", "w1").epoch("sub", i64::MAX)).await;
    minted(&store, mint("/low", "w2").epoch("sub", 1)).await;
    back_up(&db).await;
    restore(&db).await;
    let bumped = bump(&db).await;
    assert_eq!((bumped.entities, bumped.marks), (2, 2));
    let low = "SELECT highest FROM entity_epochs WHERE entity_url = '/low'";
    assert_eq!(db.number(low).await, bumped.raised_to);
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_stays_paused_and_stopped_stays_stopped() {
    let (db, store) = scene().await;
    for (url, what) in [("/paused", EntitySignal::Stop), ("/stopping", EntitySignal::Term)] {
        minted(&store, mint(url, "w")).await;
        store.signal(signal(url, what)).await.expect("a signal");
    }
    store.signal(signal("/stopped", EntitySignal::Term)).await.expect("a signal");
    back_up(&db).await;
    restore(&db).await;
    bump(&db).await;
    for (url, state) in [("/paused", "paused"), ("/stopping", "stopped"), ("/stopped", "stopped")] {
        assert_eq!(entity_state(&db, &entity_key(url)).await, state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_with_a_position_of_the_lost_time_is_refused_and_never_skips() {
    let (db, store) = scene().await;
    minted(&store, mint("/a", "w1")).await;
    back_up(&db).await;
    minted(&store, mint("/lost", "w2")).await;
    let position = position(&store).await;
    drop(store);
    restore(&db).await;
    let bumped = bump(&db).await;
    // What happens now must not pass for what the watcher has seen already.
    let store = db.store();
    minted(&store, mint("/b", "w3")).await;
    let events = store.events();
    let filter = EventFilter { tenant: tenant(), entity: None, consumer: None };
    match events.watch(filter.clone(), WatchFrom::After(position)).await {
        Err(WatchError::Pruned { pruned }) => assert_eq!(pruned.get(), bumped.event_sequence),
        other => panic!("not refused: {:?}", other.map(|_| "a watch")),
    }
    // From where it is told to, it sees everything.
    let from = WatchFrom::After(Sequence::parse("after", bumped.event_sequence).expect("one"));
    let mut watch = events.watch(filter, from).await.expect("a watch");
    let mut seen = Vec::new();
    while seen.len() < 2 {
        if let WatchItem::Event(event) = watch.next().await.expect("an item") {
            seen.push(event.event.entity.url.as_str().to_owned());
        }
    }
    assert_eq!(seen, ["/a", "/b"], "the revocation, then the mint");
}

/// The position of a watcher that has seen everything.
async fn position(store: &claims::store::ClaimStore) -> Sequence {
    let filter = EventFilter { tenant: tenant(), entity: None, consumer: None };
    let mut watch = store.events().watch(filter, WatchFrom::Now).await.expect("a watch");
    loop {
        if let WatchItem::Checkpoint(position) = watch.next().await.expect("an item") {
            return position;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_done_while_a_server_signs_or_has_a_session() {
    let (db, _store) = scene().await;
    let refused = BUMP.run(&db.database()).await;
    assert!(matches!(refused, Err(FenceBumpError::Served)), "a signature of now: {refused:?}");
    let old =
        "UPDATE service_liveness SET last_signed_at = clock_timestamp() - interval '1 minute'";
    db.sql.batch_execute(old).await.expect("a signature of long ago");
    db.sql.batch_execute("SET application_name = 'claim-server/decide'").await.expect("a session");
    let refused = BUMP.run(&db.database()).await;
    assert!(matches!(refused, Err(FenceBumpError::Served)), "a session: {refused:?}");
    assert_eq!(db.number("SELECT raised_to FROM number_floor").await, 0);
    let look = BUMP.look(&db.database()).await.expect("a look");
    assert_eq!((look.servers, look.clock_is_behind), (1, false));
    db.sql.batch_execute("SET application_name = 'psql'").await.expect("a session");
    bump(&db).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_behind_what_was_recorded_is_not_relied_upon() {
    let (db, _store) = scene().await;
    let ahead =
        "UPDATE service_liveness SET last_signed_at = clock_timestamp() + interval '1 hour'";
    db.sql.batch_execute(ahead).await.expect("a signature of the future");
    let refused = BUMP.run(&db.database()).await;
    assert!(matches!(refused, Err(FenceBumpError::ClockIsBehind)), "{refused:?}");
    assert_eq!(db.number("SELECT raised_to FROM number_floor").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_cannot_be_revoked_is_named_and_keeps_no_other_from_it() {
    let (db, store) = scene().await;
    let mut ids = Vec::new();
    for number in 0..4 {
        let (url, consumer) = (format!("/e{number}"), format!("w{number}"));
        ids.push(minted(&store, mint(&url, &consumer)).await.claim.id);
    }
    back_up(&db).await;
    restore(&db).await;
    db.poison("w2").await;
    let bumped = BUMP.run(&db.database()).await.expect("a bump");
    assert_eq!((bumped.revoked, &bumped.failed), (3, &vec![ids[2].clone()]));
    assert_eq!(state_of(&db, &ids[2]).await, "active");
    db.cure("w2").await;
    let bumped = bump(&db).await;
    assert_eq!((bumped.revoked, bumped.failed.len()), (1, 0), "the next time does the rest");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_revoked_before_is_left_as_it_is() {
    let (db, store) = scene().await;
    let id = minted(&store, mint("/a", "w1")).await.claim.id;
    store.revoke(revoke(&id, "by hand")).await.expect("a revocation");
    back_up(&db).await;
    restore(&db).await;
    assert_eq!(bump(&db).await.revoked, 0);
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "revoked:by hand"]);
}
