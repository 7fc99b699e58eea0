//! Calls of every kind, and how long they may take while the database is away.

use claims::domain::{ClaimId, EntitySignal, StreamPath, TokenDigest};
use claims::store::{ClaimQuery, ClaimStore, Database, ROUND_TRIP_TIMEOUT, StoreError};
use claims::testing::{done, entity_key, heartbeat, mint, revoke, signal, tenant};
use std::time::Duration;

/// Longest wait for an answer while the database does not give any: two round trips, since a call
/// may come while its lane waits for one in vain, each preceded by an attempt to connect; and as
/// much again for a busy machine.
pub(crate) const ANSWER_LIMIT: Duration = ROUND_TRIP_TIMEOUT.saturating_mul(12);

/// A claim to ask about.
pub(crate) struct Known {
    pub(crate) id: ClaimId,
    pub(crate) stream: StreamPath,
    pub(crate) token: TokenDigest,
}

/// Mints a claim to ask about, on an entity of its own.
pub(crate) async fn known(store: &ClaimStore, url: &str) -> Known {
    let asked = mint(url, &format!("holder of {url}")).lengths(Some(600), None);
    let token = asked.token.digest();
    let claim = store.mint(asked.mint).await.expect("a mint").claim;
    Known { id: claim.id, stream: claim.stream, token }
}

/// One call of every kind at once; the name of each and how it went. None of them succeeds twice:
/// they are for a database that is away.
pub(crate) async fn call_all(
    store: &ClaimStore,
    known: &Known,
) -> Vec<(&'static str, Result<(), StoreError>)> {
    let everything = ClaimQuery {
        tenant: tenant(),
        entity: None,
        runner: None,
        states: vec![],
        lapsed_only: false,
        page_size: 10,
        after: None,
    };
    let calls = async {
        tokio::join!(
            async { ("mint", store.mint(mint("/new", "w").mint).await.map(drop)) },
            async { ("done", store.done(done(&known.id)).await.map(drop)) },
            async { ("revoke", store.revoke(revoke(&known.id, "")).await.map(drop)) },
            async {
                let stop = signal("/signaled", EntitySignal::Stop);
                ("signal", store.signal(stop).await.map(drop))
            },
            async { ("heartbeat", store.heartbeat(heartbeat(&known.id)).await.map(drop)) },
            async { ("sign", store.sign(Duration::from_secs(30)).await.map(drop)) },
            async {
                let asked = store.authorize(tenant(), known.stream.clone(), known.token);
                ("authorize", asked.await.map(drop))
            },
            async { ("get_claim", store.get_claim(known.id.clone()).await.map(drop)) },
            async { ("get_entity", store.get_entity(entity_key("/new")).await.map(drop)) },
            async { ("list_claims", store.list_claims(everything).await.map(drop)) },
            async { ("probe", store.probe().await.map(|_| ())) },
        )
    };
    let (a, b, c, d, e, f, g, h, i, j, k) =
        tokio::time::timeout(ANSWER_LIMIT, calls).await.expect("answers within the limit");
    vec![a, b, c, d, e, f, g, h, i, j, k]
}

/// Panics unless every call said that the database is unavailable.
pub(crate) fn assert_all_unavailable(answers: &[(&'static str, Result<(), StoreError>)]) {
    for (call, answer) in answers {
        assert!(matches!(answer, Err(StoreError::Unavailable)), "{call}: {answer:?}");
    }
}

/// A store on that database.
pub(crate) fn store_at(url: &str) -> ClaimStore {
    let database = Database::parse(url).expect("a URL");
    ClaimStore::start(&database, &claims::store::StoreSettings::default())
}
