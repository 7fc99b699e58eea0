//! The core calls against a real Postgres, one caller at a time.
#![cfg(feature = "testing")]

use claims::domain::{ClaimState, EntityState, Refusal};
use claims::store::StoreError;
use claims::testing::{TestDatabase, done, entity_key, heartbeat, mint};

#[tokio::test(flavor = "multi_thread")]
async fn a_mint_is_stored_and_a_done_clears_the_entity() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let asked = mint("/chat/a", "w1").epoch("sub", 1);
    let token = asked.token.clone();
    let minted = store.mint(asked.mint).await.unwrap();
    assert_eq!(minted.claim.fence.get(), 1);
    assert!(!minted.reminted);
    let id = minted.claim.id.clone();

    let allowed = store
        .authorize(id.tenant.clone(), minted.claim.stream.clone(), token.digest())
        .await
        .unwrap();
    assert_eq!(allowed.id, id);

    let renewal = store.heartbeat(heartbeat(&id)).await.unwrap();
    assert!(renewal.expires_at > minted.claim.lease.expires_at);
    assert!(!renewal.had_lapsed);

    let ended = store.done(done(&id)).await.unwrap();
    assert!(ended.claim.ending.as_ref().unwrap().entity_cleared);
    assert!(!ended.already_ended && ended.acks_recorded);
    assert_eq!(ended.entity_state, EntityState::Idle);

    let again = store.done(done(&id)).await.unwrap();
    assert!(again.already_ended && again.acks_recorded);
    assert_eq!(again.claim, ended.claim);

    let refused = store.heartbeat(heartbeat(&id)).await.unwrap_err();
    assert!(matches!(
        refused,
        StoreError::Refused(Refusal::ClaimEnded { state: ClaimState::Released, .. })
    ));
    assert_eq!(db.events_of(&entity_key("/chat/a")).await, ["minted", "released:done"]);
    db.check_invariants().await;
}
