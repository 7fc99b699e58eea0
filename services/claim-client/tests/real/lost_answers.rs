//! Answers that are lost between the database and the server, after the commit or before it.

use crate::support::programs::Server;
use crate::support::{client, entity, id, may_write, mint};
use claim_client::Done;
use claim_client::v1::ClaimState;
use claims::testing::{Proxy, Road, TestDatabase, entity_key};

#[tokio::test]
async fn a_mint_whose_answer_is_lost_is_healed_by_the_client_itself() {
    for (road, is_remint) in [(Road::CutAfterCommit, true), (Road::CutBeforeCommit, false)] {
        let db = TestDatabase::in_service().await;
        let proxy = Proxy::before(db.url()).await;
        let server = Server::start(proxy.url()).await;
        let client = client(&[server.url()]);
        mint(&client, "w_0").await.done(Done::completed()).await.unwrap();

        proxy.set(road);
        let guard = mint(&client, "w_1").await;
        assert_eq!(proxy.road(), Road::Open, "an answer was lost");
        assert_eq!(guard.is_remint(), is_remint, "{road:?}");
        let events = db.events_of(&entity_key(&entity("w_1"))).await;
        let expected: &[&str] = if is_remint { &["minted", "reminted"] } else { &["minted"] };
        assert_eq!(events, expected);
        // The token of the answer that came is the one that counts.
        let token = guard.write_token().reveal();
        let write = client.authorize_write("", &guard.claim().stream_path, token).await.unwrap();
        assert_eq!(write.fence, guard.claim().fence);
        assert!(may_write(&guard));
        guard.done(Done::completed()).await.unwrap();
        db.check_invariants().await;
    }
}

#[tokio::test]
async fn a_done_whose_answer_is_lost_is_told_as_its_own() {
    let db = TestDatabase::in_service().await;
    let proxy = Proxy::before(db.url()).await;
    let server = Server::start(proxy.url()).await;
    let client = client(&[server.url()]);
    let guard = mint(&client, "w_1").await;
    let lost = guard.cancellation();
    proxy.set(Road::CutAfterCommit);
    let ended = guard.done(Done::completed().ack("/in/main", "7")).await.unwrap();
    assert_eq!(proxy.road(), Road::Open, "an answer was lost");
    assert!(ended.already_ended && ended.acks_recorded && ended.entity_cleared);
    assert!(!lost.is_cancelled());
    assert_eq!(client.get_claim(&id("w_1", 1)).await.unwrap().state(), ClaimState::Released);
    let events = db.events_of(&entity_key(&entity("w_1"))).await;
    assert_eq!(events, ["minted", "released:done"]);
    db.check_invariants().await;
}
