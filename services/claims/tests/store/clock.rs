//! The clock goes on while a statement runs.

use super::support::{REAP_GRACE, claim_on, scene};
use claims::store::Reaper;
use claims::testing::{TestDatabase, heartbeat};
use std::time::Duration;

/// The clock passes the end of every lease after its first reading: what may happen in a microsecond is
/// not to be waited for.
const LEASES_END_AFTER_ONE_READING: &str =
    "CASE WHEN nextval('said.readings') = 1 THEN pg_catalog.clock_timestamp()
          ELSE (SELECT max(lease_expires_at) + interval '1 second' FROM public.claim_leases) END";
/// Half a second goes by before it is read.
const SLOW: &str = "pg_catalog.clock_timestamp() FROM pg_sleep(0.5)";

/// Has new sessions read the clock so.
async fn read_the_clock_by(db: &TestDatabase, reading: &str) {
    let shadow = format!(
        "CREATE SCHEMA said;
         CREATE SEQUENCE said.readings;
         CREATE FUNCTION said.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
             $$ SELECT {reading} $$;
         DO $$ BEGIN
             EXECUTE format('ALTER DATABASE %I SET search_path = said, pg_catalog, public',
                 current_database());
         END $$"
    );
    db.sql.batch_execute(&shadow).await.expect("a shadow");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_lapsed_lease_is_renewed_untold_when_it_lapses_within_the_statement() {
    let (db, store) = scene().await;
    let before = claim_on(&store, "/a", "w1").await;
    read_the_clock_by(&db, LEASES_END_AFTER_ONE_READING).await;
    let renewal = db.store().heartbeat(heartbeat(&before.id)).await.unwrap();
    let readings = db.number("SELECT last_value FROM said.readings").await;
    assert!(readings >= 2, "the clock was read once");
    let after = store.get_claim(before.id.clone()).await.expect("a claim").0;
    let renewed_at = after.lease.last_heartbeat_at.expect("a heartbeat");
    assert_eq!(renewal.had_lapsed, before.lease.has_lapsed(renewed_at));
    assert!(renewal.expires_at > before.lease.expires_at);
    db.check_invariants().await;
}

/// A pass tells as its beginning when it scanned, and passes over nobody who was due then.
#[tokio::test(flavor = "multi_thread")]
async fn a_scan_finds_whatever_was_due_at_the_time_that_it_tells() {
    let (db, store) = scene().await;
    let id = claim_on(&store, "/a", "w1").await.id;
    read_the_clock_by(&db, SLOW).await;
    let mut reaper = Reaper::new(db.database(), "reaper");
    // It is connected.
    reaper.scan(REAP_GRACE).await.unwrap();
    // Due when the scan has begun and the clock is not read yet.
    db.lapse(&id, REAP_GRACE - Duration::from_millis(300)).await;
    let scan = reaper.scan(REAP_GRACE).await.unwrap();
    assert_eq!(scan.candidates.iter().map(|found| &found.id).collect::<Vec<_>>(), [&id]);
    assert!(scan.candidates[0].due_at <= scan.now);
    db.check_invariants().await;
}
