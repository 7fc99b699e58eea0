use super::super::listeners::Listener;
use super::super::push::Push;
use super::*;
use claims::domain::{EntitySignal, Fence};
use claims::testing::{TestDatabase, entity_key, heartbeat, mint, revoke, signal};
use futures_util::FutureExt;
use std::sync::Arc;

/// Mints a claim of an entity of the same name, and has a heartbeat of it accepted on a stream.
async fn held(store: &ClaimStore, listener: &Listener, name: &str) -> ClaimId {
    let id = store.mint(mint(&format!("/{name}"), name).mint).await.unwrap().claim.id;
    let sending = listener.sending(&heartbeat(&id));
    let answer = Ok(store.heartbeat(heartbeat(&id)).await);
    listener.answered(&id, sending, None, &answer);
    id
}

fn told(listener: &Listener) -> BTreeMap<ClaimId, Push> {
    std::iter::from_fn(|| listener.push().now_or_never()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_events_were_missed_every_claim_that_somebody_listens_for_is_told_as_it_stands() {
    let db = TestDatabase::in_service().await;
    let (store, all) = (db.store(), Arc::new(Listeners::default()));
    let listener = Listener::among(&all);
    let mut ids = Vec::new();
    // More than are read together.
    for number in 0..READ_MAX + 6 {
        ids.push(held(&store, &listener, &format!("w_{number}")).await);
    }
    store.revoke(revoke(&ids[0], "why")).await.unwrap();
    store.signal(signal("/w_1", EntitySignal::Stop)).await.unwrap();
    store.mint(mint("/w_2", "taker").supersede().mint).await.unwrap();
    let last = &ids[READ_MAX + 5];
    store.revoke(revoke(last, "why")).await.unwrap();

    tell_all(&store, &all).await;
    let told = told(&listener);
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(matches!(told[&ids[0]], Push::Lost(Refusal::ClaimEnded { .. })));
    assert!(matches!(told[&ids[1]], Push::Stop { .. }));
    assert!(matches!(told[&ids[2]], Push::Lost(Refusal::ClaimSuperseded { .. })));
    assert!(told[last].is_last());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_told_to_who_listens_and_costs_nothing_where_nobody_does() {
    let db = TestDatabase::in_service().await;
    let (store, all) = (db.store(), Arc::new(Listeners::default()));
    let listener = Listener::among(&all);
    let id = held(&store, &listener, "w_1").await;
    store.mint(mint("/other", "w_2").mint).await.unwrap();
    let signaled = |url: &str| Event {
        entity: entity_key(url),
        claim: None,
        fence: Fence::parse(1).unwrap(),
        event_type: EventType::Signaled,
        reason: "stop".to_owned(),
        actor: "operator".into(),
    };
    for url in ["/w_1", "/other"] {
        store.signal(signal(url, EntitySignal::Stop)).await.unwrap();
    }
    let events = [signaled("/w_1"), signaled("/other"), signaled("/nowhere")];
    tell(events.iter(), &store, &all).await;
    assert_eq!(told(&listener).keys().collect::<Vec<_>>(), [&id]);
    assert_eq!(all.unplaced(&[&id.tenant].into()), [], "it need not be read again");
}
