//! The table of signals, and what KILL does to claims.

use super::support::{actors, claim_on, entity_state, minted, refusal, scene};
use claims::domain::{ClaimState, EntitySignal, EntityState, Refusal, Signal, Text};
use claims::store::ClaimStore;
use claims::testing::{TestDatabase, claim_id, done, entity_key, kill, mint, signal};

/// Brings a new entity into a state, with a claim if the state may have one and `claimed`.
async fn entity_in(store: &ClaimStore, url: &str, state: EntityState, claimed: bool) {
    if claimed {
        minted(store, mint(url, &format!("holder of {url}"))).await;
    }
    let signals: &[EntitySignal] = match state {
        // A signal that changes nothing names the entity.
        EntityState::Idle | EntityState::Running => &[EntitySignal::Cont],
        EntityState::Paused => &[EntitySignal::Stop],
        EntityState::Stopping | EntityState::Stopped => &[EntitySignal::Term],
        EntityState::Killed => &[EntitySignal::Kill],
    };
    for asked in signals {
        let found = store.signal(signal(url, *asked)).await.expect("a signal").entity.state;
        assert_eq!(found, state);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_has_its_effect_in_every_state() {
    use EntitySignal::{Cont, Kill, Stop, Term};
    use EntityState::{Idle, Killed, Paused, Running, Stopped, Stopping};
    let (db, store) = scene().await;
    // What a signal leads to; the same state means no change, none means a refusal.
    let table = [
        (Idle, false, Stop, Some(Paused)),
        (Idle, false, Cont, Some(Idle)),
        (Idle, false, Term, Some(Stopped)),
        (Idle, false, Kill, Some(Killed)),
        (Running, true, Stop, Some(Paused)),
        (Running, true, Cont, Some(Running)),
        (Running, true, Term, Some(Stopping)),
        (Running, true, Kill, Some(Killed)),
        (Paused, false, Stop, Some(Paused)),
        (Paused, false, Cont, Some(Idle)),
        (Paused, false, Term, Some(Stopped)),
        (Paused, false, Kill, Some(Killed)),
        (Paused, true, Stop, Some(Paused)),
        (Paused, true, Cont, Some(Running)),
        (Paused, true, Term, Some(Stopping)),
        (Paused, true, Kill, Some(Killed)),
        (Stopping, true, Stop, None),
        (Stopping, true, Cont, None),
        (Stopping, true, Term, Some(Stopping)),
        (Stopping, true, Kill, Some(Killed)),
        (Stopped, false, Stop, None),
        (Stopped, false, Cont, None),
        (Stopped, false, Term, Some(Stopped)),
        (Stopped, false, Kill, None),
        (Killed, false, Stop, None),
        (Killed, false, Cont, None),
        (Killed, false, Term, None),
        (Killed, false, Kill, Some(Killed)),
    ];
    for (number, (from, claimed, asked, to)) in table.into_iter().enumerate() {
        let url = format!("/e{number}");
        entity_in(&store, &url, from, claimed).await;
        let before = db.all_rows().await;
        let answer = store.signal(signal(&url, asked)).await;
        let what = format!("{} in {}", asked.as_str(), from.as_str());
        match to {
            Some(to) => {
                let signaled = answer.unwrap();
                assert_eq!(signaled.entity.state, to, "{what}");
                assert_eq!(signaled.changed, to != from, "{what}");
                assert_eq!(signaled.current_claim.is_some(), claimed && to != Killed, "{what}");
                assert_eq!(entity_state(&db, &entity_key(&url)).await, to.as_str());
                let events = db.events_of(&entity_key(&url)).await;
                let told = events.last() == Some(&format!("signaled:{}", asked.as_str()));
                assert!(told || to == from, "{what}: {events:?}");
            }
            None if from.is_terminal() => {
                assert_eq!(refusal(answer), Refusal::EntityTerminal(from), "{what}");
            }
            None => assert_eq!(refusal(answer), Refusal::SignalNotApplicable(from), "{what}"),
        }
        if to.is_none_or(|to| to == from) {
            assert_eq!(db.all_rows().await, before, "{what}");
        }
        db.check_invariants().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_to_an_entity_that_was_never_named_counts() {
    let (db, store) = scene().await;
    let paused = store.signal(signal("/a", EntitySignal::Stop)).await.unwrap();
    assert!(paused.changed && paused.current_claim.is_none());
    let refused = refusal(store.mint(mint("/a", "w1").mint).await);
    assert_eq!(refused, Refusal::EntityNotClaimable(EntityState::Paused));
    assert_eq!(paused.entity.fence.get(), 0);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_is_recorded_with_what_its_operator_said() {
    let (db, store) = scene().await;
    minted(&store, mint("/a", "w1")).await;
    let reason = Text::parse("reason", "deploy: 42").unwrap();
    let asked = Signal { reason, actor: "anna".into(), ..signal("/a", EntitySignal::Stop) };
    store.signal(asked).await.unwrap();
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "signaled:stop: deploy: 42"]);
    assert_eq!(actors(&db, &entity_key("/a")).await, ["holder", "anna"]);
    let fence = "SELECT fence FROM claim_events WHERE type = 'signaled'";
    assert_eq!(db.number(fence).await, 1);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_ends_the_current_claim_and_every_superseded_one_and_no_other() {
    let (db, store) = scene().await;
    for (consumer, epoch) in [("w1", 1), ("w2", 2), ("w3", 3), ("w4", 4)] {
        minted(&store, mint("/a", consumer).epoch("sub", epoch)).await;
    }
    let finished = store.done(done(&claim_id("w2", 2))).await.unwrap().claim;
    let neighbour = claim_on(&store, "/a/b", "w5").await;
    let killed = store.signal(kill("/a")).await.unwrap();
    assert!(killed.changed && killed.current_claim.is_none());
    assert_eq!(killed.entity.state, EntityState::Killed);
    for (consumer, epoch, cleared) in [("w1", 1, false), ("w3", 3, false), ("w4", 4, true)] {
        let (claim, _) = store.get_claim(claim_id(consumer, epoch)).await.unwrap();
        assert_eq!(claim.state, ClaimState::Revoked);
        let ending = claim.ending.unwrap();
        assert_eq!(
            (ending.reason.to_string().as_str(), ending.entity_cleared),
            ("killed", cleared)
        );
        assert_eq!(ending.at, killed.entity.last_ended_at.unwrap());
    }
    assert_eq!(store.get_claim(finished.id.clone()).await.unwrap().0, finished);
    assert_eq!(store.get_claim(neighbour.id.clone()).await.unwrap().0, neighbour);
    assert_eq!(db.number("SELECT count(*) FROM claim_leases").await, 1);
    let events = db.events_of(&entity_key("/a")).await;
    let ends = ["revoked:killed", "revoked:killed", "revoked:killed", "signaled:kill"];
    assert_eq!(events[events.len() - 4..], ends);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_entity_with_a_claim_runs_again_when_continued() {
    let db = TestDatabase::in_service().await;
    let store = db.store();
    let id = claim_on(&store, "/a", "w1").await.id;
    store.signal(signal("/a", EntitySignal::Stop)).await.unwrap();
    assert_eq!(db.lease_column(&id, "stop").await.as_deref(), Some("true"));
    let continued = store.signal(signal("/a", EntitySignal::Cont)).await.unwrap();
    assert_eq!(continued.entity.state, EntityState::Running);
    assert_eq!(continued.current_claim.unwrap().id, id);
    assert_eq!(db.lease_column(&id, "stop").await.as_deref(), Some("false"));
    db.check_invariants().await;
}
