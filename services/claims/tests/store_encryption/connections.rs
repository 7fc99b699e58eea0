//! What is encrypted when the URL asks for it: everything.

use crate::authority::Authority;
use crate::support::{Networked, PASSWORD, root_cert};
use claims::store::{
    ClaimStore, Database, EventFilter, Reaper, StoreSettings, WatchFrom, WatchItem, migrations,
};
use claims::testing::{done, entity_key, eventually, heartbeat, mint, tenant};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_of_the_store_or_of_a_reaper_is_plain_text() {
    let authority = Authority::new();
    let cluster = Networked::certified(&authority, "localhost").await;
    cluster.insist_on_encryption().await;
    let parameters = format!("sslmode=verify-full&{}", root_cert(&authority));
    let database = cluster.database(&parameters).unwrap();
    migrations::migrate(&database).await.unwrap();

    let settings = StoreSettings { program: "claim-test".to_owned(), ..StoreSettings::default() };
    let store = ClaimStore::start(&database, &settings);
    store.sign(Duration::from_secs(30)).await.unwrap();
    let asked = mint("/a", "w");
    let token = asked.token.digest();
    let claim = store.mint(asked.mint).await.unwrap().claim;
    store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    store.authorize(tenant(), claim.stream.clone(), token).await.unwrap();
    store.get_entity(entity_key("/a")).await.unwrap();
    store.probe().await.unwrap();
    let everything = EventFilter { tenant: tenant(), entity: None, consumer: None };
    let mut watch = store.events().watch(everything, WatchFrom::Oldest).await.unwrap();
    let first = watch.next().await.unwrap();
    assert!(matches!(first, WatchItem::Checkpoint(_)), "{first:?}");
    store.done(done(&claim.id)).await.unwrap();
    let mut reaper = Reaper::new(database, "claim-test/reaper");
    reaper.scan(Duration::ZERO).await.unwrap();

    let (encrypted, plain) = cluster.sessions().await;
    // Decisions, heartbeats, authorizations, reads, the probe, the reader of events, the reaper.
    assert!(encrypted >= 7, "{encrypted} sessions");
    assert_eq!(plain, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn require_encrypts_without_knowing_whom_it_talks_to() {
    let cluster = Networked::certified(&Authority::new(), "somewhere.else").await;
    cluster.insist_on_encryption().await;
    for parameters in ["sslmode=require", "sslmode=prefer", ""] {
        assert_eq!(cluster.refusal(parameters).await, None, "{parameters}");
    }
    let refused = cluster.refusal("sslmode=disable").await.expect("plain text is refused");
    assert!(!refused.contains(PASSWORD), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_away_is_passed_over_and_the_next_is_verified_by_its_own_name() {
    let authority = Authority::new();
    let cluster = Networked::certified(&authority, "localhost").await;
    let port = cluster.port;
    let root_cert = root_cert(&authority);
    let pending = async |hosts: &str| {
        let url = format!("postgres://postgres@{hosts}/postgres?sslmode=verify-full&{root_cert}");
        let database = Database::parse(&url).unwrap();
        migrations::pending(&database).await
    };
    pending(&format!("127.0.0.1:1,localhost:{port}")).await.unwrap();
    // The first is the same server by a name that its certificate does not bear.
    pending(&format!("127.0.0.1:{port},localhost:{port}")).await.unwrap();
    pending(&format!("127.0.0.1:{port}")).await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_store_goes_on_when_its_connections_were_cut() {
    let authority = Authority::new();
    let cluster = Networked::certified(&authority, "localhost").await;
    let parameters = format!("sslmode=verify-full&{}", root_cert(&authority));
    let database = cluster.database(&parameters).unwrap();
    migrations::migrate(&database).await.unwrap();
    let store = ClaimStore::start(&database, &StoreSettings::default());
    store.sign(Duration::from_secs(30)).await.unwrap();
    let claim = store.mint(mint("/a", "w").mint).await.unwrap().claim;
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_ssl WHERE ssl";
    cluster.sql.batch_execute(cut).await.unwrap();
    eventually("heartbeats are served", async || {
        store.heartbeat(heartbeat(&claim.id)).await.is_ok()
    })
    .await;
}
