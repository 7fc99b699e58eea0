//! A done that meets a mint, another done, a KILL.

use super::support::{Arena, ROUNDS, race, refusal};
use claims::domain::{ClaimState, Done, DoneOutcome, EntityState, Refusal};
use claims::testing::{done, entity_key, kill, mint};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_done_that_meets_a_newer_epoch_ends_its_own_claim_only() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        // An identity is not used twice, so neither is a consumer whose epochs are given.
        let consumer = format!("w{round}");
        let (ending, newer) = (done(&id), mint(&url, &consumer).epoch("sub", 2).mint);
        let (ended, minted) =
            race(async move { one.done(ending).await }, async move { other.mint(newer).await })
                .await;
        let (ended, minted) = (ended.unwrap(), minted.unwrap());
        assert!(!ended.already_ended && ended.acks_recorded);
        assert_eq!(ended.claim.state, ClaimState::Released);
        let cleared = ended.claim.ending.unwrap().entity_cleared;
        match &minted.ended_predecessor {
            // Done, then mint.
            None => {
                assert!(cleared);
                assert_eq!(ended.entity_state, EntityState::Idle);
                assert_eq!(arena.events(&id, "superseded").await, 0);
            }
            // Mint, then done.
            Some(predecessor) => {
                assert_eq!((&predecessor.id, predecessor.state), (&id, ClaimState::Superseded));
                assert!(!cleared);
                assert_eq!(ended.entity_state, EntityState::Running);
                assert_eq!(arena.events(&id, "superseded").await, 1);
            }
        }
        assert_eq!(arena.claim_state(&id).await, "released");
        let newer = ("running".to_owned(), Some(consumer));
        assert_eq!(arena.entity(&entity_key(&url)).await, newer);
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_that_meets_a_mint_without_a_right_to_displace_always_ends_the_claim() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        let (ending, waiting) = (done(&id), mint(&url, "w2").mint);
        let (ended, minted) =
            race(async move { one.done(ending).await }, async move { other.mint(waiting).await })
                .await;
        let ended = ended.unwrap();
        assert!(!ended.already_ended && ended.claim.ending.unwrap().entity_cleared);
        let found = arena.entity(&entity_key(&url)).await;
        match minted {
            // Done, then mint.
            Ok(minted) => {
                assert!(minted.ended_predecessor.is_none());
                assert_eq!(found, ("running".to_owned(), Some("w2".to_owned())));
            }
            // Mint, then done.
            Err(error) => {
                let refused = refusal::<()>(Err(error));
                assert!(
                    matches!(&refused, Refusal::AlreadyClaimed { holder, .. }
                        if *holder == id.consumer),
                    "{refused}"
                );
                assert_eq!(found, ("idle".to_owned(), None));
            }
        }
        assert_eq!(arena.claim_state(&id).await, "released");
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_done_that_meets_a_take_over_is_told_who_was_first() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        arena.db.lapse(&id, Duration::from_secs(1)).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        let (ending, taking) = (done(&id), mint(&url, "w2").mint);
        let (ended, minted) =
            race(async move { one.done(ending).await }, async move { other.mint(taking).await })
                .await;
        let (ended, minted) = (ended.unwrap(), minted.unwrap());
        // It was the current one either way.
        assert!(ended.claim.ending.as_ref().unwrap().entity_cleared);
        match &minted.ended_predecessor {
            // Done, then mint.
            None => {
                assert!(!ended.already_ended && ended.acks_recorded);
                assert_eq!(ended.claim.state, ClaimState::Released);
            }
            // Mint, then done.
            Some(predecessor) => {
                assert_eq!((&predecessor.id, predecessor.state), (&id, ClaimState::Expired));
                assert!(ended.already_ended && !ended.acks_recorded);
                assert_eq!(ended.claim.state, ClaimState::Expired);
                assert_eq!(ended.entity_state, EntityState::Running);
            }
        }
        assert_eq!(arena.claim_state(&id).await, ended.claim.state.as_str());
        let newer = ("running".to_owned(), Some("w2".to_owned()));
        assert_eq!(arena.entity(&entity_key(&url)).await, newer);
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_dones_the_first_one_counts_and_both_are_told_so() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        let completed = done(&id);
        let failed = Done { outcome: DoneOutcome::Failed, acked_streams: vec![], ..done(&id) };
        let (completed, failed) =
            race(async move { one.done(completed).await }, async move { other.done(failed).await })
                .await;
        let (completed, failed) = (completed.unwrap(), failed.unwrap());
        assert_eq!(completed.claim, failed.claim);
        let (first, second) = match completed.claim.state {
            ClaimState::Released => (completed, failed),
            ClaimState::Failed => (failed, completed),
            other => panic!("ended otherwise: {other:?}"),
        };
        assert!(!first.already_ended && first.acks_recorded);
        assert!(second.already_ended && !second.acks_recorded);
        assert!(first.claim.ending.unwrap().entity_cleared);
        assert_eq!(arena.claim_state(&id).await, first.claim.state.as_str());
        assert_eq!(arena.entity(&entity_key(&url)).await, ("idle".to_owned(), None));
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_done_that_meets_a_kill_ends_or_finds_the_claim_ended() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let id = arena.claim(&url).await;
        let (one, other) = (arena.one.clone(), arena.other.clone());
        let (ending, killing) = (done(&id), kill(&url));
        let (ended, killed) =
            race(async move { one.done(ending).await }, async move { other.signal(killing).await })
                .await;
        let (ended, killed) = (ended.unwrap(), killed.unwrap());
        assert!(killed.changed && killed.current_claim.is_none());
        assert!(ended.claim.ending.as_ref().unwrap().entity_cleared);
        if ended.already_ended {
            // KILL, then done.
            assert_eq!(ended.claim.state, ClaimState::Revoked);
            assert!(!ended.acks_recorded);
            assert_eq!(ended.entity_state, EntityState::Killed);
        } else {
            // Done, then KILL.
            assert_eq!(ended.claim.state, ClaimState::Released);
            assert_eq!(ended.entity_state, EntityState::Idle);
        }
        assert_eq!(arena.claim_state(&id).await, ended.claim.state.as_str());
        assert_eq!(arena.entity(&entity_key(&url)).await, ("killed".to_owned(), None));
        arena.db.check_invariants().await;
    }
    arena.close();
}
