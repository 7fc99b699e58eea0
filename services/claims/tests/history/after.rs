//! What stands in the database when all is quiet: rows, events, and when something was written.

use super::record::{After, History, Log};
use super::spec::beginning;
use claims::domain::{
    Authority, ClaimId, Entity, EntityKey, Epoch, NumberFloor, Refusal, TenantId, Timestamp, World,
};
use claims::store::{ClaimQuery, ClaimStore, EventFilter, EventQuery, StoreError};
use claims::testing::{TestDatabase, claim_id};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The claims that were pruned since this was last asked.
pub(crate) async fn pruned(db: &TestDatabase) -> Vec<ClaimId> {
    let pruned = "DELETE FROM test_pruned RETURNING tenant_id, consumer_id, epoch";
    let pruned = db.sql.query(pruned, &[]).await.expect("what was pruned");
    pruned.iter().map(|row| id(row.get(0), row.get(1), row.get(2))).collect()
}

/// Puts the events back that pruning removed, so that they can be compared with what was decided; to be
/// called when all else has been looked at.
pub(crate) async fn put_back_pruned_events(db: &TestDatabase) {
    let put_back = "INSERT INTO claim_events SELECT * FROM test_pruned_events;
         UPDATE claim_events_pruned SET highest_sequence = 0";
    db.sql.batch_execute(put_back).await.expect("the events");
}

/// Rows of a page.
const PAGE: usize = 500;

/// A database that keeps what [`after`] needs to know, without an outage grace (see the specification's
/// beginning). `stage` is SQL of the test's own.
pub(crate) async fn database(stage: &str) -> TestDatabase {
    let db = TestDatabase::in_service().await;
    db.set_liveness(Duration::ZERO, Duration::from_secs(1), Duration::ZERO).await;
    db.sql.batch_execute(include_str!("kept.sql")).await.expect("tables and triggers");
    db.sql.batch_execute(stage).await.expect("a stage");
    db
}

/// Reads the rows and events of a history's entities, and tells the history when something was written.
pub(crate) async fn after(db: &TestDatabase, store: &ClaimStore, history: &mut History) -> After {
    let mut after = After { world: beginning(), events: BTreeMap::new() };
    for key in &history.entities {
        read_rows(db, store, key, &mut after.world).await;
        after.events.insert(key.url.clone(), events(store, key).await);
    }
    history.written.decisions = BTreeMap::new();
    for (url, events) in &after.events {
        let times = events.iter().map(|(_, at)| *at).collect();
        history.written.decisions.insert(url.clone(), times);
    }
    history.written.renewals = renewals(db, history).await;
    after
}

async fn renewals(db: &TestDatabase, history: &History) -> BTreeMap<ClaimId, BTreeSet<Timestamp>> {
    let times =
        "SELECT tenant_id, consumer_id, epoch, (extract(epoch FROM renewed_at) * 1000000)::bigint
         FROM test_renewals WHERE tenant_id = $1 AND split_part(consumer_id, '@', 2) = $2";
    let (tenant, name) = (history.tenant().as_str(), history.name());
    let renewed = db.sql.query(times, &[&tenant, &name]).await.expect("the renewals");
    let mut all: BTreeMap<ClaimId, BTreeSet<Timestamp>> = BTreeMap::new();
    for row in renewed {
        let id = id(row.get(0), row.get(1), row.get(2));
        all.entry(id).or_default().insert(Timestamp::from_unix_micros(row.get(3)));
    }
    all
}

fn id(tenant: &str, consumer: &str, epoch: i64) -> ClaimId {
    let tenant = TenantId::parse(tenant).expect("a tenant");
    ClaimId { tenant, ..claim_id(consumer, epoch) }
}

async fn read_rows(db: &TestDatabase, store: &ClaimStore, key: &EntityKey, world: &mut World) {
    let entity = match store.get_entity(key.clone()).await {
        Ok(view) => view.entity,
        Err(StoreError::Refused(Refusal::EntityNotFound)) => Entity::unseen(NumberFloor::default()),
        Err(failure) => panic!("{} cannot be read: {failure}", key.url),
    };
    world.entities.insert(key.clone(), entity);
    let mut query = ClaimQuery {
        tenant: key.tenant.clone(),
        entity: Some(key.url.clone()),
        runner: None,
        states: vec![],
        lapsed_only: false,
        page_size: PAGE,
        after: None,
    };
    loop {
        let page = store.list_claims(query.clone()).await.expect("a page of claims");
        world.claims.extend(page.claims.into_iter().map(|claim| (claim.id.clone(), claim)));
        query.after = page.next;
        if query.after.is_none() {
            break;
        }
    }
    // What a listing does not show of a lease.
    let leases = "SELECT tenant_id, consumer_id, epoch, l.stop,
             (extract(epoch FROM l.heard_at) * 1000000)::bigint
         FROM claim_leases AS l JOIN consumer_claims USING (tenant_id, consumer_id, epoch)
         WHERE tenant_id = $1 AND entity_url = $2";
    let leases = db.sql.query(leases, &[&key.tenant.as_str(), &key.url.as_str()]).await;
    for row in leases.expect("the leases") {
        let claim = world.claims.get_mut(&id(row.get(0), row.get(1), row.get(2)));
        let lease = &mut claim.expect("a lease of a claim").lease;
        lease.stop = row.get(3);
        lease.heard_at = Timestamp::from_unix_micros(row.get(4));
    }
    let marks = "SELECT authority, highest FROM entity_epochs
         WHERE tenant_id = $1 AND entity_url = $2";
    let marks = db.sql.query(marks, &[&key.tenant.as_str(), &key.url.as_str()]).await;
    for row in marks.expect("the marks") {
        let authority = Authority::parse(row.get(0)).expect("an authority");
        let highest = Epoch::parse(row.get(1)).expect("an epoch");
        world.marks.insert((key.clone(), authority), highest);
    }
}

async fn events(store: &ClaimStore, key: &EntityKey) -> Log {
    let filter =
        EventFilter { tenant: key.tenant.clone(), entity: Some(key.url.clone()), consumer: None };
    let mut query = EventQuery { filter, page_size: PAGE, after: None };
    let mut events = vec![];
    loop {
        let page = store.events().list(query.clone()).await.expect("a page of events");
        events.extend(page.events.into_iter().map(|found| (found.event, found.occurred_at)));
        query.after = page.next;
        if query.after.is_none() {
            return events;
        }
    }
}
