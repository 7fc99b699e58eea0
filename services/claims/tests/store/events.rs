//! E1, E2: one event for each accepted change, numbered in the order of its entity.

use super::support::{claim_on, minted, scene};
use claims::domain::EntitySignal;
use claims::testing::{done, entity_key, kill, mint, signal};

#[tokio::test(flavor = "multi_thread")]
async fn the_events_of_an_entity_tell_its_story_in_order() {
    let (db, store) = scene().await;
    let first = minted(&store, mint("/a", "w1").epoch("sub", 1).request("r")).await.claim.id;
    minted(&store, mint("/a", "w1").epoch("sub", 1).request("r")).await;
    minted(&store, mint("/a", "w2").epoch("sub", 2)).await;
    store.done(done(&first)).await.unwrap();
    store.signal(signal("/a", EntitySignal::Stop)).await.unwrap();
    store.signal(kill("/a")).await.unwrap();
    let story = "SELECT string_agg(concat_ws(' ', type, nullif(consumer_id, ''), nullif(epoch, 0),
                 fence, actor), ', ' ORDER BY sequence)
         FROM claim_events";
    let story: String = db.sql.query_one(story, &[]).await.unwrap().get(0);
    assert_eq!(
        story,
        "minted w1 1 1 holder, reminted w1 1 2 holder, superseded w1 1 2 mint, \
         minted w2 2 3 holder, released w1 1 2 holder, signaled 3 operator, \
         revoked w2 2 3 operator, signaled 3 operator"
    );
    let times = "SELECT count(*) FROM claim_events AS v
         JOIN consumer_claims AS c USING (tenant_id, consumer_id, epoch)
         WHERE v.occurred_at = CASE v.type WHEN 'minted' THEN c.claimed_at ELSE c.ended_at END";
    assert_eq!(db.number(times).await, 4, "an event has the time of its change");
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_is_drawn_under_the_lock_that_writers_of_events_share() {
    let (db, store) = scene().await;
    db.sql
        .batch_execute(
            "CREATE TABLE drawn (locks bigint);
             CREATE FUNCTION note_draw() RETURNS bigint LANGUAGE plpgsql AS $$
             BEGIN
                 INSERT INTO drawn SELECT count(*) FROM pg_locks
                 WHERE pid = pg_backend_pid() AND locktype = 'advisory' AND mode = 'ShareLock';
                 RETURN nextval('claim_event_sequence');
             END
             $$;
             ALTER TABLE claim_events ALTER sequence SET DEFAULT note_draw()",
        )
        .await
        .unwrap();
    let id = claim_on(&store, "/a", "w1").await.id;
    store.done(done(&id)).await.unwrap();
    assert_eq!(db.number("SELECT count(*) FROM drawn").await, 2);
    assert_eq!(db.number("SELECT count(*) FROM drawn WHERE locks <> 1").await, 0);
    assert_eq!(db.events_of(&entity_key("/a")).await, ["minted", "released:done"]);
    db.check_invariants().await;
}
