//! The reaper meets a done, a mint, another reaper (R5).

use super::support::{Arena, DUE, REAP_GRACE, ROUNDS, race};
use claims::domain::{ClaimId, ClaimState};
use claims::store::{Reaped, Reaper};
use claims::testing::{done, entity_key, mint};

/// Claims of one round in which two reapers meet.
const DUE_CLAIMS: usize = 5;
/// Rounds of that race, in which a round is larger.
const REAPER_ROUNDS: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_done_that_meets_the_reaper_ends_or_finds_the_claim_ended() {
    let arena = Arena::new().await;
    let mut reaper = Reaper::new(arena.db.database(), "reaper");
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        arena.db.lapse(&id, DUE).await;
        let (store, ending, ids) = (arena.one.clone(), done(&id), [id.clone()]);
        let (ended, (reaped, back)) = race(async move { store.done(ending).await }, async move {
            let reaped = reaper.expire(&ids, REAP_GRACE).await;
            (reaped, reaper)
        })
        .await;
        reaper = back;
        let ended = ended.unwrap();
        assert!(ended.claim.ending.as_ref().unwrap().entity_cleared);
        match reaped.unwrap().as_slice() {
            // Done, then reaper; or the reaper came while the done held the entity.
            [Reaped::AlreadyEnded | Reaped::Locked] => {
                assert!(!ended.already_ended && ended.acks_recorded);
                assert_eq!(ended.claim.state, ClaimState::Released);
            }
            // Reaper, then done.
            [Reaped::Expired { .. }] => {
                assert!(ended.already_ended && !ended.acks_recorded);
                assert_eq!(ended.claim.state, ClaimState::Expired);
            }
            other => panic!("reaped otherwise: {other:?}"),
        }
        assert_eq!(arena.claim_state(&id).await, ended.claim.state.as_str());
        assert_eq!(arena.entity(&entity_key(&url)).await, ("idle".to_owned(), None));
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_take_over_that_meets_the_reaper_expires_the_claim_once() {
    let arena = Arena::new().await;
    let mut reaper = Reaper::new(arena.db.database(), "reaper");
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        arena.db.lapse(&id, DUE).await;
        let (store, taking, ids) = (arena.one.clone(), mint(&url, "w2").mint, [id.clone()]);
        let (minted, (reaped, back)) = race(async move { store.mint(taking).await }, async move {
            let reaped = reaper.expire(&ids, REAP_GRACE).await;
            (reaped, reaper)
        })
        .await;
        reaper = back;
        let minted = minted.unwrap();
        match reaped.unwrap().as_slice() {
            // Mint, then reaper; or the reaper came while the mint held the entity.
            [Reaped::AlreadyEnded | Reaped::Locked] => {
                let predecessor = minted.ended_predecessor.unwrap();
                assert_eq!((predecessor.id, predecessor.state), (id.clone(), ClaimState::Expired));
            }
            // Reaper, then mint.
            [Reaped::Expired { .. }] => assert!(minted.ended_predecessor.is_none()),
            other => panic!("reaped otherwise: {other:?}"),
        }
        assert_eq!(arena.events(&id, "expired").await, 1);
        let newer = ("running".to_owned(), Some("w2".to_owned()));
        assert_eq!(arena.entity(&entity_key(&url)).await, newer);
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_reapers_expire_every_due_claim_once() {
    let arena = Arena::new().await;
    let mut one = Reaper::new(arena.db.database(), "reaper");
    let mut other = Reaper::new(arena.db.database(), "reaper");
    for round in 0..REAPER_ROUNDS {
        let mut ids: Vec<ClaimId> = Vec::new();
        for number in 0..DUE_CLAIMS {
            let id = arena.claim(&format!("/e{round}/{number}")).await;
            arena.db.lapse(&id, DUE).await;
            ids.push(id);
        }
        let (reaping_one, reaping_other) = (pass(one), pass(other));
        let ((one_reaped, one_back), (other_reaped, other_back)) =
            race(reaping_one, reaping_other).await;
        (one, other) = (one_back, other_back);
        let mut expired: Vec<ClaimId> = Vec::new();
        for (id, reaped) in one_reaped.into_iter().chain(other_reaped) {
            match reaped {
                Reaped::Expired { .. } => expired.push(id),
                Reaped::AlreadyEnded | Reaped::Locked => {}
                bad => panic!("reaped otherwise: {bad:?}"),
            }
        }
        expired.sort();
        ids.sort();
        assert_eq!(expired, ids, "each by one of them");
        for id in &ids {
            assert_eq!(arena.claim_state(id).await, "expired");
            assert_eq!(arena.events(id, "expired").await, 1);
        }
        arena.db.check_invariants().await;
    }
    arena.close();
}

/// One pass: what it found and what became of it.
async fn pass(mut reaper: Reaper) -> (Vec<(ClaimId, Reaped)>, Reaper) {
    let scan = reaper.scan(REAP_GRACE).await.expect("a scan");
    let ids: Vec<ClaimId> = scan.candidates.into_iter().map(|candidate| candidate.id).collect();
    let reaped = reaper.expire(&ids, REAP_GRACE).await.expect("a pass");
    (ids.into_iter().zip(reaped).collect(), reaper)
}
