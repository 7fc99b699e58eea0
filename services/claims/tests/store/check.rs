//! The self-check: what it finds, and that it finds nothing where nothing is wrong.

use super::support::{claim_on, minted, scene};
use claims::domain::EntitySignal;
use claims::store::{Finding, Reaper, Walk};
use claims::testing::{TestDatabase, done, mint, signal};
use std::collections::BTreeSet;

/// One whole round.
async fn check(db: &TestDatabase) -> Vec<Finding> {
    let mut reaper = Reaper::new(db.database(), "reaper");
    let mut walk = Walk::default();
    let mut findings = Vec::new();
    while !walk.is_over() {
        findings.extend(reaper.check_step(&mut walk).await.expect("a step"));
    }
    findings
}

/// What a hand that wrote past the service did.
async fn damage(db: &TestDatabase, sql: &str) {
    let stranger = db.stranger().await;
    stranger.batch_execute("SET session_replication_role = replica").await.expect("a superuser");
    stranger.batch_execute(sql).await.expect("damage");
}

fn told(findings: &[Finding]) -> BTreeSet<String> {
    findings.iter().map(ToString::to_string).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_database_of_every_kind_of_row_gives_no_finding() {
    let (db, store) = scene().await;
    assert_eq!(check(&db).await, []);
    claim_on(&store, "/active", "w1").await;
    minted(&store, mint("/superseded", "w2").epoch("sub", 1)).await;
    minted(&store, mint("/superseded", "w3").epoch("sub", 2)).await;
    minted(&store, mint("/superseded", "w4").epoch("sub", 3)).await;
    let ended = claim_on(&store, "/ended", "w5").await.id;
    store.done(done(&ended)).await.unwrap();
    claim_on(&store, "/paused", "w6").await;
    store.signal(signal("/paused", EntitySignal::Stop)).await.unwrap();
    claim_on(&store, "/stopping", "w7").await;
    store.signal(signal("/stopping", EntitySignal::Term)).await.unwrap();
    store.signal(signal("/killed", EntitySignal::Kill)).await.unwrap();
    minted(&store, mint("/active", "w1").tenant("other")).await;
    assert_eq!(check(&db).await, []);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_contradiction_is_found_and_told_once() {
    let (db, store) = scene().await;
    for number in 0..8 {
        claim_on(&store, &format!("/e{number}"), &format!("w{number}")).await;
    }
    // The entity of #4341: its claim is gone, and it runs for ever.
    damage(&db, "DELETE FROM claim_leases WHERE consumer_id = 'w1'").await;
    damage(&db, "DELETE FROM consumer_claims WHERE consumer_id = 'w1'").await;
    damage(&db, "DELETE FROM claim_leases WHERE consumer_id = 'w2'").await;
    damage(&db, "DELETE FROM consumer_claims WHERE consumer_id = 'w3'").await;
    damage(
        &db,
        "UPDATE entity_dispatch_state SET current_consumer_id = NULL, current_epoch = NULL,
             state = 'idle' WHERE entity_url = '/e4'",
    )
    .await;
    damage(
        &db,
        "ALTER TABLE entity_dispatch_state DROP CONSTRAINT entity_current_matches_state;
         UPDATE entity_dispatch_state SET current_consumer_id = NULL, current_epoch = NULL
         WHERE entity_url = '/e5'",
    )
    .await;
    // The current claim of /e6 is one of /e7.
    damage(
        &db,
        "UPDATE entity_dispatch_state SET current_consumer_id = 'w7' WHERE entity_url = '/e6'",
    )
    .await;

    let findings = check(&db).await;
    let expected = [
        "entity default/e1 is running with current claim w1/1 (I2, I3)",
        "claim default/w2/1 is live and has no lease (I7)",
        "entity default/e3 is running with current claim w3/1 (I2, I3)",
        "lease default/w3/1 has no live claim (I7)",
        "claim default/w4/1 is active but not the current one of default/e4 (I2)",
        "entity default/e5 is running without a current claim (I3)",
        "claim default/w5/1 is active but not the current one of default/e5 (I2)",
        "entity default/e6 is running with current claim w7/1 (I2, I3)",
        "claim default/w6/1 is active but not the current one of default/e6 (I2)",
    ];
    assert_eq!(told(&findings), expected.map(str::to_owned).into());
    assert_eq!(findings.len(), expected.len(), "{findings:#?}");
    let double_holds = findings.iter().filter(|finding| finding.is_double_hold()).count();
    assert_eq!(double_holds, 7, "all but those about leases");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_superseded_claim_needs_a_lease_that_says_so() {
    let (db, store) = scene().await;
    for (holder, epoch) in [("w1", 1), ("w2", 2), ("w3", 3), ("w4", 4)] {
        minted(&store, mint("/a", holder).epoch("sub", epoch)).await;
    }
    damage(&db, "DELETE FROM claim_leases WHERE consumer_id = 'w1'").await;
    damage(&db, "UPDATE claim_leases SET superseded = false WHERE consumer_id = 'w2'").await;
    let expected = [
        "claim default/w1/1 is live and has no lease (I7)",
        "lease default/w2/2 has no live claim (I7)",
    ];
    assert_eq!(told(&check(&db).await), expected.map(str::to_owned).into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_walk_over_many_pages_misses_nothing_and_tells_nothing_twice() {
    let (db, _) = scene().await;
    db.sql.batch_execute(include_str!("check.sql")).await.unwrap();
    assert_eq!(check(&db).await, []);
    damage(
        &db,
        "DELETE FROM claim_leases WHERE consumer_id IN ('w-1', 'w-1000', 'w-1001', 'w-11999', 's-1',
             's-1000', 's-1001', 's-6000')",
    )
    .await;
    let found = check(&db).await;
    assert_eq!(found.len(), 8, "{found:#?}");
    assert_eq!(told(&found).len(), 8);
    damage(&db, "UPDATE entity_dispatch_state SET current_epoch = 2").await;
    let found = check(&db).await.iter().filter(|finding| finding.is_double_hold()).count();
    assert_eq!(found, 2 * 12_000, "each entity, and each active claim");
}
