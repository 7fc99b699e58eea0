//! A heartbeat that meets the end of its claim: renewed and alive, or refused and gone, and never
//! renewed and gone.

use super::support::{Arena, DUE, REAP_GRACE, ROUNDS, race, refusal};
use claims::domain::{ClaimState, Refusal};
use claims::store::{Reaped, Reaper};
use claims::testing::{done, heartbeat, mint};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_meets_the_reaper_is_renewed_or_told_the_truth() {
    let arena = Arena::new().await;
    let mut reaper = Reaper::new(arena.db.database(), "reaper");
    for round in 0..ROUNDS {
        let id = arena.claim(&format!("/e{round}")).await;
        arena.db.lapse(&id, DUE).await;
        let (store, beat, ids) = (arena.one.clone(), heartbeat(&id), [id.clone()]);
        let (renewed, (reaped, back)) =
            race(async move { store.heartbeat(beat).await }, async move {
                let reaped = reaper.expire(&ids, REAP_GRACE).await;
                (reaped, reaper)
            })
            .await;
        reaper = back;
        match reaped.unwrap().as_slice() {
            // Heartbeat, then reaper.
            [Reaped::NotDue] => {
                assert!(renewed.unwrap().had_lapsed);
                assert_eq!(arena.claim_state(&id).await, "active");
                assert_eq!(arena.events(&id, "expired").await, 0);
            }
            // Reaper, then heartbeat.
            [Reaped::Expired { .. }] => {
                let refused = refusal(renewed);
                assert!(
                    matches!(&refused, Refusal::ClaimEnded { state: ClaimState::Expired, .. }),
                    "{refused}"
                );
                assert_eq!(arena.claim_state(&id).await, "expired");
                assert_eq!(arena.events(&id, "expired").await, 1);
            }
            other => panic!("reaped otherwise: {other:?}"),
        }
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_meets_a_take_over_is_renewed_or_told_the_truth() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        arena.db.lapse(&id, Duration::from_secs(1)).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        let (beat, taking) = (heartbeat(&id), mint(&url, "w2").mint);
        let (renewed, minted) =
            race(async move { one.heartbeat(beat).await }, async move { other.mint(taking).await })
                .await;
        match minted {
            // Mint, then heartbeat.
            Ok(minted) => {
                assert_eq!(minted.ended_predecessor.unwrap().state, ClaimState::Expired);
                let refused = refusal(renewed);
                assert!(
                    matches!(&refused, Refusal::ClaimEnded { state: ClaimState::Expired, .. }),
                    "{refused}"
                );
                assert_eq!(arena.claim_state(&id).await, "expired");
            }
            // Heartbeat, then mint.
            Err(error) => {
                let refused = refusal::<()>(Err(error));
                assert!(matches!(refused, Refusal::AlreadyClaimed { .. }), "{refused}");
                assert!(renewed.unwrap().had_lapsed);
                assert_eq!(arena.claim_state(&id).await, "active");
            }
        }
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_that_meets_its_own_done_is_renewed_or_told_the_truth() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let id = arena.claim(&format!("/e{round}")).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        let (beat, ending) = (heartbeat(&id), done(&id));
        let (renewed, ended) =
            race(async move { one.heartbeat(beat).await }, async move { other.done(ending).await })
                .await;
        let ended = ended.unwrap();
        assert!(!ended.already_ended);
        let lease = ended.claim.lease;
        match renewed {
            // Heartbeat, then done: the final lease is the renewed one.
            Ok(renewal) => {
                assert!(lease.last_heartbeat_at.is_some());
                assert_eq!(lease.expires_at, renewal.expires_at);
            }
            // Done, then heartbeat.
            Err(error) => {
                let refused = refusal::<()>(Err(error));
                assert!(
                    matches!(&refused, Refusal::ClaimEnded { state: ClaimState::Released, .. }),
                    "{refused}"
                );
                assert!(lease.last_heartbeat_at.is_none());
            }
        }
        assert_eq!(arena.claim_state(&id).await, "released");
        arena.db.check_invariants().await;
    }
    arena.close();
}
