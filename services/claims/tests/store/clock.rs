//! The clock goes on while a statement runs.

use super::support::{claim_on, scene};
use claims::testing::{TestDatabase, heartbeat};

/// Has the clock of new sessions pass the end of every lease after its first reading: what may happen
/// in a microsecond is not to be waited for.
async fn leases_end_after_one_reading(db: &TestDatabase) {
    let shadow = "CREATE SCHEMA said;
         CREATE SEQUENCE said.readings;
         CREATE FUNCTION said.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
             $$ SELECT CASE WHEN nextval('said.readings') = 1 THEN pg_catalog.clock_timestamp()
                       ELSE (SELECT max(lease_expires_at) + interval '1 second'
                             FROM public.claim_leases) END $$;
         DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET search_path = said, pg_catalog, public',
                 current_database());
         END $$";
    db.sql.batch_execute(shadow).await.expect("a shadow");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lapsed_lease_is_renewed_untold_when_it_lapses_within_the_statement() {
    let (db, store) = scene().await;
    let before = claim_on(&store, "/a", "w1").await;
    leases_end_after_one_reading(&db).await;
    let renewal = db.store().heartbeat(heartbeat(&before.id)).await.unwrap();
    let readings = db.number("SELECT last_value FROM said.readings").await;
    assert!(readings >= 2, "the clock was read once");
    let after = store.get_claim(before.id.clone()).await.expect("a claim").0;
    let renewed_at = after.lease.last_heartbeat_at.expect("a heartbeat");
    assert_eq!(renewal.had_lapsed, before.lease.has_lapsed(renewed_at));
    assert!(renewal.expires_at > before.lease.expires_at);
    db.check_invariants().await;
}
