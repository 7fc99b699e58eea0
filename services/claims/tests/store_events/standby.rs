//! A standby does not know which transactions write on its primary, so nothing that is read there is
//! settled. It is treated as a failure, also where a pooler changes the server behind a connection.

use super::support::{Watcher, behind, everything, quick_store, recorded, write, write_many};
use claims::store::{EventQuery, StoreError, WatchError, WatchFrom};
use claims::testing::{TestDatabase, eventually};

/// Has the database say of itself that it is in recovery whenever `said.here` says so: a standby is
/// not easily made, and not what is tested here.
async fn may_say_that_it_is_a_standby(db: &TestDatabase) {
    let shadow = "CREATE SCHEMA said;
         CREATE TABLE said.here (is_standby boolean NOT NULL);
         INSERT INTO said.here VALUES (false);
         CREATE FUNCTION said.pg_is_in_recovery() RETURNS boolean LANGUAGE sql STABLE AS
             'SELECT is_standby FROM said.here';
         DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET search_path = said, pg_catalog, public',
                 current_database());
         END $$";
    db.sql.batch_execute(shadow).await.expect("a shadow");
}

async fn say(db: &TestDatabase, is_standby: bool) {
    let say = format!("UPDATE said.here SET is_standby = {is_standby}");
    db.sql.batch_execute(&say).await.expect("a word");
}

fn is_unavailable(error: &WatchError) -> bool {
    matches!(error, WatchError::Store(StoreError::Unavailable))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_a_standby_shows_is_given_to_anybody() {
    let db = TestDatabase::in_service().await;
    may_say_that_it_is_a_standby(&db).await;
    let store = quick_store(&db);
    write_many(&db, 3_000).await;
    let mut live = Watcher::now(&store).await;
    let mut catching_up = Watcher::start(&store, everything(), WatchFrom::Oldest).await.unwrap();
    let mut given = catching_up.events(1).await;
    let query = EventQuery { filter: everything(), page_size: 10, after: None };
    let page = store.events().list(query.clone()).await.expect("a page");

    say(&db, true).await;
    let unseen = write(&db, "/a").await;
    let (heard, end) = live.end().await;
    assert!(is_unavailable(&end) && heard.is_empty(), "{heard:?}, {end}");
    let (rest, end) = catching_up.end().await;
    assert!(is_unavailable(&end), "{end}");
    given.extend(rest);
    assert_eq!(given, (1..).take(given.len()).collect::<Vec<i64>>());
    for from in [WatchFrom::Now, behind(1)] {
        let refused = Watcher::start(&store, everything(), from).await.err().expect("a refusal");
        assert!(is_unavailable(&refused), "{refused}");
    }
    let next = EventQuery { after: page.next, ..query.clone() };
    for query in [query, next] {
        store.events().list(query).await.expect_err("neither a first page nor a next one");
    }

    say(&db, false).await;
    let mut resumed = None;
    eventually("a watch begins again", async || {
        let from = behind(catching_up.position);
        resumed = Watcher::start(&store, everything(), from).await.ok();
        resumed.is_some()
    })
    .await;
    given.extend(resumed.unwrap().all_up_to(unseen).await);
    assert_eq!(given, recorded(&db, "true").await);
}
