//! A history in which every kind of event occurs, of two tenants and several entities and consumers.

use claims::domain::{EntitySignal, TenantId};
use claims::store::ClaimStore;
use claims::testing::{done, kill, mint, revoke, signal};

/// Plays it; every event type of the contract but the reaper's occurs at least once.
pub(crate) async fn play(store: &ClaimStore) {
    for round in 1..=3 {
        for url in ["/a", "/b"] {
            // One consumer on all entities, one of each entity, one that takes over.
            let minted = store.mint(mint(url, "shared").mint).await.expect("a mint");
            store.done(done(&minted.claim.id)).await.expect("a done");
            let held = mint(url, &format!("of{url}")).epoch("sub", 2 * round).request("r");
            let claim = store.mint(held.mint).await.expect("a mint").claim.id;
            let again = mint(url, &format!("of{url}")).epoch("sub", 2 * round).request("r");
            assert!(store.mint(again.mint).await.expect("a re-mint").reminted);
            let taking = mint(url, "taker").epoch("sub", 2 * round + 1).mint;
            let taker = match url {
                // Identities are of a tenant: the taker of another entity has another number.
                "/a" => store.mint(taking).await.expect("a mint").claim.id,
                _ => store.mint(mint(url, "taker").supersede().mint).await.expect("one").claim.id,
            };
            store.done(done(&claim)).await.expect("a done of a superseded claim");
            store.revoke(revoke(&taker, "enough")).await.expect("a revocation");
            store.signal(signal(url, EntitySignal::Stop)).await.expect("a signal");
            store.signal(signal(url, EntitySignal::Cont)).await.expect("a signal");
        }
        let other = mint("/a", "shared").tenant("other").mint;
        let minted = store.mint(other).await.expect("a mint");
        assert_eq!(minted.claim.id.tenant, TenantId::parse("other").expect("a tenant"));
        store.done(done(&minted.claim.id)).await.expect("a done");
    }
    store.mint(mint("/b", "last").mint).await.expect("a mint");
    store.signal(kill("/b")).await.expect("a kill");
}

/// Every kind of filter that finds something or nothing in it, as a condition in SQL and by its
/// tenant, entity and consumer.
pub(crate) const FILTERS: [(&str, &str, &str); 13] = [
    ("default", "", ""),
    ("default", "/a", ""),
    ("default", "/b", ""),
    ("default", "", "shared"),
    ("default", "", "taker"),
    ("default", "/a", "shared"),
    ("default", "/b", "taker"),
    ("default", "/b", "of/a"),
    ("default", "/nowhere", ""),
    ("default", "", "nobody"),
    ("other", "", ""),
    ("other", "/a", "shared"),
    ("nobody", "", ""),
];

/// The condition in SQL of a filter.
pub(crate) fn condition((tenant, url, name): (&str, &str, &str)) -> String {
    let mut condition = format!("tenant_id = '{tenant}'");
    if !url.is_empty() {
        condition.push_str(&format!(" AND entity_url = '{url}'"));
    }
    if !name.is_empty() {
        condition.push_str(&format!(" AND consumer_id = '{name}'"));
    }
    condition
}
