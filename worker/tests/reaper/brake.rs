//! R7: a mass expiry is held until it can no longer be a short fault, and said loudly.

use crate::support::{Pass, Running, age, expired, lapsed, pass, running, states, superseded};
use claims::testing::{TestDatabase, eventually};
use serde_json::{Value, json};
use std::time::Duration;

/// Lapsed for so long: due for 5 s, which is well within the brake's span of 60 s.
const FRESH: Duration = Duration::from_secs(10);
/// Due for longer than the span.
const STALE: Duration = Duration::from_secs(70);

const COUNTS: [&str; 5] = ["expired", "failed", "held_back", "hold_reason", "remaining_due"];

/// What a pass tells that was not braked.
fn free(expired: usize) -> Value {
    json!([expired, 0, 0, null, 0])
}

/// What a pass tells that was braked.
fn held(expired: usize, held: usize) -> Value {
    json!([expired, 0, held, "brake", held])
}

/// A fleet of active claims of which so many have just become due.
async fn fleet(active: usize, fresh: usize) -> TestDatabase {
    let db = TestDatabase::in_service().await;
    running(&db, "well", active - fresh).await;
    lapsed(&db, "dead", fresh, FRESH).await;
    db
}

/// A pass while the service is up.
async fn next(db: &TestDatabase, arguments: &[&str], settings: &[(&str, &str)]) -> Pass {
    db.service_has_been_up().await;
    pass(db.url(), arguments, settings).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_death_is_held_and_said_loudly_and_cleaned_up_once_it_is_older_than_the_span() {
    let db = fleet(100, 60).await;
    let braked = next(&db, &[], &[]).await;
    assert_eq!((braked.code, braked.told(&COUNTS)), (3, held(0, 60)), "{braked:?}");
    let loud = braked.log.lines().find(|line| line.contains("the brake holds back claims: 60"));
    let loud = loud.unwrap_or_else(|| panic!("it is said: {}", braked.log));
    for part in ["WARN", "of 100 active ones", "60s", "--override-brake"] {
        assert!(loud.contains(part), "{part}: {loud}");
    }
    assert_eq!(states(&db).await, [("active".to_owned(), 100)]);
    assert_eq!(db.number("SELECT count(*) FROM claim_events WHERE type = 'expired'").await, 0);
    let recorded = "SELECT count(*) FROM reaper_passes
         WHERE (scanned, expired, held_back, hold_reason, remaining_due) = (100, 0, 60, 'brake', 60)
             AND oldest_remaining_due_at < started_at - interval '4 seconds'";
    assert_eq!(db.number(recorded).await, 1);

    age(&db, "dead", STALE - FRESH).await;
    let late = next(&db, &[], &[]).await;
    assert_eq!((late.code, late.told(&COUNTS)), (0, free(60)), "{late:?}");
    assert!(!late.log.contains("WARN"), "{}", late.log);
    assert_eq!(states(&db).await, [("active".to_owned(), 40), ("expired".to_owned(), 60)]);
    db.check_invariants().await;
}

/// How many are active, how many of them became due, what was set, and whether they are held.
type Case = (usize, usize, &'static [(&'static str, &'static str)], bool);

#[tokio::test(flavor = "multi_thread")]
async fn the_brake_engages_from_the_minimum_on_above_the_share_and_within_the_span() {
    let cases: &[Case] = &[
        // Exactly half is no mass death.
        (100, 50, &[], false),
        (100, 51, &[], true),
        // Nor is anything below the minimum of 20, however small the fleet.
        (30, 19, &[], false),
        (19, 19, &[], false),
        (30, 20, &[], true),
        (20, 20, &[], true),
        // As it was set.
        (30, 19, &[("CLAIM_BRAKE_MIN", "19")], true),
        (100, 51, &[("CLAIM_BRAKE_MIN", "52")], false),
        (100, 51, &[("CLAIM_BRAKE_SHARE", "0.51")], false),
        (100, 50, &[("CLAIM_BRAKE_SHARE", "0.49")], true),
        (30, 20, &[("CLAIM_BRAKE_SHARE", "0")], true),
        (100, 100, &[("CLAIM_BRAKE_SHARE", "1")], false),
        (100, 60, &[("CLAIM_BRAKE_SPAN", "4s")], false),
    ];
    for (active, fresh, settings, is_held) in cases {
        let db = fleet(*active, *fresh).await;
        let pass = next(&db, &[], settings).await;
        let expected = if *is_held { (3, held(0, *fresh)) } else { (0, free(*fresh)) };
        let case = format!("{fresh} of {active}, {settings:?}: {pass:?}");
        assert_eq!((pass.code, pass.told(&COUNTS)), expected, "{case}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_overrides_the_brake_for_one_pass() {
    let db = fleet(100, 60).await;
    assert_eq!(next(&db, &[], &[]).await.code, 3);
    let overridden = next(&db, &["--override-brake"], &[]).await;
    assert_eq!((overridden.code, overridden.told(&COUNTS)), (0, free(60)), "{overridden:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn those_due_for_longer_than_the_span_go_while_the_fresh_ones_are_held() {
    let db = fleet(100, 60).await;
    lapsed(&db, "old", 15, STALE).await;
    let braked = next(&db, &[], &[]).await;
    assert_eq!((braked.code, braked.told(&COUNTS)), (3, held(15, 60)), "{braked:?}");
    let gone = "SELECT count(*) FROM consumer_claims
         WHERE state = 'expired' AND starts_with(consumer_id, 'old_')";
    assert_eq!(db.number(gone).await, 15);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn superseded_claims_do_not_engage_the_brake_and_are_held_by_it_all_the_same() {
    // Among 60 active ones 19 are fresh, and 30 superseded ones beside them.
    let db = fleet(30, 19).await;
    superseded(&db, "old", 30, FRESH).await;
    let pass = next(&db, &[], &[("CLAIM_BRAKE_SHARE", "0.3")]).await;
    assert_eq!((pass.code, pass.told(&COUNTS)), (0, free(49)), "{pass:?}");
    db.check_invariants().await;

    // Of 60 active ones 31 are fresh, though of 90 live ones they are no more than a third.
    let db = fleet(30, 30).await;
    superseded(&db, "old", 30, FRESH).await;
    lapsed(&db, "one", 1, FRESH).await;
    let braked = next(&db, &[], &[]).await;
    assert_eq!((braked.code, braked.told(&COUNTS)), (3, held(0, 61)), "{braked:?}");
    assert_eq!(expired(&db).await, 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mass_death_that_is_spread_over_passes_is_still_one() {
    let db = fleet(100, 40).await;
    let first = next(&db, &[], &[]).await;
    assert_eq!((first.code, first.told(&COUNTS)), (0, free(40)), "{first:?}");
    // Ten more, though of the 60 that are left, are half of all that there were.
    let lapse = async |from: usize, to: usize| {
        let lapse = format!(
            "SET session_replication_role = replica;
             UPDATE claim_leases SET heard_at = heard_at - interval '610 seconds',
                 lease_expires_at = lease_expires_at - interval '610 seconds'
             WHERE split_part(consumer_id, '_', 2)::int BETWEEN {from} AND {to}"
        );
        db.stranger().await.batch_execute(&lapse).await.unwrap();
    };
    lapse(0, 9).await;
    let second = next(&db, &[], &[]).await;
    assert_eq!((second.code, second.told(&COUNTS)), (0, free(10)), "{second:?}");
    lapse(10, 14).await;
    let third = next(&db, &[], &[]).await;
    assert_eq!((third.code, third.told(&COUNTS)), (3, held(0, 5)), "{third:?}");
    assert_eq!(expired(&db).await, 50);

    // Passes that lie back longer than the span count no more.
    let forget = "UPDATE reaper_passes SET ended_at = ended_at - interval '60 seconds'";
    db.sql.batch_execute(forget).await.unwrap();
    let last = next(&db, &[], &[]).await;
    assert_eq!((last.code, last.told(&COUNTS)), (0, free(5)), "{last:?}");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_holds_a_mass_death_and_cleans_it_up_one_span_later_by_itself() {
    let db = TestDatabase::in_service().await;
    let _in_service = db.stay_in_service();
    running(&db, "well", 10).await;
    let mut daemon = Running::daemon(db.url(), &[("CLAIM_BRAKE_SPAN", "2s")]);
    eventually("a pass is over", async || {
        db.number("SELECT count(*) FROM reaper_passes").await > 0
    })
    .await;
    // Due in a moment, before the eyes of the daemon.
    lapsed(&db, "dead", 30, Duration::from_millis(4_800)).await;
    eventually("they are held", async || {
        let held = "SELECT count(*) FROM reaper_passes
             WHERE hold_reason = 'brake' AND held_back = 30";
        db.number(held).await > 0
    })
    .await;
    assert_eq!(expired(&db).await, 0);
    eventually("they are expired", async || expired(&db).await == 30).await;
    assert_eq!(daemon.stop("TERM").await, Some(0), "{}", daemon.log());
    // Due 5 s after they lapsed, and held for 2 s from then on.
    let early = "SELECT count(*) FROM consumer_claims
         WHERE ended_at < lease_expires_at + interval '7 seconds'";
    assert_eq!(db.number(early).await, 0);
    assert_eq!(states(&db).await, [("active".to_owned(), 10), ("expired".to_owned(), 30)]);
    db.check_invariants().await;
}
