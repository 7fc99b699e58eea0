//! Mints that meet mints.

use super::support::{Arena, ROUNDS, race, refusal};
use claims::domain::{ClaimState, Minted, Refusal};
use claims::store::StoreError;
use claims::testing::{MintBuilder, entity_key, mint, tenant};
use std::time::Duration;

type Answer = Result<Minted, StoreError>;

/// Lets two mints race from the two servers; in every other round on an entity that exists.
async fn race_mints(arena: &Arena, one: MintBuilder, other: MintBuilder) -> (Answer, Answer) {
    let (first, second) = (arena.one.clone(), arena.other.clone());
    race(async move { first.mint(one.mint).await }, async move { second.mint(other.mint).await })
        .await
}

/// One of two mints was accepted and the other refused: which one.
fn winner(one: Answer, other: Answer) -> (Minted, Refusal) {
    match (one, other) {
        (Ok(winner), loser @ Err(_)) | (loser @ Err(_), Ok(winner)) => (winner, refusal(loser)),
        both => panic!("one of two mints must win: {both:?}"),
    }
}

async fn assert_holds(arena: &Arena, url: &str, minted: &Minted, fence: i64) {
    let holder = minted.claim.id.consumer.as_str().to_owned();
    assert_eq!(arena.entity(&entity_key(url)).await, ("running".to_owned(), Some(holder)));
    assert_eq!(arena.claim_state(&minted.claim.id).await, "active");
    let stored = arena.db.entity_column(&entity_key(url), "fence").await;
    assert_eq!(stored, Some(fence.to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_mints_with_one_epoch_one_is_told_who_the_other_is() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let one = mint(&url, &format!("one {round}")).epoch("sub", 1);
        let other = mint(&url, &format!("other {round}")).epoch("sub", 1);
        let (one, other) = race_mints(&arena, one, other).await;
        let (minted, refused) = winner(one, other);
        let Refusal::AlreadyClaimed { holder, epoch, .. } = refused else {
            panic!("refused otherwise: {refused}");
        };
        assert_eq!((&holder, epoch), (&minted.claim.id.consumer, minted.claim.id.epoch));
        assert!(minted.ended_predecessor.is_none());
        assert_holds(&arena, &url, &minted, 1).await;
        assert_eq!(arena.db.events_of(&entity_key(&url)).await, ["minted"]);
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_mints_with_rising_epochs_the_higher_one_holds_the_entity() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let low = mint(&url, &format!("low {round}")).epoch("sub", 1);
        let high = mint(&url, &format!("high {round}")).epoch("sub", 2);
        let (low, high) = race_mints(&arena, low, high).await;
        let high = high.unwrap();
        match low {
            // Low, then high.
            Ok(low) => {
                let predecessor = high.ended_predecessor.as_ref().unwrap();
                assert_eq!(predecessor.id, low.claim.id);
                assert_eq!(predecessor.state, ClaimState::Superseded);
                assert_eq!(arena.claim_state(&low.claim.id).await, "superseded");
                assert_holds(&arena, &url, &high, 2).await;
            }
            // High, then low.
            Err(error) => {
                let highest = high.claim.id.epoch;
                assert_eq!(refusal::<()>(Err(error)), Refusal::EpochFenced { highest });
                assert!(high.ended_predecessor.is_none());
                assert_holds(&arena, &url, &high, 1).await;
            }
        }
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_mints_of_one_consumer_on_two_entities_are_issued_different_epochs() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let (here, there) = (format!("/here/{round}"), format!("/there/{round}"));
        let consumer = format!("w{round}");
        let (one, other) =
            race_mints(&arena, mint(&here, &consumer), mint(&there, &consumer)).await;
        let (one, other) = (one.unwrap(), other.unwrap());
        let mut epochs = [one.claim.id.epoch.get(), other.claim.id.epoch.get()];
        epochs.sort_unstable();
        assert_eq!(epochs, [1, 2]);
        assert_holds(&arena, &here, &one, 1).await;
        assert_holds(&arena, &there, &other, 1).await;
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_mints_without_a_right_to_displace_one_is_refused() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let (one, other) = race_mints(
            &arena,
            mint(&url, &format!("one {round}")),
            mint(&url, &format!("other {round}")),
        )
        .await;
        let (minted, refused) = winner(one, other);
        let Refusal::AlreadyClaimed { holder, .. } = refused else {
            panic!("refused otherwise: {refused}");
        };
        assert_eq!(holder, minted.claim.id.consumer);
        assert_holds(&arena, &url, &minted, 1).await;
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_mints_that_supersede_the_later_one_holds_the_entity() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let one = mint(&url, &format!("one {round}")).supersede();
        let other = mint(&url, &format!("other {round}")).supersede();
        let (one, other) = race_mints(&arena, one, other).await;
        let (one, other) = (one.unwrap(), other.unwrap());
        let (first, last) =
            if one.claim.fence < other.claim.fence { (one, other) } else { (other, one) };
        assert!(first.ended_predecessor.is_none());
        let predecessor = last.ended_predecessor.as_ref().unwrap();
        assert_eq!(predecessor.id, first.claim.id);
        assert_eq!(predecessor.state, ClaimState::Superseded);
        assert_eq!((first.claim.id.epoch.get(), last.claim.id.epoch.get()), (1, 2));
        assert_eq!(arena.claim_state(&first.claim.id).await, "superseded");
        assert_holds(&arena, &url, &last, 2).await;
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_mints_that_find_a_lapsed_claim_one_takes_over() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        let old = arena.claim(&url).await;
        arena.db.lapse(&old, Duration::from_secs(1)).await;
        let (one, other) = race_mints(
            &arena,
            mint(&url, &format!("one {round}")),
            mint(&url, &format!("other {round}")),
        )
        .await;
        let (minted, refused) = winner(one, other);
        assert!(matches!(refused, Refusal::AlreadyClaimed { .. }), "{refused}");
        let predecessor = minted.ended_predecessor.as_ref().unwrap();
        assert_eq!((&predecessor.id, predecessor.state), (&old, ClaimState::Expired));
        assert_eq!(arena.claim_state(&old).await, "expired");
        assert_eq!(arena.events(&old, "expired").await, 1);
        assert_holds(&arena, &url, &minted, 2).await;
        arena.db.check_invariants().await;
    }
    arena.close();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_sent_to_two_servers_makes_one_claim_and_one_valid_token() {
    let arena = Arena::new().await;
    for round in 0..ROUNDS {
        let url = format!("/e{round}");
        // In every other round the claim is there already, and both are re-mints.
        let there_before = round % 2 == 1;
        let ask = || mint(&url, "w1").request("r1");
        if there_before {
            arena.minted(ask()).await;
        }
        let (one, other) = (ask(), ask());
        let (one_token, other_token) = (one.token.digest(), other.token.digest());
        let (one, other) = race_mints(&arena, one, other).await;
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.claim.id, other.claim.id);
        let (first, last, dead, valid) = if one.claim.fence < other.claim.fence {
            (one, other, one_token, other_token)
        } else {
            (other, one, other_token, one_token)
        };
        assert_eq!((first.reminted, last.reminted), (there_before, true));
        let fence = 2 + i64::from(there_before);
        assert_eq!((first.claim.fence.get(), last.claim.fence.get()), (fence - 1, fence));
        assert_eq!(first.claim.claimed_at, last.claim.claimed_at);
        let stream = last.claim.stream.clone();
        let refused = arena.one.authorize(tenant(), stream.clone(), dead).await;
        assert_eq!(refusal(refused), Refusal::WriteTokenInvalid);
        let allowed = arena.other.authorize(tenant(), stream, valid).await.unwrap();
        assert_eq!(allowed.fence.get(), fence);
        assert_holds(&arena, &url, &last, fence).await;
        arena.db.check_invariants().await;
    }
    arena.close();
}
