//! GetClaim, GetEntity, ListClaims.

use super::support::{claim_on, minted, refusal, scene, secs};
use claims::domain::{Claim, ClaimState, EntityUrl, Refusal, RunnerId};
use claims::store::{ClaimCursor, ClaimQuery, ClaimStore};
use claims::testing::{
    TestDatabase, claim_id, done, entity, entity_key, heartbeat, mint, queued, signal, tenant,
};
use std::collections::BTreeSet;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let (_db, store) = scene().await;
    assert_eq!(refusal(store.get_claim(claim_id("w1", 1)).await), Refusal::ClaimNotFound);
    assert_eq!(refusal(store.get_entity(entity_key("/a")).await), Refusal::EntityNotFound);
    let page = store.list_claims(everything()).await.unwrap();
    assert!(page.claims.is_empty() && page.next.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_claim_is_shown_with_its_present_lease() {
    let (db, store) = scene().await;
    let claim = claim_on(&store, "/a", "w1").await;
    let renewal = store.heartbeat(heartbeat(&claim.id)).await.unwrap();
    let (shown, now) = store.get_claim(claim.id.clone()).await.unwrap();
    assert_eq!(shown.lease.expires_at, renewal.expires_at);
    assert!(shown.lease.last_heartbeat_at.is_some_and(|at| at <= now));
    let view = store.get_entity(entity_key("/a")).await.unwrap();
    assert_eq!(view.current, Some(shown.clone()));
    assert_eq!(store.list_claims(everything()).await.unwrap().claims, [shown]);
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entity_that_was_only_signaled_is_shown() {
    let (db, store) = scene().await;
    store.signal(signal("/a", claims::domain::EntitySignal::Stop)).await.unwrap();
    let view = store.get_entity(entity_key("/a")).await.unwrap();
    assert_eq!(view.entity.state, claims::domain::EntityState::Paused);
    assert!(view.current.is_none());
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn live_claims_are_counted_by_tenant_superseded_ones_too_and_no_further_than_asked() {
    let (db, store) = scene().await;
    for number in 0..5 {
        claim_on(&store, &format!("/e{number}"), &format!("w{number}")).await;
    }
    minted(&store, mint("/e0", "newer").supersede()).await;
    store.done(done(&claim_id("w1", 1))).await.unwrap();
    let other = minted(&store, mint("/e0", "w0").tenant("other")).await.claim.id.tenant;
    let count = async |tenant, most| store.count_live_claims(tenant, most).await.unwrap();
    assert_eq!(count(tenant(), 1_000).await, 5, "four of five, and the superseding one");
    assert_eq!(count(tenant(), 3).await, 3);
    assert_eq!(count(other, 1_000).await, 1);
    db.check_invariants().await;
}

fn everything() -> ClaimQuery {
    ClaimQuery {
        tenant: tenant(),
        entity: None,
        runner: None,
        states: vec![],
        lapsed_only: false,
        page_size: 100,
        after: None,
    }
}

/// More claims than any of these tests makes.
const MANY: usize = 200;

/// Every page of a query, from its position on.
async fn all_pages(store: &ClaimStore, query: &ClaimQuery) -> Vec<Claim> {
    let (mut all, mut after) = (Vec::new(), query.after.clone());
    loop {
        let page = store.list_claims(ClaimQuery { after, ..query.clone() }).await.expect("a page");
        assert!(page.claims.len() <= query.page_size);
        assert!(page.next.is_none() || page.claims.len() == query.page_size);
        all.extend(page.claims);
        assert!(all.len() <= MANY, "the pages come to an end: {query:?}");
        after = page.next;
        if after.is_none() {
            return all;
        }
    }
}

/// What a query must find, told another way.
async fn expected(db: &TestDatabase, query: &ClaimQuery) -> BTreeSet<(String, i64)> {
    let states: Vec<&str> = query.states.iter().map(|state| state.as_str()).collect();
    let found = "SELECT consumer_id, c.epoch
         FROM consumer_claims AS c LEFT JOIN claim_leases AS l USING (tenant_id, consumer_id, epoch)
         WHERE tenant_id = $1 AND ($2 = '' OR entity_url = $2) AND ($3 = '' OR runner_id = $3)
             AND ($4::text[] = '{}' OR state = ANY ($4))
             AND (NOT $5 OR l.lease_expires_at < now())";
    let (entity, runner) = (
        query.entity.as_ref().map_or("", EntityUrl::as_str),
        query.runner.as_ref().map_or("", RunnerId::as_str),
    );
    let rows = db
        .sql
        .query(found, &[&query.tenant.as_str(), &entity, &runner, &states, &query.lapsed_only])
        .await
        .expect("a query");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Claims of all kinds: on four entities, by three runners, in every state, some of them minted in
/// one transaction and so at the same moment, some lapsed, some of another tenant.
async fn many_claims(db: &TestDatabase, store: &ClaimStore) {
    for round in 0..6 {
        let mut mints = Vec::new();
        for number in 0..4 {
            let runner = format!("runner-{}", (round + number) % 3);
            let asked = mint(&format!("/e{number}"), &format!("w{}", number % 2)).runner(&runner);
            mints.push(queued(store.mint(asked.supersede().mint)).await);
        }
        for (number, mint) in (0..).zip(mints) {
            let claim = mint.await.expect("a mint").claim;
            match (round + number) % 5 {
                0 => drop(store.done(done(&claim.id)).await.expect("an end")),
                1 => db.lapse(&claim.id, secs(2)).await,
                2 => {
                    let outcome = claims::domain::DoneOutcome::Failed;
                    let failed = claims::domain::Done { outcome, ..done(&claim.id) };
                    store.done(failed).await.expect("an end");
                }
                _ => {}
            }
        }
    }
    minted(store, mint("/e0", "w0").tenant("other")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_filter_finds_every_claim_it_should_once_whatever_the_page() {
    let (db, store) = scene().await;
    many_claims(&db, &store).await;
    let states = [
        vec![],
        vec![ClaimState::Active],
        vec![ClaimState::Superseded, ClaimState::Expired],
        vec![ClaimState::Released, ClaimState::Failed, ClaimState::Active],
        vec![ClaimState::Revoked],
    ];
    let mut found_at_all = 0;
    for entity_url in [None, Some(entity("/e1")), Some(entity("/none"))] {
        for runner in ["", "runner-1", "nobody"] {
            for states in &states {
                for lapsed_only in [false, true] {
                    for page_size in [1, 3, 100] {
                        let query = ClaimQuery {
                            entity: entity_url.clone(),
                            runner: (!runner.is_empty()).then(|| RunnerId::parse(runner).unwrap()),
                            states: states.clone(),
                            lapsed_only,
                            page_size,
                            ..everything()
                        };
                        let claims = all_pages(&store, &query).await;
                        assert_in_order(&query, &claims);
                        let found: BTreeSet<(String, i64)> = claims
                            .iter()
                            .map(|claim| {
                                (claim.id.consumer.as_str().to_owned(), claim.id.epoch.get())
                            })
                            .collect();
                        assert_eq!(found.len(), claims.len(), "no claim twice: {query:?}");
                        assert_eq!(found, expected(&db, &query).await, "{query:?}");
                        found_at_all += found.len();
                    }
                }
            }
        }
    }
    assert!(found_at_all > 100, "the filters find something");
    db.check_invariants().await;
}

/// Of an entity or runner oldest first, of a tenant by identity.
fn assert_in_order(query: &ClaimQuery, claims: &[Claim]) {
    let by_age = query.entity.is_some() || query.runner.is_some();
    let in_order = claims.is_sorted_by_key(|claim| {
        (by_age.then_some(claim.claimed_at), claim.id.consumer.clone(), claim.id.epoch)
    });
    assert!(in_order, "{query:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_in_place_while_claims_come_and_end() {
    let (db, store) = scene().await;
    let mut ids = Vec::new();
    for number in 0..10 {
        let asked = mint("/a", &format!("w{number}")).runner("r").supersede();
        ids.push(minted(&store, asked).await.claim.id);
    }
    for (entity_url, runner) in
        [(Some(entity("/a")), None), (None, Some(RunnerId::parse("r").unwrap())), (None, None)]
    {
        let query = ClaimQuery { entity: entity_url, runner, page_size: 4, ..everything() };
        let first = store.list_claims(query.clone()).await.unwrap();
        // One that was shown ends, one that was not ends, a new one comes.
        let shown = first.claims[0].id.clone();
        store.done(done(&shown)).await.unwrap();
        let last = ids.iter().rev().find(|id| !first.claims.iter().any(|c| c.id == **id)).unwrap();
        store.done(done(last)).await.unwrap();
        let newcomer = format!("x{}", ids.len());
        ids.push(minted(&store, mint("/a", &newcomer).runner("r").supersede()).await.claim.id);
        let rest = all_pages(&store, &ClaimQuery { after: first.next, ..query }).await;
        let mut seen: Vec<_> = first.claims.iter().chain(&rest).map(|c| c.id.clone()).collect();
        seen.sort();
        let mut expected = ids.clone();
        expected.sort();
        assert_eq!(seen, expected);
    }
    db.check_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_is_that_of_the_last_claim_shown() {
    let (_db, store) = scene().await;
    for number in 0..3 {
        minted(&store, mint(&format!("/e{number}"), "w1")).await;
    }
    let page = store.list_claims(ClaimQuery { page_size: 2, ..everything() }).await.unwrap();
    let last = page.claims.last().unwrap();
    let position = ClaimCursor {
        claimed_at: last.claimed_at,
        consumer: last.id.consumer.clone(),
        epoch: last.id.epoch,
    };
    assert_eq!(page.next, Some(position));
}
