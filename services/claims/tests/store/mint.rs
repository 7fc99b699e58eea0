//! M1, M3 … M6.

use super::support::{
    OUTAGE_GRACE, YEAR, actors, claim_on, entity_state, minted, refusal, scene, secs, state_of,
};
use claims::domain::{ClaimState, EndReason, EntitySignal, EntityState, Epoch, Refusal};
use claims::testing::{done, entity_key, kill, mint, signal, tenant};
use std::time::Duration;

fn epoch(number: i64) -> Epoch {
    Epoch::parse(number).expect("an epoch")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_is_stored_as_it_is_answered() {
    let (db, store) = scene().await;
    let mut asked = mint("/chat/a", "w1").epoch("sub", 7).runner("runner").request("request");
    asked.mint.wake_id = claims::domain::WakeId::parse("wake").unwrap();
    asked.mint.stream =
        claims::domain::StreamPath::of_entity(&asked.mint.entity, "/chat/a/side").unwrap();
    let asked = asked.lengths(Some(20), Some(60));
    let claim = minted(&store, asked).await.claim;
    let (stored, _) = store.get_claim(claim.id.clone()).await.unwrap();
    assert_eq!(stored, claim);
    let view = store.get_entity(entity_key("/chat/a")).await.unwrap();
    assert_eq!(view.entity.state, EntityState::Running);
    assert_eq!(view.entity.last_claimed_at, Some(claim.claimed_at));
    assert_eq!(view.entity.fence, claim.fence);
    assert_eq!(view.current, Some(claim));
    assert_eq!(db.events_of(&entity_key("/chat/a")).await, ["minted"]);
    assert_eq!(actors(&db, &entity_key("/chat/a")).await, ["holder"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_is_not_idle_or_running_takes_no_claim() {
    let (db, store) = scene().await;
    claim_on(&store, "/stopping", "w1").await;
    for (url, asked) in [
        ("/paused", EntitySignal::Stop),
        ("/stopping", EntitySignal::Term),
        ("/stopped", EntitySignal::Term),
        ("/killed", EntitySignal::Kill),
    ] {
        let state = store.signal(signal(url, asked)).await.unwrap().entity.state;
        let before = db.all_rows().await;
        let asked = mint(url, "w2").epoch("sub", 9).supersede();
        assert_eq!(refusal(store.mint(asked.mint).await), Refusal::EntityNotClaimable(state));
        assert_eq!(db.all_rows().await, before);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_epoch_that_is_not_above_the_highest_is_refused() {
    let (db, store) = scene().await;
    let claim = minted(&store, mint("/a", "w1").epoch("sub", 5)).await.claim;
    let lower = store.mint(mint("/a", "w2").epoch("sub", 4).supersede().mint).await;
    assert_eq!(refusal(lower), Refusal::EpochFenced { highest: epoch(5) });
    let Refusal::AlreadyClaimed { holder, epoch: held, takeable_in } =
        refusal(store.mint(mint("/a", "w2").epoch("sub", 5).supersede().mint).await)
    else {
        panic!("the equal epoch is taken while its claim is active");
    };
    assert_eq!((holder, held), (claim.id.consumer.clone(), epoch(5)));
    assert!(takeable_in > secs(25) && takeable_in <= secs(30), "{takeable_in:?}");

    store.done(done(&claim.id)).await.unwrap();
    let equal = store.mint(mint("/a", "w2").epoch("sub", 5).mint).await;
    assert_eq!(refusal(equal), Refusal::EpochFenced { highest: epoch(5) });
    assert_eq!(minted(&store, mint("/a", "w2").epoch("sub", 6)).await.claim.fence.get(), 2);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_equal_epoch_is_spent_once_its_claim_is_takeable() {
    let (db, store) = scene().await;
    let claim = claim_on(&store, "/a", "w1").await;
    db.lapse(&claim.id, secs(1)).await;
    let equal = store.mint(mint("/a", "w2").epoch("sub", 1).mint).await;
    assert_eq!(refusal(equal), Refusal::EpochFenced { highest: epoch(1) });
    assert_eq!(state_of(&db, &claim.id).await, "active");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_high_water_mark_outlives_the_claims() {
    let (db, store) = scene().await;
    let claim = minted(&store, mint("/a", "w1").epoch("sub", 5)).await.claim;
    store.done(done(&claim.id)).await.unwrap();
    db.sql.batch_execute("DELETE FROM consumer_claims; DELETE FROM claim_events").await.unwrap();
    let spent = store.mint(mint("/a", "w1").epoch("sub", 5).mint).await;
    assert_eq!(refusal(spent), Refusal::EpochFenced { highest: epoch(5) });
    let again = minted(&store, mint("/a", "w1").epoch("sub", 6)).await.claim;
    assert_eq!(again.fence.get(), 2, "nor is a fence used twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn epochs_restart_under_another_authority() {
    let (db, store) = scene().await;
    let first = minted(&store, mint("/a", "w1").epoch("one", 9)).await.claim;
    // Its epochs say nothing about those of the other, so it has no right to displace.
    let refused = refusal(store.mint(mint("/a", "w2").epoch("two", 1).mint).await);
    assert!(matches!(refused, Refusal::AlreadyClaimed { .. }), "{refused}");
    let moved = minted(&store, mint("/a", "w2").epoch("two", 1).supersede()).await;
    assert_eq!(moved.ended_predecessor.unwrap().id, first.id);
    assert_eq!(moved.claim.id.epoch, epoch(1));
    store.done(done(&moved.claim.id)).await.unwrap();
    // Nor does the mark of the first fall.
    let back = store.mint(mint("/a", "w3").epoch("one", 9).mint).await;
    assert_eq!(refusal(back), Refusal::EpochFenced { highest: epoch(9) });
    minted(&store, mint("/a", "w3").epoch("one", 10)).await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_epoch_is_above_those_of_the_entity_and_of_the_consumer() {
    let (db, store) = scene().await;
    // The same consumer on three entities.
    for (url, expected) in [("/a", 1), ("/b", 2), ("/c", 3)] {
        assert_eq!(minted(&store, mint(url, "w1")).await.claim.id.epoch, epoch(expected));
    }
    // Another consumer on the last one: its mark counts.
    store.done(done(&claims::testing::claim_id("w1", 3))).await.unwrap();
    assert_eq!(minted(&store, mint("/c", "w2")).await.claim.id.epoch, epoch(4));
    // An epoch that an authority gave counts too, since the identity must be new.
    minted(&store, mint("/d", "w3").epoch("sub", 41)).await;
    assert_eq!(minted(&store, mint("/e", "w3")).await.claim.id.epoch, epoch(42));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_top_of_the_range_no_epoch_is_issued() {
    let (db, store) = scene().await;
    let top = minted(&store, mint("/a", "w1").epoch("sub", i64::MAX)).await.claim;
    let refused = store.mint(mint("/b", "w1").mint).await;
    assert_eq!(refusal(refused), Refusal::EpochFenced { highest: Epoch::LAST });
    store.done(done(&top.id)).await.unwrap();
    let refused = store.mint(mint("/a", "w2").epoch("sub", i64::MAX).mint).await;
    assert_eq!(refusal(refused), Refusal::EpochFenced { highest: Epoch::LAST });
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_epoch_of_the_same_authority_supersedes() {
    let (db, store) = scene().await;
    let old = claim_on(&store, "/a", "w1").await;
    let newer = minted(&store, mint("/a", "w2").epoch("sub", 2)).await;
    let predecessor = newer.ended_predecessor.unwrap();
    assert_eq!(predecessor.state, ClaimState::Superseded);
    assert_eq!(predecessor.superseded_by, Some((newer.claim.id.consumer, newer.claim.id.epoch)));
    assert_eq!(store.get_claim(old.id.clone()).await.unwrap().0, predecessor);
    assert_eq!(db.lease_column(&old.id, "superseded").await.as_deref(), Some("true"));
    assert_eq!(
        db.events_of(&entity_key("/a")).await,
        ["minted", "superseded:newer_epoch", "minted"]
    );
    assert_eq!(actors(&db, &entity_key("/a")).await, ["holder", "mint", "holder"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_right_to_displace_a_mint_is_told_who_holds_the_entity() {
    let (db, store) = scene().await;
    let claim = claim_on(&store, "/a", "w1").await;
    let before = db.all_rows().await;
    let Refusal::AlreadyClaimed { holder, epoch, takeable_in } =
        refusal(store.mint(mint("/a", "w2").mint).await)
    else {
        panic!("the entity is claimed");
    };
    assert_eq!((holder, epoch), (claim.id.consumer, claim.id.epoch));
    assert!(takeable_in > secs(25) && takeable_in <= secs(30), "{takeable_in:?}");
    assert_eq!(db.all_rows().await, before);
    minted(&store, mint("/a", "w2").supersede()).await;
    let events = db.events_of(&entity_key("/a")).await;
    assert_eq!(events, ["minted", "superseded:supersede_requested", "minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_claim_is_taken_over_without_a_reaper() {
    let (db, store) = scene().await;
    let old = claim_on(&store, "/a", "w1").await;
    db.lapse(&old.id, Duration::from_millis(1)).await;
    let taken = minted(&store, mint("/a", "w2")).await;
    let predecessor = taken.ended_predecessor.unwrap();
    let ending = predecessor.ending.clone().unwrap();
    assert_eq!(predecessor.state, ClaimState::Expired);
    assert_eq!(ending.reason, EndReason::LeaseLapsed);
    assert!(ending.entity_cleared && ending.acked_streams.is_none());
    assert_eq!(store.get_claim(old.id).await.unwrap().0.ending, predecessor.ending);
    let view = store.get_entity(entity_key("/a")).await.unwrap();
    assert_eq!(view.entity.last_ended_at, Some(ending.at));
    assert_eq!(view.entity.last_completed_at, None);
    let events = db.events_of(&entity_key("/a")).await;
    assert_eq!(events, ["minted", "expired:lease_lapsed", "minted"]);
    assert_eq!(actors(&db, &entity_key("/a")).await, ["holder", "mint", "holder"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_lapsed_at_its_ceiling_says_so_when_taken_over() {
    let (db, store) = scene().await;
    let old = minted(&store, mint("/a", "w1").lengths(Some(10), Some(10))).await.claim;
    db.lapse(&old.id, secs(1)).await;
    minted(&store, mint("/a", "w2")).await;
    let events = db.events_of(&entity_key("/a")).await;
    assert_eq!(events, ["minted", "expired:ceiling_reached", "minted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_taken_over_during_an_outage_or_shortly_after_it() {
    let (db, store) = scene().await;
    let old = claim_on(&store, "/a", "w1").await;
    db.lapse(&old.id, secs(1)).await;
    // Stale; signed in the future; resumed a moment ago.
    for (signed_ago, resumed_ago) in [(6.0, 1_000.0), (-6.0, 1_000.0), (0.0, 10.0)] {
        let set = "UPDATE service_liveness SET
             last_signed_at = clock_timestamp() - $1 * interval '1 second',
             resumed_at = clock_timestamp() - $2 * interval '1 second'";
        db.sql.execute(set, &[&signed_ago, &resumed_ago]).await.unwrap();
        let Refusal::AlreadyClaimed { takeable_in, .. } =
            refusal(store.mint(mint("/a", "w2").mint).await)
        else {
            panic!("an outage protects the claim: {signed_ago} {resumed_ago}");
        };
        let expected = if signed_ago == 0.0 { secs(20) } else { OUTAGE_GRACE };
        assert!(takeable_in <= expected && takeable_in > expected - secs(5), "{takeable_in:?}");
    }
    db.sql.batch_execute("DELETE FROM service_liveness").await.unwrap();
    let refused = refusal(store.mint(mint("/a", "w2").mint).await);
    assert!(matches!(refused, Refusal::AlreadyClaimed { .. }), "{refused}");
    // With an outage grace of zero outages play no part.
    db.set_liveness(secs(60), YEAR, Duration::ZERO).await;
    minted(&store, mint("/a", "w2")).await;
    assert_eq!(state_of(&db, &old.id).await, "expired");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_protects_no_holder_who_was_heard_of_since() {
    let (db, store) = scene().await;
    let heard = claim_on(&store, "/a", "w1").await;
    db.set_liveness(Duration::ZERO, secs(20), OUTAGE_GRACE).await;
    // Minted a minute ago with a lease of 30 s: last heard of before the service resumed.
    db.age(&heard.id, secs(60)).await;
    refusal(store.mint(mint("/a", "w2").mint).await);
    // A heartbeat of 10 s ago, after it resumed, whose lease has lapsed.
    db.sql
        .batch_execute(
            "SET session_replication_role = replica;
             UPDATE claim_leases SET heard_at = clock_timestamp() - interval '10 seconds';
             SET session_replication_role = DEFAULT",
        )
        .await
        .unwrap();
    minted(&store, mint("/a", "w2")).await;
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_lease_ends_at_the_ceiling_if_that_is_earlier() {
    let (db, store) = scene().await;
    let seconds = |claim: &claims::domain::Claim| {
        let ceiling = claim.lease.ceiling_at.map(|at| at.since(claim.claimed_at));
        (claim.lease.expires_at.since(claim.claimed_at), ceiling)
    };
    for (number, (ttl, max, expected)) in [
        (None, None, (secs(30), None)),
        (Some(1), None, (secs(1), None)),
        (Some(600), None, (secs(600), None)),
        (None, Some(86_400), (secs(30), Some(secs(86_400)))),
        (None, Some(7), (secs(7), Some(secs(7)))),
        (Some(20), Some(20), (secs(20), Some(secs(20)))),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = mint(&format!("/e{number}"), "w1").lengths(ttl, max);
        let claim = minted(&store, asked).await.claim;
        assert_eq!(seconds(&claim), expected);
        assert_eq!(store.get_claim(claim.id.clone()).await.unwrap().0.lease, claim.lease);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mint_leaves_at_most_an_idle_entity_without_a_fence() {
    let (db, store) = scene().await;
    minted(&store, mint("/a", "w1").epoch("sub", 1)).await;
    let before = db.all_rows().await;
    refusal(store.mint(mint("/new", "w1").epoch("sub", 1).mint).await);
    assert_eq!(entity_state(&db, &entity_key("/new")).await, "idle");
    db.sql
        .batch_execute(
            "DELETE FROM entity_dispatch_state WHERE entity_url = '/new' AND fence = 0
                 AND last_claimed_at IS NULL",
        )
        .await
        .unwrap();
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_do_not_see_each_other() {
    let (db, store) = scene().await;
    let asked = mint("/a", "w1").epoch("sub", 1);
    let token = asked.token.digest();
    let here = minted(&store, asked).await.claim;
    let there = minted(&store, mint("/a", "w1").epoch("sub", 1).tenant("other")).await.claim;
    assert!(there.id != here.id && there.fence.get() == 1);
    store.done(done(&there.id)).await.unwrap();
    assert_eq!(state_of(&db, &here.id).await, "active");
    store.authorize(tenant(), here.stream.clone(), token).await.unwrap();
    let refused = store.authorize(there.id.tenant.clone(), here.stream, token).await;
    assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
    store.signal(kill("/a")).await.unwrap();
    let other = claims::domain::EntityKey { tenant: there.id.tenant, url: there.entity };
    assert_eq!(entity_state(&db, &other).await, "idle");
    db.check_invariants().await;
}
