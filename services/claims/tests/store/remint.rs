//! M2: a mint whose answer was lost is healed by repeating it; nobody else gets in that way.

use super::support::{
    assert_ended, claim_on, entity_state, minted, refusal, scene, secs, state_of,
};
use claims::domain::{ClaimState, EntitySignal, EntityState, Refusal, StreamPath};
use claims::testing::{done, entity_key, heartbeat, mint, revoke, signal, tenant};

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_epoch_by_the_same_caller_renews_the_same_row_with_a_fresh_token() {
    let (db, store) = scene().await;
    let ask = || mint("/a", "w1").epoch("sub", 1).request("r1").lengths(Some(20), Some(600));
    let first = ask();
    let old_token = first.token.digest();
    let first = minted(&store, first).await.claim;
    db.age(&first.id, secs(10)).await;
    store.heartbeat(heartbeat(&first.id)).await.unwrap();
    let (aged, _) = store.get_claim(first.id.clone()).await.unwrap();

    let second = ask();
    let token = second.token.digest();
    let second = minted(&store, second).await;
    assert!(second.reminted && second.ended_predecessor.is_none());
    let claim = second.claim;
    assert_eq!((&claim.id, claim.fence.get()), (&first.id, 2));
    assert_eq!(claim.claimed_at, aged.claimed_at);
    assert_eq!(claim.lease.ceiling_at, aged.lease.ceiling_at);
    assert!(claim.lease.expires_at >= aged.lease.expires_at);
    assert_eq!(db.claim_column(&claim.id, "fence").await.as_deref(), Some("2"));
    let heard = "SELECT count(*) FROM claim_leases
         WHERE heard_at > clock_timestamp() - interval '5 seconds' AND last_heartbeat_at < heard_at";
    assert_eq!(db.number(heard).await, 1, "heard of, without a heartbeat");

    let refused = store.authorize(tenant(), claim.stream.clone(), old_token).await;
    assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
    store.authorize(tenant(), claim.stream, token).await.unwrap();
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "reminted"]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_finds_its_claim_without_an_epoch() {
    let (db, store) = scene().await;
    let ask = |url: &str, request: &str| mint(url, "w1").request(request);
    let first = minted(&store, ask("/a", "r1")).await.claim;
    let again = minted(&store, ask("/a", "r1")).await;
    assert!(again.reminted);
    assert_eq!(again.claim.id, first.id);
    // Another entity, and another request, are other matters.
    let elsewhere = minted(&store, ask("/b", "r1")).await;
    assert!(!elsewhere.reminted);
    let refused = refusal(store.mint(ask("/a", "r2").mint).await);
    assert!(matches!(refused, Refusal::AlreadyClaimed { .. }), "{refused}");
    // Once it has ended, the request is answered with its state, for good.
    store.done(done(&first.id)).await.unwrap();
    assert_ended(&refusal(store.mint(ask("/a", "r1").mint).await), ClaimState::Released);
    minted(&store, ask("/a", "r2")).await;
    assert_ended(&refusal(store.mint(ask("/a", "r1").mint).await), ClaimState::Released);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_claims_with_one_request_the_newest_is_meant() {
    let (db, store) = scene().await;
    // Epochs given by an authority, so that each is a claim of its own.
    let old = minted(&store, mint("/a", "w1").epoch("sub", 1).request("r")).await.claim;
    let new = minted(&store, mint("/a", "w1").epoch("sub", 2).request("r")).await.claim;
    assert_eq!(state_of(&db, &old.id).await, "superseded");
    // The one that would be meant has another authority than a mint without an epoch.
    let refused = refusal(store.mint(mint("/a", "w1").request("r").mint).await);
    assert!(matches!(refused, Refusal::IdentityInUse { .. }), "{refused}");
    store.done(done(&new.id)).await.unwrap();
    let refused = refusal(store.mint(mint("/a", "w1").request("r").mint).await);
    assert_ended(&refused, ClaimState::Released);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_or_superseded_claim_is_never_reactivated() {
    let (db, store) = scene().await;
    let ask = |url: &str| mint(url, "w1").epoch("sub", 1).request("r");
    let mut ids = Vec::new();
    for (n, url) in (1..).zip(["/released", "/failed", "/expired", "/revoked", "/superseded"]) {
        let asked = mint(url, "w1").epoch("sub", n).request("r");
        ids.push(minted(&store, asked).await.claim.id);
    }
    store.done(done(&ids[0])).await.unwrap();
    let outcome = claims::domain::DoneOutcome::Failed;
    store.done(claims::domain::Done { outcome, ..done(&ids[1]) }).await.unwrap();
    db.lapse(&ids[2], secs(1)).await;
    minted(&store, mint("/expired", "w2")).await;
    store.revoke(revoke(&ids[3], "")).await.unwrap();
    minted(&store, mint("/superseded", "w2").supersede()).await;
    let before = db.all_rows().await;
    for (n, state) in (1..).zip([
        ClaimState::Released,
        ClaimState::Failed,
        ClaimState::Expired,
        ClaimState::Revoked,
        ClaimState::Superseded,
    ]) {
        let url = format!("/{}", state.as_str());
        let asked = mint(&url, "w1").epoch("sub", n).request("r");
        let refused = refusal(store.mint(asked.mint).await);
        if state == ClaimState::Superseded {
            assert!(matches!(refused, Refusal::ClaimSuperseded { .. }), "{refused}");
        } else {
            assert_ended(&refused, state);
        }
    }
    // The state comes before the place.
    assert_ended(&refusal(store.mint(ask("/superseded").mint).await), ClaimState::Released);
    assert_eq!(db.all_rows().await, before);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_in_use_elsewhere_is_refused() {
    let (db, store) = scene().await;
    let claim = claim_on(&store, "/a", "w1").await;
    let elsewhere = mint("/b", "w1").epoch("sub", 1).request("r");
    let mut other_stream = mint("/a", "w1").epoch("sub", 1).request("r");
    other_stream.mint.stream = StreamPath::of_entity(&claim.entity, "/a/side").unwrap();
    let other_authority = mint("/a", "w1").epoch("other", 1).request("r");
    for asked in [elsewhere, other_stream, other_authority] {
        let refused = refusal(store.mint(asked.supersede().mint).await);
        assert_eq!(refused, Refusal::IdentityInUse { entity: claim.entity.clone() });
    }
    assert_eq!(state_of(&db, &claim.id).await, "active");
    assert_eq!(entity_state(&db, &entity_key("/b")).await, "idle");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_caller_with_the_same_identity_is_refused() {
    let (db, store) = scene().await;
    let ask = || mint("/a", "w1").epoch("sub", 1);
    let claim = minted(&store, ask().request("r1").runner("one")).await.claim;
    for other in [
        ask().request("r2").runner("one"),
        ask().runner("two"),
        // Nobody is the same caller for having said nothing.
        ask(),
    ] {
        let refused = refusal(store.mint(other.mint).await);
        assert!(matches!(refused, Refusal::AlreadyClaimed { .. }), "{refused}");
    }
    // Without a request id the runner tells.
    assert!(minted(&store, ask().runner("one")).await.reminted);
    db.lapse(&claim.id, secs(1)).await;
    let refused = refusal(store.mint(ask().runner("two").mint).await);
    assert!(matches!(refused, Refusal::EpochFenced { .. }), "{refused}");
    // The same caller gets its lapsed claim back, since nobody has ended it.
    let again = minted(&store, ask().runner("one")).await;
    assert!(again.reminted);
    assert!(!store.heartbeat(heartbeat(&claim.id)).await.unwrap().had_lapsed);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_at_its_ceiling_is_not_minted_again() {
    let (db, store) = scene().await;
    let ask = || mint("/a", "w1").epoch("sub", 1).request("r").lengths(Some(10), Some(60));
    let claim = minted(&store, ask()).await.claim;
    db.age(&claim.id, secs(61)).await;
    assert_eq!(refusal(store.mint(ask().mint).await), Refusal::CeilingReached);
    assert_eq!(db.claim_column(&claim.id, "fence").await.as_deref(), Some("1"));
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_entity_is_not_minted_again_either() {
    let (db, store) = scene().await;
    let ask = || mint("/a", "w1").epoch("sub", 1).request("r");
    minted(&store, ask()).await;
    store.signal(signal("/a", EntitySignal::Stop)).await.unwrap();
    let refused = refusal(store.mint(ask().mint).await);
    assert_eq!(refused, Refusal::EntityNotClaimable(EntityState::Paused));
    db.check_invariants().await;
}
