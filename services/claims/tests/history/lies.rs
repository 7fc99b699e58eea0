//! Lies planted in a database. Each must be found, and shown by a script of the few calls that it takes.

use super::after::{after, database, put_back_pruned_events};
use super::check::check;
use super::load::{Load, round};
use super::rerun::shortest_script;
use super::told;

const LOAD: Load = Load { seed: 8, clients: 4, calls_per_client: 500, families: 6, faults: false };
/// Rounds, each with the next seed, one of whose refused histories has to fail again when it is asked
/// one by one.
const ROUNDS_MAX: u64 = 5;

/// Plays rounds on a database that lies; asserts that some history of each is refused, and that calls
/// of one, so many at most, show the lie when they are asked one by one.
async fn assert_found(lie: &str, calls: usize) {
    let mut too_long = vec![];
    for seed in LOAD.seed..LOAD.seed + ROUNDS_MAX {
        match shown(Load { seed, ..LOAD }, lie, calls).await {
            Ok(()) => return,
            Err(others) => too_long.extend(others),
        }
    }
    panic!("no history that was refused fails again by {calls} calls: {too_long:#?}");
}

/// One round; the scripts that are longer, if no history has one that is short enough.
async fn shown(load: Load, lie: &str, calls: usize) -> Result<(), Vec<String>> {
    let db = database(lie).await;
    let mut round = round(&db, &load).await;
    put_back_pruned_events(&db).await;
    let reader = db.store();
    let mut refused = vec![];
    for history in &mut round.histories {
        let after = after(&db, &reader, history).await;
        if check(history, Some(&after)).is_err() {
            refused.push(history.clone());
        }
    }
    assert!(!refused.is_empty(), "no history is refused: {load:?}");
    let mut too_long = vec![];
    for history in &refused {
        // Not every one needs but its calls: in some a lease had to lapse, say. And where the lie is told
        // late, it takes as many mints as make the epoch of the call that meets it.
        let Some((script, how)) = shortest_script(history, lie).await else {
            continue;
        };
        let without = shortest_script(history, "").await;
        assert!(without.is_none(), "without the lie all is well");
        if script.len() <= calls {
            return Ok(());
        }
        too_long.push(format!("{}{how}", told::calls(&script)));
    }
    Err(too_long)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while: scripts/test-random"]
async fn a_row_that_decide_did_not_write_is_found_and_shown_by_a_short_script() {
    let forgetful = "CREATE FUNCTION test_lie() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN new.last_completed_at := old.last_completed_at; RETURN new; END';
         CREATE TRIGGER test_lie BEFORE UPDATE ON entity_dispatch_state FOR EACH ROW
             WHEN (old.state = 'paused') EXECUTE FUNCTION test_lie()";
    // A mint, a pause, a done, and mints before that make the epoch.
    assert_found(forgetful, 8).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_lost_is_found_and_shown_by_a_short_script() {
    let lossy = "CREATE FUNCTION test_lie() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN DELETE FROM claim_events WHERE sequence = new.sequence; RETURN NULL; END';
         CREATE TRIGGER test_lie AFTER INSERT ON claim_events FOR EACH ROW
             WHEN (new.type = 'superseded') EXECUTE FUNCTION test_lie()";
    // Two mints.
    assert_found(lossy, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a while: scripts/test-random"]
async fn a_lease_that_no_heartbeat_wrote_is_found_and_shown_by_a_short_script() {
    let scribbling = "CREATE FUNCTION test_lie() RETURNS trigger LANGUAGE plpgsql AS
             'BEGIN UPDATE claim_leases SET progress = ''lost'' WHERE tenant_id = new.tenant_id
                  AND consumer_id = new.consumer_id AND epoch = new.epoch; RETURN NULL; END';
         CREATE TRIGGER test_lie AFTER UPDATE OF last_heartbeat_at ON claim_leases FOR EACH ROW
             WHEN (new.progress IS NULL AND new.last_heartbeat_at IS NOT NULL)
             EXECUTE FUNCTION test_lie()";
    // A mint and a heartbeat, and mints before that make the epoch.
    assert_found(scribbling, 8).await;
}
