//! A mint that meets a signal.

use super::support::{Arena, ROUNDS, race, refusal};
use claims::domain::{EntitySignal, EntityState, Minted, Refusal, Signaled};
use claims::store::StoreError;
use claims::testing::{entity_key, mint, signal};

/// Both answers of one round: the entity is new in even rounds, idle in odd ones.
async fn race_signal(
    arena: &Arena,
    url: &str,
    asked: EntitySignal,
) -> (Result<Minted, StoreError>, Signaled) {
    let (one, other) = (arena.one.clone(), arena.other.clone());
    let (minting, signaling) = (mint(url, "w1").mint, signal(url, asked));
    let (minted, signaled) =
        race(async move { one.mint(minting).await }, async move { other.signal(signaling).await })
            .await;
    let signaled = signaled.expect("a signal");
    assert!(signaled.changed);
    (minted, signaled)
}

async fn assert_entity(arena: &Arena, url: &str, state: EntityState, current: Option<&str>) {
    let expected = (state.as_str().to_owned(), current.map(str::to_owned));
    assert_eq!(arena.entity(&entity_key(url)).await, expected);
}

fn assert_not_claimable(minted: Result<Minted, StoreError>, state: EntityState) {
    assert_eq!(refusal(minted), Refusal::EntityNotClaimable(state));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_meets_stop_is_told_to_stop_or_refused() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let (minted, signaled) = race_signal(&arena, &url, EntitySignal::Stop).await;
        assert_eq!(signaled.entity.state, EntityState::Paused);
        match signaled.current_claim {
            // Mint, then STOP.
            Some(claim) => {
                assert_eq!(claim.id, minted.unwrap().claim.id);
                assert!(claim.lease.stop);
                assert_eq!(arena.db.lease_column(&claim.id, "stop").await.unwrap(), "true");
                assert_entity(&arena, &url, EntityState::Paused, Some("w1")).await;
            }
            // STOP, then mint.
            None => {
                assert_not_claimable(minted, EntityState::Paused);
                assert_entity(&arena, &url, EntityState::Paused, None).await;
            }
        }
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_meets_term_may_finish_or_is_refused() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let (minted, signaled) = race_signal(&arena, &url, EntitySignal::Term).await;
        match signaled.current_claim {
            // Mint, then TERM.
            Some(claim) => {
                assert_eq!(claim.id, minted.unwrap().claim.id);
                assert_eq!(signaled.entity.state, EntityState::Stopping);
                assert_entity(&arena, &url, EntityState::Stopping, Some("w1")).await;
            }
            // TERM, then mint.
            None => {
                assert_eq!(signaled.entity.state, EntityState::Stopped);
                assert_not_claimable(minted, EntityState::Stopped);
                assert_entity(&arena, &url, EntityState::Stopped, None).await;
            }
        }
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_that_meets_kill_is_revoked_or_refused() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let (minted, signaled) = race_signal(&arena, &url, EntitySignal::Kill).await;
        assert_eq!(signaled.entity.state, EntityState::Killed);
        assert!(signaled.current_claim.is_none());
        match minted {
            // Mint, then KILL.
            Ok(minted) => {
                assert_eq!(arena.claim_state(&minted.claim.id).await, "revoked");
                assert_eq!(arena.events(&minted.claim.id, "revoked").await, 1);
            }
            // KILL, then mint.
            Err(error) => assert_not_claimable(Err(error), EntityState::Killed),
        }
        assert_entity(&arena, &url, EntityState::Killed, None).await;
        arena.db.check_invariants().await;
    }
    arena.close();
}
